"""From a raw record's commit to the first event of it that a subscriber can read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

from aiokafka import AIOKafkaConsumer, TopicPartition

from bus.clock import Clock
from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction, Writer
from schemas.topics import EVENTS

# Uneven, so that sending never keeps step with what waits for batches on the other side.
PAUSE_SECONDS = (0.01, 0.05)
SEED = 7
WARM_UP_RECORDS = 20
SECONDS_MAX = 60.0
FETCH_WAIT_MS = 200


async def latencies_ms(
    kafka: KafkaSettings, records: Sequence[Record], clock: Clock
) -> list[float]:
    """One record a transaction, one after the other; sorted, warm-up left out.

    Each record's key must be new: it is known by its first event.  Raises TimeoutError.
    """
    consumer = AIOKafkaConsumer(**kafka.client_args(), isolation_level="read_committed")
    writer = Writer(kafka, f"{kafka.prefix}.light")
    await consumer.start()
    try:
        topic, count = kafka.topic(EVENTS), kafka.partition_count(EVENTS)
        places = [TopicPartition(topic, number) for number in range(count)]
        consumer.assign(places)
        await consumer.seek_to_end(*places)
        await writer.start()
        async with asyncio.timeout(SECONDS_MAX), asyncio.TaskGroup() as group:
            reading = group.create_task(_arrivals(consumer, {r.key for r in records}, clock))
            writing = group.create_task(_commits(writer, records, clock))
    finally:
        await writer.close()
        await consumer.stop()
    arrived_at, committed_at = reading.result(), writing.result()
    measured = list(committed_at.items())[WARM_UP_RECORDS:]
    return sorted((arrived_at[key] - at) * 1000 for key, at in measured)


async def _commits(writer: Writer, records: Sequence[Record], clock: Clock) -> dict[str, float]:
    """When each record's commit was answered, in seconds of the monotonic clock."""
    found, chance = {}, Random(SEED)
    for record in records:
        await writer.commit(Transaction([record]))
        found[record.key] = clock.monotonic()
        await clock.sleep(chance.uniform(*PAUSE_SECONDS))
    return found


async def _arrivals(consumer: AIOKafkaConsumer, keys: set[str], clock: Clock) -> dict[str, float]:
    """When each key's first event was read."""
    found: dict[str, float] = {}
    while len(found) < len(keys):
        batches = await consumer.getmany(timeout_ms=FETCH_WAIT_MS)
        now = clock.monotonic()
        for batch in batches.values():
            for record in batch:
                found.setdefault(record.key.decode(), now)
    return found
