"""Takeover, rebalance and the stale-batch guard, on a real group."""

from __future__ import annotations

import asyncio

from faststream.kafka import KafkaMessage
from faststream.kafka.message import FAKE_CONSUMER

from bus.clock import SystemClock
from bus.consumer import PartitionConsumer
from bus.errors import Blocked, Stop
from bus.settings import KafkaSettings
from bus.transaction import Transaction, Writer
from schemas.topics import FULFILLMENTS, RAW
from tests.broker.copying import Broken, Copying, Member, copied, produce
from tests.broker.reading import records, until


async def test_every_record_comes_out_once_and_in_order(topics: KafkaSettings) -> None:
    """The plain way, two members sharing the partitions."""
    await produce(topics, 0, 3000)
    members = [Member(topics), Member(topics)]
    await asyncio.gather(*(member.consumer.start() for member in members))

    async def all_out() -> bool:
        return len(await copied(topics)) >= 3000

    await until(all_out)
    await asyncio.gather(*(member.consumer.stop() for member in members))

    values = await copied(topics)
    assert sorted(values) == list(range(3000))
    assert all(
        part == sorted(part)
        for part in ([v for v in values if v % 6 == number] for number in range(6))
    )
    assert [] == members[0].fatal + members[1].fatal


async def test_members_coming_and_going_double_nothing(topics: KafkaSettings) -> None:
    """Rebalances run while handlers wait: without the stale-batch guard this doubles records."""
    steady = Member(topics)
    await steady.consumer.start()
    producing = asyncio.create_task(produce(topics, 0, 6000))
    for _ in range(4):
        guest = Member(topics)
        await guest.consumer.start()
        await until(lambda guest=guest: bool(guest.consumer.owned))  # type: ignore[misc]
        await guest.consumer.stop()
        assert [] == guest.fatal
    await producing

    async def all_out() -> bool:
        return len(await copied(topics)) >= 6000

    await until(all_out)
    await steady.consumer.stop()

    assert sorted(await copied(topics)) == list(range(6000))
    assert [] == steady.fatal


async def test_a_fenced_owner_rebuilds_and_goes_on_from_what_is_committed(
    topics: KafkaSettings,
) -> None:
    """Somebody starts a writer with the partition's id: the owner re-reads, nothing doubles."""
    await produce(topics, 0, 600)
    member = Member(topics)
    await member.consumer.start()
    await until(lambda: len(member.consumer.owned) == 6)
    operator = Writer(topics, f"{topics.prefix}.g.raw.0")
    await operator.start()
    await operator.close()
    await produce(topics, 600, 1200)

    async def all_out() -> bool:
        return len(await copied(topics)) >= 1200

    await until(all_out)

    assert sorted(await copied(topics)) == list(range(1200))
    assert len([owned for owned in member.built if owned.number == 0]) >= 2
    state = {r.key: r.value for r in await records(topics, FULFILLMENTS, 0)}
    assert state == {b"k0": b"200"}
    await member.consumer.stop()


async def test_a_batch_whose_partition_is_revoked_meanwhile_is_not_written_twice(
    topics: KafkaSettings,
) -> None:
    """Revocation waits for the batch in hand; the next owner begins after it."""
    first, second = Member(topics), Member(topics)
    await first.consumer.start()
    await until(lambda: len(first.consumer.owned) == 6)
    held, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        held.set()
        await go_on.wait()

    for owned in first.built:
        owned.before_commit = hold
    await produce(topics, 0, 300)
    await held.wait()
    joining = asyncio.create_task(second.consumer.start())
    await asyncio.sleep(0)
    go_on.set()
    await joining

    async def all_out() -> bool:
        return len(await copied(topics)) >= 300

    await until(all_out)
    await first.consumer.stop()
    await second.consumer.stop()

    assert sorted(await copied(topics)) == list(range(300))


async def test_a_batch_fetched_before_the_seek_is_dropped(topics: KafkaSettings) -> None:
    """The guard itself: a batch that waited through a takeover is already committed work."""
    await produce(topics, 0, 60)
    member = Member(topics)
    await member.consumer.start()

    async def all_out() -> bool:
        return len(await copied(topics)) >= 60

    await until(all_out)
    stale = tuple(await records(topics, RAW, 0))
    await member.consumer._consume(
        KafkaMessage(raw_message=stale, body=b"", consumer=FAKE_CONSUMER)
    )
    await member.consumer.stop()

    assert sorted(await copied(topics)) == list(range(60))


async def test_what_stays_with_a_member_in_a_rebalance_is_not_read_again(
    topics: KafkaSettings,
) -> None:
    """Half of the partitions go to the second member; of the others the last batch is read."""
    first, second = Member(topics), Member(topics)

    async def out(count: int) -> None:
        async def all_out() -> bool:
            return len(await copied(topics)) >= count

        await until(all_out)

    await first.consumer.start()
    await produce(topics, 0, 1200)
    await out(1200)
    await produce(topics, 1200, 1206)
    await out(1206)
    await second.consumer.start()
    await until(lambda: len(second.consumer.owned) == 3 == len(first.consumer.owned))
    stayed = {number: one.table.restored_count for number, one in first.consumer.owned.items()}
    moved = {number: one.table.restored_count for number, one in second.consumer.owned.items()}
    await produce(topics, 1206, 2400)
    await out(2400)
    await asyncio.gather(first.consumer.stop(), second.consumer.stop())

    assert {0, 1, 2, 3, 4, 5} == {*stayed, *moved}
    assert ({1}, {201}) == ({*stayed.values()}, {*moved.values()})
    assert sorted(await copied(topics)) == list(range(2400))
    state = [r.value for r in await records(topics, FULFILLMENTS) if int(r.value) == 400]
    assert len(state) == 6, "each key was counted once for each of its records"


