"""Lanes: order inside, one in flight, nothing lost, none waits for another."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from services.notifier.lanes import (
    SPREAD_SECONDS_EACH,
    STALE_ENTRIES_MAX,
    Claim,
    Lanes,
    Pending,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
HELD_SECONDS = 7.0


def pending(offset: int, lane: str = "a", subscription: str = "erp") -> Pending:
    """A delivery that is due now, of an event as old as its offset in hours."""
    event_at = NOW - 3600 * (100 - offset)
    return Pending(f"{subscription}/{offset}", subscription, lane, offset, event_at, NOW)


def lanes_of(*found: Pending, unordered: bool = False) -> Lanes:
    lanes = Lanes()
    lanes.let_unordered({"erp"} if unordered else set())
    for one in found:
        lanes.add(one)
    return lanes


def when_due(_: str, due_seconds: float) -> float:
    """Lets everything go that is due."""
    return due_seconds


def at_most(count: int) -> Claim:
    """Lets so many go for each subscription, then none for a while."""
    left: dict[str, int] = {}

    def claim(subscription: str, due_seconds: float) -> float:
        if due_seconds:
            return due_seconds
        left[subscription] = left.get(subscription, count) - 1
        return 0.0 if left[subscription] >= 0 else HELD_SECONDS

    return claim


def started(lanes: Lanes, now: float = NOW, claim: Claim = when_due) -> list[int]:
    return sorted(one.event_offset for one in lanes.due(now, claim)[0])


def test_the_head_of_each_lane_starts_and_the_rest_waits() -> None:
    """One at a time in a lane, all lanes at once."""
    lanes = lanes_of(pending(1), pending(2), pending(3, "b"))

    assert started(lanes) == [1, 3]
    assert started(lanes) == []


def test_a_lane_waits_with_its_head_and_other_lanes_go_on() -> None:
    """A head that is to be tried later keeps its place."""
    first, third = pending(1), pending(3, "b")
    lanes = lanes_of(first, pending(2), third, pending(4, "b"))
    assert started(lanes) == [1, 3]
    lanes.retry(first, NOW + 5)
    lanes.finish(third)

    assert started(lanes) == [4]
    assert lanes.due(NOW + 2, when_due) == ([], 3.0)
    assert started(lanes, NOW + 5) == [1]


def test_nothing_of_a_halted_subscription_starts_and_its_landing_is_seen() -> None:
    """Neither what is due nor what is about to be forgotten; others are not held up."""
    flying = pending(1)
    lanes = lanes_of(flying, pending(2, "b", "crm"))
    assert started(lanes) == [1, 2]
    for one in (pending(3, "c"), pending(4, "c", "crm")):
        lanes.add(one)

    assert not lanes.halt("erp")
    assert started(lanes) == [4]
    assert lanes.aged(datetime.fromtimestamp(NOW, UTC), 10) == []
    lanes.retry(flying, NOW)
    assert lanes.halt("erp")
    assert started(lanes) == []
    lanes.go_on("erp")
    assert started(lanes) == [1, 3]


def test_a_finished_head_lets_the_next_one_of_its_lane_start() -> None:
    """Delivered or set aside: the lane goes on in the order of events."""
    first = pending(1)
    lanes = lanes_of(first, pending(2))
    assert started(lanes) == [1]
    lanes.finish(first)

    assert started(lanes) == [2]
    assert len(lanes) == 1


def test_an_older_event_comes_before_what_waits() -> None:
    """Recovered or set aside before: its lane is in the order of events all the same."""
    lanes = lanes_of(pending(5), pending(7), pending(3), pending(6))
    order: list[int] = []
    while lanes:
        [one], _ = lanes.due(NOW, when_due)
        order.append(one.event_offset)
        lanes.finish(one)

    assert order == [3, 5, 6, 7]


def test_an_older_event_waits_for_what_is_in_flight_and_comes_before_its_next_try() -> None:
    """What was begun cannot be taken back; at most one of a lane is on its way."""
    fifth = pending(5)
    lanes = lanes_of(fifth)
    assert started(lanes) == [5]
    lanes.add(pending(3))
    assert started(lanes) == []
    lanes.retry(fifth, NOW)

    assert started(lanes) == [3]


def test_a_head_put_back_by_an_older_event_keeps_its_due_time() -> None:
    """It waits for its own next try when the older one is done."""
    fifth, third = pending(5), pending(3)
    lanes = lanes_of(fifth)
    started(lanes)
    lanes.retry(fifth, NOW + 60)
    lanes.add(third)
    assert started(lanes) == [3]
    lanes.finish(third)

    assert started(lanes, NOW + 59) == []
    assert started(lanes, NOW + 60) == [5]


def test_unordered_deliveries_do_not_wait_for_each_other() -> None:
    """One that fails holds up nobody, in its own lane neither."""
    first = pending(1)
    lanes = lanes_of(first, pending(2), pending(3), unordered=True)
    assert started(lanes) == [1, 2, 3]
    lanes.retry(first, NOW + 5)
    lanes.add(pending(4))

    assert started(lanes) == [4]
    assert started(lanes, NOW + 5) == [1]


def test_order_can_be_asked_for_while_several_of_a_lane_are_in_flight() -> None:
    """The lane goes on when the last of them has landed, then one by one."""
    first, second = pending(1), pending(2)
    lanes = lanes_of(first, second, unordered=True)
    assert started(lanes) == [1, 2]
    lanes.let_unordered(set())
    lanes.add(pending(3))
    lanes.finish(second)
    assert started(lanes) == []
    lanes.retry(first, NOW)
    assert started(lanes) == [1]
    lanes.let_unordered({"erp"})

    assert started(lanes) == [3]


def test_each_subscription_starts_what_its_endpoint_may_be_asked() -> None:
    """A slow or held endpoint takes nothing of another's; all that waits for it is kept."""
    lanes = lanes_of(
        *(pending(number, f"lane {number}") for number in range(5)),
        *(pending(number, f"lane {number}", "crm") for number in range(5)),
    )

    begun, wait_seconds = lanes.due(NOW, at_most(2))

    assert sorted(one.subscription for one in begun) == ["crm", "crm", "erp", "erp"]
    assert wait_seconds == HELD_SECONDS
    assert (lanes.count_of("erp"), lanes.waiting_of("erp")) == (5, 3)


