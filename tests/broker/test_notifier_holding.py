"""The notifier on a real Kafka: what may not go now waits, counted, through a restart too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bus.clock import SystemClock
from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction, Writer
from schemas.dead_letter import DeadLetter
from schemas.subscription import EndpointHealth, Subscription
from schemas.topics import DEAD_LETTERS, DELIVERIES, SUBSCRIPTIONS, Topic
from services.notifier.app import Notifier
from services.notifier.known import health_key
from services.notifier.subscriptions import SubscriptionStore
from testbed.receiver import Receiver
from tests.broker.notifying import (
    PATIENT,
    SECRET,
    accepted,
    attempts,
    by_order,
    emit,
    notifying,
    shipped,
    unfinished,
    webhook,
)
from tests.broker.reading import records, until

DOWN: dict[str, Any] = {"name": "status", "status": 500, "count": None}


def held(service: Notifier) -> object:
    """How many events of `erp` cannot go on, by why."""
    counts = service.health()["held_events"]
    assert isinstance(counts, dict)
    return counts.get("erp")


async def change(kafka: KafkaSettings, *, well_again: bool = False, **update: Any) -> None:
    """Change the subscription `erp`, as an operator does."""

    def revise(before: Subscription) -> Subscription:
        return before.model_copy(update=update)

    await SubscriptionStore(kafka, SystemClock()).update("erp", revise, well_again=well_again)


async def test_a_rate_makes_wait_and_spends_no_try(topics: KafkaSettings, tmp_path: Path) -> None:
    """One goes, the others are held for the rate; when it is lifted each goes at its first try."""
    receiver = Receiver(SECRET)
    await emit(topics, range(8), 1)
    async with receiver.serve() as url:
        entry = webhook("erp", url, tmp_path, rate_per_second=1 / 86_400)
        async with notifying(topics, entry) as service:
            await until(lambda: held(service) == {"rate": 7} and len(receiver.records) == 1)
            await change(topics, rate_per_second=None)
            await until(lambda: len(accepted(receiver)) == 8)
            await until(lambda: held(service) is None)

    assert {(one.number, one.outcome) for one in await attempts(topics)} == {(1, "delivered")}
    assert receiver.stats()["requests"] == 8


async def test_an_endpoint_that_is_down_is_probed_and_what_is_for_it_is_held(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """A few tries for many events, in the next owner too; nothing lost, nothing twice."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([DOWN])
    patient: dict[str, Any] = {"retry_schedule_seconds": [0.1] * 50, "probe_seconds_max": 3600}
    await emit(topics, range(30), 1)
    async with receiver.serve() as url:
        entry = webhook("erp", url, tmp_path, concurrency=2)
        async with notifying(topics, entry, **patient) as service:
            await until(lambda: held(service) == {"breaker": 30})
            assert len(receiver.records) < 30
        async with notifying(topics, entry, **patient) as service:
            await until(lambda: held(service) == {"breaker": 30})
            receiver.behavior.clear()
            await until(lambda: len(accepted(receiver)) == 30)
            await until(lambda: held(service) is None)

    assert by_order(accepted(receiver)) == {order: [1] for order in range(30)}
    assert receiver.stats()["redelivered"] == 0
    assert await records(topics, DEAD_LETTERS) == []


