"""What is on the topics now: state, newest records, and what a group has not read yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from bus.settings import KafkaSettings
from schemas.topics import RECORD_BYTES_MAX, Topic

READ_SECONDS_MAX = 60.0
FETCH_WAIT_MS = 200

Offsets = dict[TopicPartition, int]


async def table(kafka: KafkaSettings, topic: Topic) -> dict[str, bytes]:
    """The newest value of each key of a compacted topic.  Raises KafkaError, TimeoutError."""
    values: dict[str, bytes] = {}
    for record in await records(kafka, topic, {}):
        key = (record.key or b"").decode()
        if record.value is None:
            values.pop(key, None)
        else:
            values[key] = record.value
    return values


async def newest(kafka: KafkaSettings, topic: Topic, count: int) -> list[ConsumerRecord]:
    """The last `count` committed records of a topic, by time."""
    # Commit markers take offsets too: reading twice as far back makes up for them.
    starts = {place: max(0, end - 2 * count) for place, end in (await ends(kafka, topic)).items()}
    found = await records(kafka, topic, starts)
    return sorted(found, key=lambda record: (record.timestamp, record.partition))[-count:]


async def unread(kafka: KafkaSettings, topic: Topic, group: str) -> int:
    """How many committed records a group has not covered: lag without commit markers."""
    async with _consumer(kafka, group=group) as consumer:
        starts = {place: await consumer.committed(place) or 0 for place in _places(kafka, topic)}
    return len(await records(kafka, topic, starts))


async def records(kafka: KafkaSettings, topic: Topic, starts: Offsets) -> list[ConsumerRecord]:
    """Committed records from `starts` (missing: the beginning) up to the end as of the call."""
    found: list[ConsumerRecord] = []
    until = await ends(kafka, topic)
    async with _consumer(kafka) as consumer, asyncio.timeout(READ_SECONDS_MAX):
        consumer.assign(list(until))
        begins = await consumer.beginning_offsets(list(until))
        for place in until:
            consumer.seek(place, max(starts.get(place, 0), begins[place]))
        # All at once: one partition's fetch waits for the others, which may have nothing new.
        while left := [p for p, end in until.items() if await consumer.position(p) < end]:
            for batch in (await consumer.getmany(*left, timeout_ms=FETCH_WAIT_MS)).values():
                found.extend(batch)
    return sorted(found, key=lambda record: (record.partition, record.offset))


async def ends(kafka: KafkaSettings, topic: Topic) -> Offsets:
    """The high watermark of each partition."""
    async with _consumer(kafka, isolation="read_uncommitted") as consumer:
        found: Offsets = await consumer.end_offsets(_places(kafka, topic))
    return found


def _places(kafka: KafkaSettings, topic: Topic) -> list[TopicPartition]:
    name = kafka.topic(topic)
    return [TopicPartition(name, number) for number in range(kafka.partition_count(topic))]


@asynccontextmanager
async def _consumer(
    kafka: KafkaSettings, *, group: str = "", isolation: str = "read_committed"
) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        **kafka.client_args(),
        group_id=group or None,
        isolation_level=isolation,
        enable_auto_commit=False,
        max_partition_fetch_bytes=RECORD_BYTES_MAX,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()
