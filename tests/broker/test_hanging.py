"""A broker that goes down in mid-commit: nothing waits for ever (decision 0004)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from bus.admin import ensure_topics
from bus.clock import SystemClock
from bus.committer import Committer
from bus.embedded import EmbeddedKafka
from bus.errors import RetryLater, TransactionLost
from bus.settings import KafkaSettings
from bus.table import high_watermark
from bus.transaction import Record, Transaction, Writer
from schemas.topics import EVENTS, FULFILLMENTS, RAW, Topic
from tests.broker.reading import until

WRITERS = 18
COMMITS_BEFORE_THE_CRASH = 150
pytestmark = pytest.mark.skipif(
    "os.environ.get('SHIPFEED_TEST_KAFKA', 'embedded') != 'embedded'",
    reason="kills a broker of its own, which only the embedded one allows",
)


class Busy:
    """The writer of one of many groups on one input partition, committing without pause."""

    def __init__(self, kafka: KafkaSettings, number: int) -> None:
        self.kafka, self.number, self.commits = kafka, number % kafka.partitions, 0
        self.place = TopicPartition(kafka.topic(RAW), self.number)
        self.group = f"group-{number}"

    def writer(self) -> Writer:
        outputs = (FULFILLMENTS, EVENTS)
        return Writer.of_partition(self.kafka, self.group, self.place, outputs)

    async def work(self) -> None:
        """Until the broker is gone."""
        writer = self.writer()
        records = [
            Record(self.kafka.topic(topic), self.number, "k", b"v" * 1000)
            for topic in (FULFILLMENTS, EVENTS)
        ]
        try:
            await writer.start()
            while True:
                await writer.commit(Transaction(records, {self.place: 1}, self.group))
                self.commits += 1
        except RetryLater:
            await writer.close()


async def held_open(kafka: KafkaSettings, topic: Topic) -> list[TopicPartition]:
    """Partitions that a read_committed reader cannot read to their end."""
    places = [TopicPartition(kafka.topic(topic), n) for n in range(kafka.partitions)]
    consumer = AIOKafkaConsumer(**kafka.client_args(), isolation_level="read_committed")
    await consumer.start()
    try:
        readable = await consumer.end_offsets(places)
    finally:
        await consumer.stop()
    return [place for place in places if readable[place] < await high_watermark(kafka, place)]


async def test_a_writer_started_after_a_crash_of_the_broker_frees_its_partitions(
    tmp_path: Path,
) -> None:
    """SIGKILL while many commits are on their way; each id is started again, none writes."""
    async with EmbeddedKafka(tmp_path) as broker:
        kafka = KafkaSettings(
            bootstrap_servers=broker.bootstrap_servers,
            transaction_timeout_ms=3000,
            request_timeout_ms=5000,
        )
        await ensure_topics(kafka, SystemClock())
        busy = [Busy(kafka, number) for number in range(WRITERS)]
        working = [asyncio.create_task(one.work()) for one in busy]
        await until(lambda: sum(one.commits for one in busy) > COMMITS_BEFORE_THE_CRASH)
        await broker.kill()
        await asyncio.gather(*working)
        await broker.start()

        for one in busy:
            writer = one.writer()
            await writer.start()
            await writer.close()

        async def all_free() -> bool:
            return [] == await held_open(kafka, EVENTS) + await held_open(kafka, FULFILLMENTS)

        await until(all_free)


async def test_a_commit_while_the_broker_is_away_is_given_up_in_time(tmp_path: Path) -> None:
    """Else a revocation would wait for ever, and with it the whole group."""
    async with EmbeddedKafka(tmp_path) as broker:
        kafka = KafkaSettings(
            bootstrap_servers=broker.bootstrap_servers, transaction_timeout_ms=3000
        )
        await ensure_topics(kafka, SystemClock())
        one = Busy(kafka, 0)
        writer = one.writer()
        await writer.start()
        committer = Committer(writer, lambda error: None)
        record = Record(kafka.topic(EVENTS), 0, "k", b"v")
        await committer.commit(Transaction([record]))
        await broker.kill()

        async with asyncio.timeout(60):
            with pytest.raises(TransactionLost):
                await committer.commit(Transaction([record]))
            await committer.close()
