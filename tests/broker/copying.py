"""A service in miniature: raw copied to events, counted in fulfillments, exactly once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aiokafka import ConsumerRecord, TopicPartition

from bus.clock import SystemClock
from bus.committer import Committer
from bus.consumer import PartitionConsumer
from bus.errors import RetryLater
from bus.settings import KafkaSettings
from bus.table import Table
from bus.transaction import Record, Transaction, Writer
from schemas.topics import EVENTS, FULFILLMENTS, RAW
from tests.broker.reading import records

Broken = Callable[[RetryLater], None]


class Copying:
    """Copies raw to events and counts each key in fulfillments: input, state, output, offsets."""

    def __init__(self, kafka: KafkaSettings, number: int, broken: Broken) -> None:
        self.kafka, self.number, self.broken = kafka, number, broken
        self.table = Table(kafka, FULFILLMENTS, number)
        self.writer = Writer(kafka, f"{kafka.prefix}.g.raw.{number}")
        self.committer: Committer | None = None
        self.before_commit: Callable[[], Awaitable[None]] | None = None

    async def open(self) -> None:
        await self.writer.start()
        self.committer = Committer(self.writer, self.broken)
        await self.table.restore()

    async def handle(self, batch: Sequence[ConsumerRecord]) -> None:
        assert self.committer is not None
        group, place = f"{self.kafka.prefix}.g", TopicPartition(batch[0].topic, self.number)
        transaction = Transaction(offsets={place: batch[-1].offset + 1}, group=group)
        for record in batch:
            key = record.key.decode()
            event = Record(self.kafka.topic(EVENTS), self.number, key, record.value)
            count = int(self.table.get(key) or b"0") + 1
            put = self.table.put(key, str(count).encode())
            transaction.records += [event, put]
            self.table.apply([put])
        if self.before_commit is not None:
            await self.before_commit()
        await self.committer.commit(transaction)

    async def close(self) -> None:
        if self.committer is not None and await self.committer.close():
            self.table.settle(self.writer)
        await self.writer.close()


class Member:
    """One copy of a service."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.fatal: list[BaseException] = []
        self.built: list[Copying] = []
        self.consumer = PartitionConsumer(
            kafka,
            RAW,
            f"{kafka.prefix}.g",
            lambda number, broken: self.build(kafka, number, broken),
            clock=SystemClock(),
            on_fatal=self.fatal.append,
        )

    def build(self, kafka: KafkaSettings, number: int, broken: Broken) -> Copying:
        owned = Copying(kafka, number, broken)
        self.built.append(owned)
        return owned


async def produce(kafka: KafkaSettings, first: int, last: int) -> None:
    """Values first..last-1, spread over the partitions."""
    writer = Writer(kafka, f"{kafka.prefix}.produce.{first}")
    await writer.start()
    for start in range(first, last, 200):
        numbers = range(start, min(start + 200, last))
        count = kafka.partition_count(RAW)
        rows = [
            Record(kafka.topic(RAW), n % count, f"k{n % count}", str(n).encode()) for n in numbers
        ]
        await writer.commit(Transaction(rows))
    await writer.close()


async def copied(kafka: KafkaSettings) -> list[int]:
    """The values that came out, partition by partition."""
    return [int(record.value) for record in await records(kafka, EVENTS)]
