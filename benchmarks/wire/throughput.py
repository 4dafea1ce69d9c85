"""Writing a backlog, and how fast a group gets through it: from the offsets it has committed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import islice

from aiokafka import AIOKafkaConsumer

from bus import reading
from bus.clock import Clock
from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction, Writer
from schemas.topics import RAW, Topic

TRANSACTION_RECORDS = 10_000
CHECK_SECONDS = 0.1
DRAIN_SECONDS_MAX = 240.0
MARKERS_MAX = 1  # a commit marker ends each partition: an offset that no group covers
WARM_UP_SHARE = 0.1  # of a backlog: starting up is another figure

Sample = tuple[float, int]
"""An instant of the monotonic clock, and how many offsets were committed then."""


async def written(kafka: KafkaSettings, records: Iterable[Record]) -> int:
    """Write records in transactions, as a service does; how many there were."""
    writer, count, rest = Writer(kafka, f"{kafka.prefix}.load"), 0, iter(records)
    await writer.start()
    try:
        while chunk := list(islice(rest, TRANSACTION_RECORDS)):
            await writer.commit(Transaction(chunk))
            count += len(chunk)
    finally:
        await writer.close()
    return count


async def drained(
    kafka: KafkaSettings, group: str, clock: Clock, topic: Topic = RAW
) -> list[Sample]:
    """What `group` had committed, again and again, until it has covered the topic.

    Raises TimeoutError.
    Offsets that commit markers take are covered like records.
    """
    ends = await reading.ends(kafka, topic)
    samples: list[Sample] = []
    consumer = AIOKafkaConsumer(**kafka.client_args(), group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        async with asyncio.timeout(DRAIN_SECONDS_MAX):
            missing = sum(ends.values())
            while missing > MARKERS_MAX * len(ends):
                await clock.sleep(CHECK_SECONDS)
                found = [await consumer.committed(place) or 0 for place in ends]
                samples.append((clock.monotonic(), sum(found)))
                missing = sum(ends.values()) - sum(found)
    finally:
        await consumer.stop()
    return samples


def rate(samples: Sequence[Sample], records: int) -> float:
    """Records a second from the end of the warm-up to the end of a backlog of so many records."""
    (end_at, end), warm = samples[-1], WARM_UP_SHARE * samples[-1][1]
    began_at, begin = next(sample for sample in samples if sample[1] >= warm)
    return records * (end - begin) / end / (end_at - began_at) if end_at > began_at else 0.0
