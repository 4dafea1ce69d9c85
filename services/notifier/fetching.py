"""Records of one partition by offset.  Without a group: it moves nobody's position."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from bus.clients import started
from bus.clock import Clock
from bus.errors import RetryLater
from bus.settings import KafkaSettings
from schemas.topics import RECORD_BYTES_MAX, Topic

FETCH_WAIT_MS = 20
READ_SECONDS_MAX = 10.0


class Fetcher:
    """Committed records only; it connects when it is first asked."""

    def __init__(self, kafka: KafkaSettings, topic: Topic, partition: int, clock: Clock) -> None:
        self._place = TopicPartition(kafka.topic(topic), partition)
        self._clock = clock
        self._consumer = AIOKafkaConsumer(
            **kafka.client_args(),
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=RECORD_BYTES_MAX,
            fetch_max_wait_ms=FETCH_WAIT_MS,  # a seek waits for the fetch that is under way
        )
        self._started = False
        self._lock = asyncio.Lock()
        self._next: int | None = None  # where the consumer stands, when that is certain

    async def start(self) -> None:
        """Connect now.  Raises RetryLater."""
        async with self._lock:
            await self._start()

    async def close(self) -> None:
        """Let go of the connection."""
        await self._consumer.stop()

    async def first(self) -> int:
        """The oldest offset that the topic still has.  Raises RetryLater."""
        try:
            found = await self._consumer.beginning_offsets([self._place])
        except (KafkaError, TimeoutError) as error:
            raise RetryLater(f"{self._place}: its start is not known: {error!r}") from error
        return int(found[self._place])

    async def at(self, offset: int, count_max: int) -> list[ConsumerRecord]:
        """What there is from `offset` on, which has been written: empty when all is gone.

        Raises RetryLater.
        """
        deadline = self._clock.monotonic() + READ_SECONDS_MAX
        while self._clock.monotonic() < deadline:
            records, after = await self.fetch(offset, count_max)
            if records or after > offset:
                return records
        raise RetryLater(f"{self._place} offset {offset}: not read in {READ_SECONDS_MAX} s")

    async def fetch(self, offset: int, count_max: int) -> tuple[list[ConsumerRecord], int]:
        """Records from `offset` on and the offset to go on from.

        Both empty-handed and unmoved when there is nothing yet.  Raises RetryLater.
        """
        try:
            async with self._lock:
                await self._start()
                if offset != self._next:  # a seek throws away what is read ahead
                    self._consumer.seek(self._place, offset)
                self._next = None
                self._consumer.resume(self._place)
                batch = await self._consumer.getmany(
                    self._place, timeout_ms=FETCH_WAIT_MS, max_records=count_max
                )
                self._consumer.pause(self._place)
                after: int = await self._consumer.position(self._place)
                self._next = after
        except (KafkaError, TimeoutError) as error:
            raise RetryLater(f"{self._place}: cannot be read: {error!r}") from error
        return list(batch.get(self._place, ())), after

    async def _start(self) -> None:
        if self._started:
            return
        try:
            await started(self._consumer)
        except KafkaError as error:
            raise RetryLater(f"{self._place}: cannot be read: {error!r}") from error
        self._consumer.assign([self._place])
        self._consumer.pause(self._place)  # else it would read the whole topic unasked
        self._started = True
