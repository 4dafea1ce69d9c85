"""The newest events over all partitions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Envelope
from services.notifier.events import Event
from services.notifier.newest import Latest

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def event(offset: int, second: int) -> Event:
    envelope = Envelope(attributes={"type": "package.shipped"}, data=b"{}")
    return Event(offset, BEGAN + timedelta(seconds=second), "", (), envelope, backfill=False)


@given(
    waits=st.lists(st.lists(st.integers(0, 3), max_size=30), min_size=1, max_size=4),
    count=st.integers(1, 10),
)
def test_they_are_those_of_all_sorted_by_time(waits: list[list[int]], count: int) -> None:
    """However they are spread over partitions, and whatever is dropped on the way."""
    latest, everything = Latest(count), []
    for partition, steps in enumerate(waits):
        second = 0
        for offset, step in enumerate(steps):
            second += step
            latest.add(partition, event(offset, second))
            everything.append((second, partition, offset))

    found = latest.events()

    expected = sorted(everything, reverse=True)[:count]
    assert [(number, one.offset) for number, one in found] == [one[1:] for one in expected]


def test_too_few_are_enough_only_where_all_was_read() -> None:
    """Offsets are not events: transaction markers take some."""
    latest = Latest(2)
    latest.add(0, event(7, 0))
    latest.add(1, event(7, 0))
    latest.add(1, event(8, 1))

    assert latest.enough({0: 0, 1: 5, 2: 0})
    assert not latest.enough({0: 5, 1: 5})
    assert not latest.enough({1: 5, 2: 5})
