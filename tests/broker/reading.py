"""Reading topics in tests: everything committed, or everything written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from bus.settings import KafkaSettings
from bus.table import high_watermark
from schemas.topics import Topic

READ_SECONDS_MAX = 60.0


async def records(
    kafka: KafkaSettings, topic: Topic, partition: int | None = None
) -> list[ConsumerRecord]:
    """Every committed record of a topic as of now, partition by partition."""
    found: list[ConsumerRecord] = []
    numbers = range(kafka.partition_count(topic)) if partition is None else [partition]
    places = [TopicPartition(kafka.topic(topic), number) for number in numbers]
    consumer = AIOKafkaConsumer(
        **kafka.client_args(), isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        consumer.assign(places)
        async with asyncio.timeout(READ_SECONDS_MAX):
            for place in places:
                end = await high_watermark(kafka, place)
                while await consumer.position(place) < end:
                    batch = await consumer.getmany(place, timeout_ms=200)
                    found.extend(batch.get(place, ()))
    finally:
        await consumer.stop()
    return found


async def until(condition: Callable[[], Awaitable[bool] | bool], seconds: float = 60.0) -> None:
    """Wait until it holds.  Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            outcome = condition()
            if outcome is True or (not isinstance(outcome, bool) and await outcome):
                return
            await asyncio.sleep(0.02)
