"""From events to deliveries."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.events import Envelope
from schemas.subscription import LogChannel, Subscription
from services.notifier.channel import Sink
from services.notifier.events import Event
from services.notifier.fan_out import FanOut, fan_out
from services.notifier.filters import Facts
from services.notifier.match import matcher_of
from services.notifier.outlets import Outlet
from services.notifier.settlement import not_fanned_out

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KAFKA = KafkaSettings(prefix="t")


def event(offset: int, lane: str = "zentail/acme/order/1", *, backfill: bool = False) -> Event:
    headers = {
        "ce_id": f"evt_{offset}",
        "ce_type": "package.shipped",
        "ce_partitionkey": lane,
        "ce_time": "2025-12-31T00:00:00Z",
    }
    pairs = tuple((name, value.encode()) for name, value in headers.items())
    return Event(offset, NOW, lane, pairs, Envelope.read(dict(pairs), b'{"a": 1.0}'), backfill)


def subscription(name: str = "erp", **values: Any) -> Subscription:
    return Subscription.model_validate(
        {
            "id": name,
            "types": ("package.shipped",),
            "channel": LogChannel(),
            "start_offsets": {},
            "created_at": NOW,
            **values,
        }
    )


def outlet(wish: Subscription, sink: Sink | None = None) -> Outlet:
    return Outlet(wish, matcher_of(wish), sink)


def made(
    events: list[Event],
    positions: Mapping[str, int],
    *,
    pending: frozenset[str] = frozenset(),
    **wish: Any,
) -> FanOut:
    return fan_out(
        KAFKA,
        3,
        events,
        10,
        outlets=[outlet(subscription(name, **wish)) for name in positions],
        positions=positions,
        is_pending=pending.__contains__,
        now=NOW,
    )


def test_each_subscription_gets_each_event_and_its_position_moves_along() -> None:
    """Deliveries and positions of one batch, on one partition."""
    found = made([event(4), event(5)], {"erp": 4, "crm": 5})

    keys = [record.key for record in found.transaction.records]
    assert keys == ["erp/evt_4", "erp/evt_5", "crm/evt_5"]
    assert {record.partition for record in found.transaction.records} == {3}
    assert found.positions == {"erp": 10, "crm": 10}
    assert [one.event_offset for one in found.pending] == [4, 5, 5]


def test_a_batch_that_comes_twice_gives_nothing_twice() -> None:
    """The position decides."""
    found = made([event(4), event(5)], {"erp": 10})

    assert (found.transaction.records, found.positions) == ([], {})


def test_a_delivery_still_pending_is_not_begun_again() -> None:
    """Its tries and its due time would be lost."""
    found = made([event(4), event(4)], {"erp": 0}, pending=frozenset({"erp/evt_4"}))

    assert found.pending == []
    assert found.transaction.records == []
    assert found.positions == {"erp": 10}


def test_an_old_fact_is_passed_over_unless_wanted() -> None:
    """The position moves past it all the same."""
    assert made([event(4, backfill=True)], {"erp": 0}).pending == []
    assert len(made([event(4, backfill=True)], {"erp": 0}, backfill=True).pending) == 1


class Failing:
    """A sink that fails on some offsets, in a way nobody planned for."""

    places: Sequence[tuple[str, int]] = ()

    def __init__(self, offsets: Collection[int]) -> None:
        self._offsets = offsets

    def record(self, event: Event, now: datetime) -> Record:
        if event.offset in self._offsets:
            raise TypeError("not what anybody thought of")
        return Record("elsewhere", 3, event.key, b"{}")


def fanned_out(failing: Collection[int], count: int) -> FanOut:
    """So many events for a subscription that fails and one that does not."""
    return fan_out(
        KAFKA,
        3,
        [event(offset) for offset in range(count)],
        count,
        outlets=[outlet(subscription("bad"), Failing(failing)), outlet(subscription("good"))],
        positions={"bad": 0, "good": 0},
        is_pending=lambda _: False,
        now=NOW,
    )


def test_an_event_that_one_subscription_fails_on_is_set_aside_for_it_alone() -> None:
    """Both positions move; the other one gets its delivery, and the rest goes on."""
    found = fanned_out({1}, 3)

    (failed,) = found.failed
    letter = not_fanned_out(KAFKA, 3, failed, NOW)
    assert (failed.subscription, failed.event.offset) == ("bad", 1)
    assert dict(letter.headers)["shipfeed-subscription"] == b"bad"
    assert b"TypeError" in dict(letter.headers)["shipfeed-dead-reason"]
    assert found.positions == {"bad": 3, "good": 3}
    assert [one.event_offset for one in found.pending] == [0, 1, 2]
    assert [record.topic for record in found.transaction.records].count("elsewhere") == 2


@pytest.mark.parametrize(
    ("failing", "count"), [(range(5, 25), 100), (set(range(30)) - {9, 19}, 30)]
)
def test_a_subscription_that_fails_on_most_events_is_held_and_no_other(
    failing: Collection[int], count: int
) -> None:
    """Nothing of the batch is written for it, and its position stays."""
    found = fanned_out(failing, count)

    assert "TypeError" in found.held["bad"]
    assert found.failed == []
    assert found.positions == {"good": count}
    assert {record.topic for record in found.transaction.records} == {"t.deliveries"}


def test_events_that_a_subscription_does_not_want_do_not_hide_that_it_fails() -> None:
    """Between 25 that fail lie as many that it passes over."""
    found = fan_out(
        KAFKA,
        3,
        [event(offset, backfill=bool(offset % 2)) for offset in range(50)],
        50,
        outlets=[outlet(subscription("bad"), Failing(range(50)))],
        positions={"bad": 0},
        is_pending=lambda _: False,
        now=NOW,
    )

    assert list(found.held) == ["bad"]
    assert (found.failed, found.positions) == ([], {})


def test_an_event_that_cannot_be_matched_counts_as_wanted() -> None:
    """Counting and expiry keep it; only the fan-out says what is wrong with it."""

    def fails(facts: Facts) -> bool:
        raise TypeError("not what anybody thought of")

    matcher = replace(matcher_of(subscription()), holds=fails)

    assert matcher.wanted([event(1)], 0) == [event(1)]
