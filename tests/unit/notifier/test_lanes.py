"""Lanes: order inside, one in flight, nothing lost, none waits for another."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.notifier.lanes import Lanes, Pending

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EVERYBODY = {"erp", "crm"}


def pending(offset: int, lane: str = "a", subscription: str = "erp") -> Pending:
    """A delivery that is due now, of an event as old as its offset in hours."""
    at = (NOW - timedelta(hours=100 - offset)).timestamp()
    return Pending(f"{subscription}/{offset}", subscription, lane, offset, at, NOW.timestamp())


def offsets(started: list[Pending]) -> list[int]:
    return sorted(one.event_offset for one in started)


def test_the_head_of_each_lane_starts_and_the_rest_waits() -> None:
    """One at a time in a lane, all lanes at once."""
    lanes = Lanes()
    for one in (pending(1), pending(2), pending(3, "b")):
        lanes.add(one)

    assert offsets(lanes.due(NOW, EVERYBODY, 10)) == [1, 3]
    assert lanes.due(NOW, EVERYBODY, 10) == []


def test_a_lane_waits_with_its_head_and_other_lanes_go_on() -> None:
    """A head that is to be tried later keeps its place."""
    lanes = Lanes()
    for one in (pending(1), pending(2), pending(3, "b"), pending(4, "b")):
        lanes.add(one)
    head, other = sorted(lanes.due(NOW, EVERYBODY, 10), key=lambda one: one.event_offset)
    lanes.retry(head, NOW + timedelta(seconds=5))
    lanes.finish(other)

    assert offsets(lanes.due(NOW, EVERYBODY, 10)) == [4]
    assert lanes.next_due_at(EVERYBODY, 10) == (NOW + timedelta(seconds=5)).timestamp()
    assert offsets(lanes.due(NOW + timedelta(seconds=5), EVERYBODY, 10)) == [1]


def test_a_finished_head_lets_the_next_one_of_its_lane_start() -> None:
    """Delivered or set aside: the lane goes on in the order of events."""
    lanes = Lanes()
    for one in (pending(1), pending(2)):
        lanes.add(one)
    (head,) = lanes.due(NOW, EVERYBODY, 10)
    lanes.finish(head)

    assert offsets(lanes.due(NOW, EVERYBODY, 10)) == [2]
    assert len(lanes) == 1


def test_one_endpoint_never_has_more_in_flight_than_its_share() -> None:
    """A slow endpoint takes its own connections, none of another's."""
    lanes = Lanes()
    for number in range(5):
        lanes.add(pending(number, f"lane {number}"))
        lanes.add(pending(number, f"lane {number}", "crm"))

    started = lanes.due(NOW, EVERYBODY, 2)

    assert sorted(one.subscription for one in started) == ["crm", "crm", "erp", "erp"]


def test_a_held_subscription_starts_nothing_and_keeps_everything() -> None:
    """Disabled or paused: its deliveries stay where they are."""
    lanes = Lanes()
    lanes.add(pending(1))

    assert lanes.due(NOW, {"crm"}, 10) == []
    assert lanes.next_due_at({"crm"}, 10) is None
    assert lanes.count_of("erp") == 1


def test_aged_heads_come_up_even_when_held() -> None:
    """What the topic is about to forget is found whatever its subscription's state."""
    lanes = Lanes()
    for one in (pending(1), pending(2), pending(50, "b"), pending(99, "c")):
        lanes.add(one)

    old = lanes.aged(NOW - timedelta(hours=40), 10)

    assert offsets(old) == [1, 50]
    assert offsets(lanes.due(NOW, EVERYBODY, 10)) == [99]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["erp", "crm"])), max_size=40),
    st.lists(st.sampled_from(["finish", "retry", "start"]), max_size=200),
    st.integers(1, 3),
)
def test_whatever_happens_lanes_keep_order_and_lose_nothing(
    added: list[tuple[str, str]], moves: list[str], in_flight_max: int
) -> None:
    """Any mix of ends and retries: in event order, one in flight per lane, each exactly once."""
    lanes, now = Lanes(), NOW
    for offset, (lane, subscription) in enumerate(added):
        lanes.add(pending(offset, lane, subscription))
    in_flight: list[Pending] = []
    done: dict[tuple[str, str], list[int]] = defaultdict(list)
    for move in [*moves, *(["start", "finish"] * (2 * len(added) + 1))]:
        now += timedelta(seconds=1)
        if move == "start":
            in_flight += lanes.due(now, EVERYBODY, in_flight_max)
        elif in_flight and move == "retry":
            lanes.retry(in_flight.pop(0), now + timedelta(seconds=2))
        elif in_flight:
            one = in_flight.pop(0)
            lanes.finish(one)
            done[one.subscription, one.lane].append(one.event_offset)
        busy = [(one.subscription, one.lane) for one in in_flight]
        assert len(busy) == len(set(busy))
        assert all(
            sum(one.subscription == name for one in in_flight) <= in_flight_max
            for name in EVERYBODY
        )

    assert len(lanes) == 0
    assert all(found == sorted(found) for found in done.values())
    assert sum(map(len, done.values())) == len(added)
