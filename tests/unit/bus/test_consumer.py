"""What a partition consumer remembers, what it calls healthy, and how long it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from bus.clock import Clock, SystemClock
from bus.consumer import STUCK_SECONDS, Owned, PartitionConsumer
from bus.errors import RetryLater
from bus.settings import KafkaSettings
from bus.shell import Listener, shell, sticky
from bus.table import Table
from schemas.topics import FULFILLMENTS, RAW
from tests.unit.normalizer.feed import raw_record

KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:9")


class _Waiting:
    """An `Owned` whose batch ends when the test says so."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.table = Table(KAFKA, FULFILLMENTS, 0)

    async def open(self) -> None:
        pass

    async def handle(self, records: Sequence[ConsumerRecord]) -> None:
        await self.go_on.wait()

    async def close(self) -> None:
        await self.go_on.wait()


class _AtEnd:
    """A Kafka consumer that stands behind every batch."""

    async def position(self, partition: TopicPartition) -> int:
        return 100


class _Consumer(PartitionConsumer):
    def place_at(self, consumer: object) -> None:
        """Another Kafka consumer than one that stands behind every batch."""
        self._under = consumer

    @property
    def consumer(self) -> AIOKafkaConsumer:
        return cast("AIOKafkaConsumer", getattr(self, "_under", None) or _AtEnd())


class _Leaping(SystemClock):
    """The machine's clock, moved ahead by hand."""

    ahead_seconds = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_seconds


class _Quick(KafkaSettings):
    """A revocation that is given up at once."""

    @property
    def batch_seconds_max(self) -> float:
        return 0.01

    @property
    def close_seconds_max(self) -> float:
        return 0.01


def consumer_of(
    owned: Owned, kafka: KafkaSettings = KAFKA, clock: Clock | None = None
) -> _Consumer:
    return _Consumer(
        kafka,
        RAW,
        "g",
        lambda number, broken: owned,
        clock=clock or SystemClock(),
        on_fatal=lambda _: None,
    )


async def test_a_late_batch_of_a_replaced_owner_does_not_move_the_next_offset() -> None:
    """The new owner has sought to what is committed: records from there on are no stale batch."""
    old, new = _Waiting(), _Waiting()
    consumer = consumer_of(new)
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


async def test_a_restore_that_reads_on_is_healthy_however_long_it_takes() -> None:
    """Each look finds more records read; the same records read again are no progress."""
    clock, owned = _Leaping(), _Waiting()
    consumer = consumer_of(owned, clock=clock)
    consumer._waiting_since[0] = clock.monotonic()
    consumer._built(0)
    for records in range(1000, 6000, 1000):
        clock.ahead_seconds += STUCK_SECONDS * 0.9
        owned.table.on_progress(records)
    reading = consumer.health()["ok"]
    clock.ahead_seconds += STUCK_SECONDS * 0.9
    owned.table.on_progress(3000)  # a second attempt, which is behind the first
    clock.ahead_seconds += STUCK_SECONDS * 0.9
    owned.table.on_progress(4000)

    assert (True, False) == (reading, consumer.health()["ok"])


async def test_a_batch_that_does_not_end_holds_a_revocation_up_for_a_bounded_time() -> None:
    """The group waits for the revocation, so it ends, and the table of that batch is not kept."""
    owned = _Waiting()
    consumer = consumer_of(owned, _Quick(bootstrap_servers="127.0.0.1:9"))
    consumer.owned[0] = owned
    await consumer._lock.acquire()  # as the handler of the batch does
    owned.table.settled = True
    await consumer.revoked([0])

    assert ({}, {}) == (consumer.owned, consumer._kept)
    owned.go_on.set()


@pytest.mark.parametrize("transaction_timeout_ms", [1_000, 20_000, 300_000])
@pytest.mark.parametrize("session_timeout_ms", [500, 10_000, 300_000])
async def test_the_group_waits_longer_than_a_revocation_takes(
    session_timeout_ms: int, transaction_timeout_ms: int
) -> None:
    """Else the partitions of a member that still closes them would be given to others."""
    kafka = KAFKA.model_copy(
        update={
            "session_timeout_ms": session_timeout_ms,
            "transaction_timeout_ms": transaction_timeout_ms,
        }
    )
    listener = Listener(lambda _: asyncio.sleep(0), lambda _: asyncio.sleep(0))
    _, subscriber = shell(kafka, "t", "g", lambda _: asyncio.sleep(0), listener)
    given_ms = subscriber._connection_args["rebalance_timeout_ms"]

    revocation_seconds = kafka.batch_seconds_max + kafka.close_seconds_max
    assert given_ms == kafka.rebalance_timeout_ms > revocation_seconds * 1000
    assert kafka.close_seconds_max > kafka.drain_seconds_max + kafka.commit_seconds_max


def test_each_consumer_of_a_process_remembers_its_own_assignment() -> None:
    """The client keeps it on the class of the assignor; the notifier has two consumers."""
    events, write_backs = sticky(), sticky()
    events.on_assignment(ConsumerProtocolMemberAssignment(0, [("events", [1, 4])], b""))

    assert [TopicPartition("events", 1), TopicPartition("events", 4)] == events.member_assignment
    assert write_backs.member_assignment is None


class _Silent:
    """A Kafka consumer whose coordinator never answers."""

    async def committed(self, partition: TopicPartition) -> int:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_takeover_does_not_wait_for_ever_for_the_committed_offset() -> None:
    """The client has no limit of its own; the takeover is tried again, up to its own bound."""
    consumer = consumer_of(_Waiting(), KAFKA.model_copy(update={"request_timeout_ms": 10}))
    consumer.place_at(_Silent())
    with pytest.raises(RetryLater, match="does not tell the committed offset"):
        await consumer._seek(TopicPartition("t.raw", 0))