async def test_what_another_owner_wrote_between_two_assignments_is_read(
    topics: KafkaSettings,
) -> None:
    """A table that comes back is brought up to the topic: nobody has to prove that it was idle."""
    await produce(topics, 0, 60)
    member = Member(topics)
    await member.consumer.start()
    await until(lambda: len(member.consumer.owned) == 6)

    async def all_out() -> bool:
        return len(await copied(topics)) >= 60

    await until(all_out)
    await member.consumer.revoked([0])
    kept = list(member.consumer._kept)
    other = Copying(topics, 0, lambda _: None)
    await other.open()
    assert other.committer is not None
    await other.committer.commit(Transaction([other.table.put("k0", b"70")]))
    await other.committer.commit(Transaction([other.table.put("new", b"1")]))
    await other.close()
    await member.consumer.assigned([0])
    await until(lambda: 0 in member.consumer.owned)
    taken = dict(member.consumer.owned[0].table.items())
    await member.consumer.stop()

    assert ([0], {"k0": b"70", "new": b"1"}) == (kept, taken)


class Refusing(Copying):
    """Cannot restore."""

    async def open(self) -> None:
        raise Stop("the state is from a newer version")


async def test_a_failed_takeover_ends_the_process(topics: KafkaSettings) -> None:
    """aiokafka only logs what an assignment callback raises; ours reaches the service."""
    fatal: list[BaseException] = []
    consumer = PartitionConsumer(
        topics,
        RAW,
        f"{topics.prefix}.g",
        lambda number, broken: Refusing(topics, number, broken),
        clock=SystemClock(),
        on_fatal=fatal.append,
    )
    await consumer.start()
    await until(lambda: bool(fatal))
    await consumer.stop()

    assert "newer version" in str(fatal[0])


class LeapingClock(SystemClock):
    """The machine's clock, moved ahead by hand."""

    def __init__(self) -> None:
        self.ahead_seconds = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_seconds


async def test_health_is_progress_not_being_alive(topics: KafkaSettings) -> None:
    """A partition that is assigned and never taken over is trouble once a minute has passed."""
    clock, go_on = LeapingClock(), asyncio.Event()

    class Stuck(Copying):
        async def open(self) -> None:
            await super().open()
            await go_on.wait()

    consumer = PartitionConsumer(
        topics,
        RAW,
        f"{topics.prefix}.g",
        lambda number, broken: Stuck(topics, number, broken),
        clock=clock,
        on_fatal=lambda error: None,
    )
    await consumer.start()
    await until(lambda: consumer.health()["waiting"] == [0, 1, 2, 3, 4, 5])
    soon = consumer.health()
    clock.ahead_seconds = 61.0
    late = consumer.health()
    go_on.set()
    await until(lambda: bool(consumer.health()["ready"]))
    mended = consumer.health()
    await consumer.stop()

    assert (True, False) == (soon["ok"], soon["ready"])
    assert (False, False) == (late["ok"], late["ready"])
    assert (True, []) == (mended["ok"], mended["waiting"])


async def test_a_partition_whose_state_cannot_be_read_waits_and_the_others_go_on(
    topics: KafkaSettings,
) -> None:
    """It is named in the health, which is no reason to start the process again."""
    clock = LeapingClock()

    class Unreadable(Copying):
        async def open(self) -> None:
            await super().open()
            if self.number == 2:
                raise Blocked("fulfillments/2 k2: not JSON")

    consumer = PartitionConsumer(
        topics,
        RAW,
        f"{topics.prefix}.g",
        lambda number, broken: Unreadable(topics, number, broken),
        clock=clock,
        on_fatal=lambda error: None,
    )
    await consumer.start()
    await until(lambda: len(consumer.owned) == 5 and bool(consumer.health()["blocked"]))
    clock.ahead_seconds = 1000.0
    health = consumer.health()
    await consumer.stop()

    assert {"2": "fulfillments/2 k2: not JSON"} == health["blocked"]
    assert (True, True, [0, 1, 3, 4, 5]) == (health["ok"], health["ready"], health["partitions"])


async def test_a_restore_longer_than_the_session_keeps_the_membership(
    topics: KafkaSettings,
) -> None:
    """Restoring runs beside the callback, so heartbeats go on."""
    patient = topics.model_copy(update={"session_timeout_ms": 5000})

    class Slow(Copying):
        async def open(self) -> None:
            await super().open()
            await SystemClock().sleep(6.5)

    built: list[Slow] = []

    def build(number: int, broken: Broken) -> Slow:
        built.append(Slow(patient, number, broken))
        return built[-1]

    fatal: list[BaseException] = []
    consumer = PartitionConsumer(
        patient, RAW, f"{patient.prefix}.g", build, clock=SystemClock(), on_fatal=fatal.append
    )
    await consumer.start()
    await until(lambda: len(consumer.owned) == 6)
    await consumer.stop()

    assert len(built) == 6, "each partition was built once: no rebalance in between"
    assert [] == fatal
