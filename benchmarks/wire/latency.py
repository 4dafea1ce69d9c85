"""From a raw record's commit to the first event of it that a subscriber can read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

from aiokafka import AIOKafkaConsumer, TopicPartition

from bus.clock import Clock
from bus.errors import Stop
from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction, Writer
from schemas.topics import EVENTS

# Uneven, so that sending never keeps step with what waits for batches on the other side.
RECORDS_MAX = 9  # in one transaction, one at least
SEED = 7
WARM_UP_SHARE = 0.1
RATE_SHARE_MIN = 0.95  # of the rate that was asked for
SECONDS_MAX = 60.0
FETCH_WAIT_MS = 200


async def latencies_ms(
    kafka: KafkaSettings, records: Sequence[Record], clock: Clock, per_second: float
) -> list[float]:
    """Records written at a rate, a few in a transaction; warm-up left out.

    Each record's key must be new: it is known by its first event.  Raises TimeoutError, and Stop
    when the rate could not be kept.
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
            writing = group.create_task(commits(writer, records, clock, per_second))
    finally:
        await writer.close()
        await consumer.stop()
    arrived_at, committed_at = reading.result(), writing.result()
    measured = list(committed_at.items())[int(len(records) * WARM_UP_SHARE) :]
    took = measured[-1][1] - measured[0][1]
    if len(measured) / took < RATE_SHARE_MIN * per_second:
        raise Stop(f"{len(measured) / took:.0f} records/s were written, {per_second:g} were due")
    return [(arrived_at[key] - at) * 1000 for key, at in measured]


async def commits(
    writer: Writer,
    records: Sequence[Record],
    clock: Clock,
    per_second: float,
    records_max: int = RECORDS_MAX,
) -> dict[str, float]:
    """When each record's commit was answered, in seconds of the monotonic clock."""
    found, chance, began = dict[str, float](), Random(SEED), clock.monotonic()
    while len(found) < len(records):
        due = began + len(found) / per_second
        await clock.sleep(max(0.0, due - clock.monotonic()))
        chunk = records[len(found) : len(found) + chance.randint(1, records_max)]
        await writer.commit(Transaction(list(chunk)))
        found |= dict.fromkeys((record.key for record in chunk), clock.monotonic())
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