async def test_a_disabled_subscription_counts_what_matches_and_the_next_owner_counts_it_again(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Its positions stand; enabled it gets every event, each once."""
    receiver = Receiver(SECRET)
    async with receiver.serve() as url:
        entry = webhook("erp", url, tmp_path)
        other = webhook("crm", url, tmp_path, types=["fulfillment.*"])
        async with notifying(topics, entry, other) as service:
            await emit(topics, range(5), 1)
            await until(lambda: len(accepted(receiver)) == 5)
            await change(topics, disabled_reason="they move house")
            await until(lambda: service.health()["held"] == {"erp": "they move house"})
            await emit(topics, range(12), 2)
            await until(lambda: held(service) == {"disabled": 12})
        async with notifying(topics, entry, other) as service:
            await until(lambda: held(service) == {"disabled": 12})
            assert service.health()["held_events"] == {"erp": {"disabled": 12}}
            assert len(receiver.records) == 5
            await change(topics, disabled_reason=None)
            await until(lambda: len(accepted(receiver)) == 17)
            await until(lambda: held(service) is None)

    assert receiver.stats()["redelivered"] == 0
    assert by_order(accepted(receiver))[0] == [1, 2]


async def test_a_paused_endpoint_stays_paused_in_the_next_owner(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Retry-After of an hour: counted as paused, until somebody says that it is well again."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "status", "status": 429, "headers": {"Retry-After": "3600"}}])
    async with receiver.serve() as url:
        entry = webhook("erp", url, tmp_path, concurrency=1)
        await emit(topics, range(9), 1)
        async with notifying(topics, entry) as service:
            await until(lambda: held(service) == {"paused": 9})
            await until(lambda: _written(topics, "paused_until"))
        async with notifying(topics, entry) as service:
            await until(lambda: held(service) == {"paused": 9})
            assert len(receiver.records) == 1
            await change(topics, well_again=True)
            await until(lambda: len(accepted(receiver)) == 9)

    numbers = [one.number for one in await attempts(topics) if one.outcome == "delivered"]
    assert sorted(numbers) == [1] * 8 + [2]


async def test_an_endpoint_that_failed_for_days_is_disabled_and_says_why(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Since when is known from before the start; what is for it is held."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([DOWN])
    since = datetime.now(UTC).replace(microsecond=0) - timedelta(days=6)
    store = SubscriptionStore(topics, SystemClock())
    async with receiver.serve() as url:
        entry = webhook("erp", url, tmp_path, concurrency=1)
        await store.sync([entry])
        await store.report(
            EndpointHealth(
                subscription="erp", failing_since=since, failed_tries=19, updated_at=since
            )
        )
        await emit(topics, range(6), 1)
        async with notifying(topics, entry) as service:
            await until(lambda: held(service) == {"disabled": 6})
            assert "no try succeeded since" in str(service.health()["held"])
            await until(lambda: _written(topics, "disabled_reason"))
            receiver.behavior.clear()
            await change(topics, well_again=True)
            await until(lambda: len(accepted(receiver)) == 6)
            await until(lambda: held(service) is None)


async def test_a_success_ends_the_time_that_an_endpoint_failed(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Every copy learns of it, and a later failure begins a new time."""
    receiver = Receiver(SECRET)
    since = datetime.now(UTC) - timedelta(days=6)
    store = SubscriptionStore(topics, SystemClock())
    async with receiver.serve() as url:
        entry = webhook("erp", url, tmp_path)
        await store.sync([entry])
        await store.report(
            EndpointHealth(
                subscription="erp", failing_since=since, failed_tries=400, updated_at=since
            )
        )
        await emit(topics, range(3), 1)
        async with notifying(topics, entry) as service:
            await until(lambda: len(accepted(receiver)) == 3)
            await until(lambda: _well(topics))
            receiver.behavior.add([{"name": "status", "status": 500}])
            await emit(topics, range(3), 2)
            await until(lambda: len(accepted(receiver)) == 6)
            assert service.health()["held"] == {}


async def test_a_head_that_fails_past_its_lane_deadline_lets_the_lane_go_on(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Set aside with tries left, and why; the schedule alone would hold the lane for minutes."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{**DOWN, "match": "pkg_0_1"}])
    for revision in (1, 2):
        await emit(topics, [0], revision)
    async with receiver.serve() as url:
        entry = webhook("erp", url, tmp_path, lane_deadline_seconds=1.0)
        async with notifying(topics, entry, retry_schedule_seconds=[0.2, *[60.0] * 20]):
            await until(lambda: accepted(receiver) == ["pkg_0_2"])

    (letter,) = await records(topics, DEAD_LETTERS)
    assert DeadLetter.read(dict(letter.headers)).reason.startswith("lane deadline: failing since")
    assert await unfinished(topics) == set()


async def test_unordered_events_pass_one_that_fails(topics: KafkaSettings, tmp_path: Path) -> None:
    """Of the same fulfillment, too; it is tried again all the same."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{**DOWN, "match": "pkg_0_1"}])
    for revision in (1, 2, 3):
        await emit(topics, [0], revision)
    async with receiver.serve() as url:
        entry = webhook("erp", url, tmp_path, order="unordered")
        async with notifying(topics, entry, **PATIENT):
            await until(lambda: set(accepted(receiver)) == {"pkg_0_2", "pkg_0_3"})
            receiver.behavior.clear()
            await until(lambda: len(accepted(receiver)) == 3)

    assert accepted(receiver)[-1] == "pkg_0_1"


async def test_of_a_deleted_subscription_nothing_stays(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Deliveries and positions, whether a copy saw it happen or none was there."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([DOWN])
    store = SubscriptionStore(topics, SystemClock())
    await emit(topics, range(12), 1)
    async with receiver.serve() as url:
        seen, unseen = webhook("seen", url, tmp_path), webhook("unseen", url, tmp_path)
        async with notifying(topics, seen, unseen, **PATIENT) as service:
            await until(lambda: service.health()["pending"] == 24)
            await store.delete("seen", lambda _: None)
            await until(lambda: service.health()["pending"] == 12)
        await store.delete("unseen", lambda _: None)
        async with notifying(topics):
            await until(lambda: _empty(topics))

    assert await records(topics, DEAD_LETTERS) == []


async def _empty(kafka: KafkaSettings) -> bool:
    """Whether every key of the deliveries topic ended in a tombstone."""
    found = {record.key: record.value for record in await records(kafka, DELIVERIES)}
    return bool(found) and set(found.values()) == {None}


async def _health(kafka: KafkaSettings) -> EndpointHealth | None:
    """What is written about the endpoint of `erp`."""
    key = health_key("erp").encode()
    values = [one.value for one in await records(kafka, SUBSCRIPTIONS) if one.key == key]
    return EndpointHealth.model_validate_json(values[-1]) if values and values[-1] else None


async def _written(kafka: KafkaSettings, name: str) -> bool:
    """Whether every copy can know it; before that, an operator would not undo it."""
    health = await _health(kafka)
    return health is not None and getattr(health, name) is not None


async def _well(kafka: KafkaSettings) -> bool:
    """Whether the time that it failed is over for every copy."""
    health = await _health(kafka)
    return health is not None and health.failing_since is None


async def put(kafka: KafkaSettings, topic: Topic, number: int, key: str, value: bytes) -> None:
    """One record of state, whoever wrote it."""
    writer = Writer(kafka, f"{kafka.prefix}.stranger")
    await writer.start()
    await writer.commit(Transaction([Record(kafka.topic(topic), number, key, value)]))
    await writer.close()


async def newest(kafka: KafkaSettings, topic: Topic, key: str) -> dict[int, bytes]:
    """What stands under a key, by partition."""
    found = await records(kafka, topic)
    return {one.partition: one.value for one in found if one.key == key.encode()}


async def test_a_subscription_that_cannot_be_read_holds_its_events(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Over a restart too: nothing is sent or dropped, its file changes nothing, all comes later."""
    receiver, other = Receiver(SECRET), Receiver(SECRET)
    await emit(topics, range(3), 1)
    async with receiver.serve() as url, other.serve() as other_url:
        entries = webhook("erp", url, tmp_path), webhook("wms", other_url, tmp_path)
        async with notifying(topics, *entries) as service:
            await until(lambda: (len(accepted(receiver)), len(accepted(other))) == (3, 3))
            good = (await newest(topics, SUBSCRIPTIONS, "erp"))[0]
            await put(topics, SUBSCRIPTIONS, 0, "erp", b'{"id": 7}')
            await until(lambda: "erp" in str(service.health()["unreadable"]))
            await emit(topics, range(3), 2)
            await until(lambda: len(accepted(other)) == 6)
        async with notifying(topics, *entries) as service:
            await emit(topics, range(3), 3)
            await until(lambda: len(accepted(other)) == 9 and bool(service.health()["ready"]))
            health = service.health()
            before = by_order(accepted(receiver))
            await put(topics, SUBSCRIPTIONS, 0, "erp", good)
            await until(lambda: len(accepted(receiver)) == 9)
            await until(lambda: service.health()["unreadable"] == {})

    assert before == {0: [1], 1: [1], 2: [1]}
    assert [f"{topics.topic(SUBSCRIPTIONS)}/0 erp"] == [*health["unreadable"]]  # type: ignore[misc]
    assert (health["ok"], health["ready"]) == (True, True)
    assert "cannot be read" in health["held"]["erp"]  # type: ignore[index]
    assert by_order(accepted(receiver)) == {0: [1, 2, 3], 1: [1, 2, 3], 2: [1, 2, 3]}


async def test_a_position_that_cannot_be_read_holds_its_subscription_in_its_partition(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """It is not taken for none, which would send everything again, and nobody writes over it."""
    receiver = Receiver(SECRET)
    await emit(topics, range(12), 1)
    async with receiver.serve() as url:
        entry = webhook("erp", url, tmp_path)
        async with notifying(topics, entry):
            await until(lambda: len(accepted(receiver)) == 12)
        positions = await newest(topics, DELIVERIES, "erp/position")
        number = min(positions)
        await put(topics, DELIVERIES, number, "erp/position", b"{}")
        await emit(topics, range(12), 2)
        held = [n for n in range(12) if partition_of(shipped(n, 2).key, 6) == number]
        async with notifying(topics, entry) as service:
            await until(lambda: len(accepted(receiver)) == 24 - len(held))
            await until(lambda: "unreadable" in str(service.health()["held_events"]))
            health = service.health()
        kept = (await newest(topics, DELIVERIES, "erp/position"))[number]
        await put(topics, DELIVERIES, number, "erp/position", positions[number])
        async with notifying(topics, entry):
            await until(lambda: len(accepted(receiver)) == 24)

    assert [f"{topics.topic(DELIVERIES)}/{number} erp/position"] == [*health["unreadable"]]  # type: ignore[misc]
    assert kept == b"{}"
    assert by_order(accepted(receiver)) == {order: [1, 2] for order in range(12)}
    assert receiver.stats()["requests"] == 24
