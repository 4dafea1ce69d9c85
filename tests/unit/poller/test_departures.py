"""Ship times that lie ahead: when a record is read again, and when it goes on raw unchanged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.poller.departures import departures, due_at_departure, has_departed
from services.poller.source import Due

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("2026-03-02T12:00:00Z", NOW + DAY),
        ("2026-03-03", datetime(2026, 3, 2, 10, tzinfo=UTC)),
        ("2026-03-03T08:00:00", datetime(2026, 3, 2, 10, tzinfo=UTC)),
        ("soon", None),
        (None, None),
        (5, None),
    ],
)
def test_what_cannot_be_read_is_no_plan(told: object, found: datetime | None) -> None:
    """A date begins fourteen hours before it does in UTC."""
    assert departures([told]) == (() if found is None else (found,))


def test_a_record_is_due_when_its_next_package_leaves() -> None:
    """The soonest of those ahead; what is past or a hundred days away is none."""
    times = (NOW - DAY, NOW + 3 * DAY, NOW + DAY, NOW + 100 * DAY)
    assert due_at_departure(times, NOW, "planned") == Due("planned", DAY.total_seconds())
    assert due_at_departure((times[0], times[3], NOW), NOW, "planned") is None


def test_it_goes_on_raw_once_for_each_departure() -> None:
    """When its time has passed since what is known was read."""
    assert has_departed((NOW,), NOW - DAY, NOW)
    assert not has_departed((NOW,), NOW, NOW + DAY)
    assert not has_departed((NOW + DAY,), NOW - DAY, NOW)


def test_what_leaves_while_its_request_is_under_way_is_no_plan() -> None:
    """The request began a moment before the package left, and the answer shows that it did."""
    moment_later = (NOW + timedelta(seconds=1),)

    assert due_at_departure(moment_later, NOW, "planned") is None
    assert not has_departed(moment_later, NOW, NOW + timedelta(seconds=5))
