"""Writing a backlog, waiting until a group has read it, and how fast that went."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer

from bus.clock import Clock
from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction, Writer
from console import reading
from schemas.topics import EVENTS, RAW

TRANSACTION_RECORDS = 1000
CHECK_SECONDS = 0.2
DRAIN_SECONDS_MAX = 60.0
MARKERS_MAX = 1  # a commit marker ends each partition: an offset that no group covers
EDGE_SHARE = 0.1  # of a run, at either end: starting up, and partitions running dry


async def written(kafka: KafkaSettings, records: Sequence[Record]) -> None:
    """Write raw records in transactions, as a poller does."""
    writer = Writer(kafka, f"{kafka.prefix}.load")
    await writer.start()
    try:
        for begin in range(0, len(records), TRANSACTION_RECORDS):
            await writer.commit(Transaction(list(records[begin : begin + TRANSACTION_RECORDS])))
    finally:
        await writer.close()


async def drained(kafka: KafkaSettings, group: str, clock: Clock) -> None:
    """Returns once `group` has covered all of raw.  Raises TimeoutError."""
    ends = await reading.ends(kafka, RAW)
    consumer = AIOKafkaConsumer(**kafka.client_args(), group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        async with asyncio.timeout(DRAIN_SECONDS_MAX):
            for place, end in ends.items():
                while end - (await consumer.committed(place) or 0) > MARKERS_MAX:
                    await clock.sleep(CHECK_SECONDS)
    finally:
        await consumer.stop()


async def steady_rate(kafka: KafkaSettings, backlog_records: int) -> float:
    """Raw records a second, from the instants their outputs were written."""
    outputs = await reading.records(kafka, EVENTS, {})
    return rate([record.timestamp for record in outputs], backlog_records)


def rate(timestamps_ms: Sequence[int], inputs: int) -> float:
    """Inputs a second in the middle of a run, whose outputs are spread evenly over its inputs."""
    instants = sorted(timestamps_ms)
    edge = int(len(instants) * EDGE_SHARE)
    took_ms = instants[-1 - edge] - instants[edge]
    return inputs * (1 - 2 * EDGE_SHARE) / (took_ms / 1000)