def test_with_nothing_to_do_there_is_nothing_to_wait_for() -> None:
    """Whatever comes then wakes."""
    assert Lanes().due(NOW, when_due) == ([], math.inf)


def test_aged_deliveries_come_up_even_when_held() -> None:
    """What the topic is about to forget is found whatever its subscription's state."""
    lanes = lanes_of(pending(1), pending(2), pending(50, "b"), pending(99, "c"))
    limit = datetime.fromtimestamp(NOW, UTC) - timedelta(hours=40)

    assert [one.event_offset for one in lanes.aged(limit, 1)] == [1]
    assert [one.event_offset for one in lanes.aged(limit, 10)] == [50]
    assert started(lanes) == [99]


def test_what_is_begun_again_is_due_at_once_in_its_place() -> None:
    """With all its tries; one in flight has its time from its landing on."""
    first, second = pending(1), pending(2)
    lanes = lanes_of(first, second)
    started(lanes)
    lanes.renew(first, NOW + 1)
    first.attempts = 4
    lanes.retry(first, NOW + 3600)
    lanes.renew(first, NOW + 1)
    lanes.renew(second, NOW)

    assert first.attempts == 0
    assert started(lanes) == []
    assert started(lanes, NOW + 1) == [1]


def test_a_dropped_subscription_leaves_only_what_is_in_flight() -> None:
    """That ends as it ends; another subscription keeps all."""
    first = pending(1)
    lanes = lanes_of(first, pending(2), pending(3, "b"), pending(4, "a", "crm"))
    lanes.due(NOW, at_most(1))
    lanes.drop("erp")
    assert [one.key for one in lanes if one.subscription == "erp"] == ["erp/1"]
    lanes.finish(first)

    assert (len(lanes), lanes.subscriptions()) == (1, ["crm"])


def test_of_dropped_subscriptions_nothing_is_kept() -> None:
    """However many come and go, what is looked at for each delivery stays as it is."""
    lanes = Lanes()
    for number in range(10):
        one = pending(number, subscription=f"sub-{number}")
        lanes.add(one)
        lanes.due(NOW, when_due)
        lanes.drop(one.subscription)
        lanes.finish(one)
        lanes.let_unordered(frozenset())

    assert lanes._queues == {}


def test_times_that_were_put_off_leave_no_growing_heap() -> None:
    """However often a delivery's time is changed, memory stays in proportion to what waits."""
    one = pending(1)
    lanes = lanes_of(one)
    for step in range(10 * STALE_ENTRIES_MAX):
        lanes.renew(one, NOW + 3600 + step)

    assert len(lanes._queues["erp"]._heap) <= STALE_ENTRIES_MAX + 2


def test_what_waits_for_a_later_try_is_brought_forward_the_oldest_first() -> None:
    """Over a few seconds; what is due anyway, or in flight, stays as it is."""
    one, two, flying = pending(1), pending(2, "b"), pending(4, "d")
    lanes = lanes_of(two, pending(3, "c"), flying, one)
    started(lanes, claim=at_most(4))
    for waiting in (one, two):
        lanes.retry(waiting, NOW + 3600)
    count = lanes.bring_forward("erp", NOW, chance=0.5, wait_seconds_max=300.0)

    step = SPREAD_SECONDS_EACH
    assert (count, lanes.bring_forward("crm", NOW, chance=0.5, wait_seconds_max=300.0)) == (2, 0)
    assert [one.due_at - NOW, two.due_at - NOW] == pytest.approx([step / 2, step * 1.5], abs=1e-6)
    assert {one.planned_at, two.planned_at} == {NOW + 3600}
    assert started(lanes, NOW + step) == [1]


def test_a_try_ahead_of_its_time_waits_longer_each_time_and_never_beyond_its_plan() -> None:
    """So an event that always fails is not tried in a circle."""
    one = pending(1)
    lanes, waits = lanes_of(one), list[float]()
    for number in range(12):
        started(lanes, math.inf)
        lanes.retry(one, NOW + 200)
        one.early_tries = number
        lanes.bring_forward("erp", NOW, chance=0.0, wait_seconds_max=100.0)
        waits.append(one.due_at - NOW)

    assert waits == [0, 1, 2, 4, 8, 16, 32, 64, 100, 100, 100, 100]
    lanes.bring_forward("erp", NOW + 150, chance=0.0, wait_seconds_max=100.0)
    assert (one.due_at, one.planned_at) == (NOW + 200, None)
