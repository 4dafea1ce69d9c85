"""What a partition consumer remembers of a batch when its owner changes meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from bus.clock import SystemClock
from bus.consumer import PartitionConsumer
from bus.settings import KafkaSettings
from schemas.topics import RAW
from tests.unit.normalizer.feed import raw_record


class _Waiting:
    """An `Owned` whose batch ends when the test says so."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def open(self) -> None:
        pass

    async def handle(self, records: Sequence[ConsumerRecord]) -> None:
        await self.go_on.wait()

    async def close(self) -> None:
        pass


class _AtEnd:
    """A Kafka consumer that stands behind every batch."""

    async def position(self, partition: TopicPartition) -> int:
        return 100


class _Consumer(PartitionConsumer):
    @property
    def consumer(self) -> AIOKafkaConsumer:
        return cast("AIOKafkaConsumer", _AtEnd())


async def test_a_late_batch_of_a_replaced_owner_does_not_move_the_next_offset() -> None:
    """The new owner has sought to what is committed: records from there on are no stale batch."""
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:9")
    old, new = _Waiting(), _Waiting()
    consumer = _Consumer(
        kafka, RAW, "g", lambda number, broken: new, clock=SystemClock(), on_fatal=lambda _: None
    )
    consumer.owned[0], consumer._next[0] = old, 50
    handling = asyncio.create_task(
        consumer._handle(0, [raw_record(b"k", b"v", [], offset=offset) for offset in (50, 51)])
    )
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    consumer.owned[0] = new  # taken over again, from the committed offset
    old.go_on.set()
    await handling

    assert consumer._next[0] == 50
