"""What time it is at an upstream, told by its answers."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from services.poller.upstream_clock import UpstreamClock, date_of

OURS = datetime(2026, 3, 1, 12, tzinfo=UTC)


def heard(skew_seconds: float) -> UpstreamClock:
    clock = UpstreamClock()
    date = format_datetime(OURS + timedelta(seconds=skew_seconds), usegmt=True)
    clock.heard({"date": date}, OURS)
    return clock


@pytest.mark.parametrize("skew", [-300, -3, 3, 300])
def test_bounds_follow_a_clock_that_differs(skew: int) -> None:
    """Minutes apart, in either direction."""
    assert heard(skew).now(OURS) == OURS + timedelta(seconds=skew)
    assert heard(skew).behind == (skew < 0)


@pytest.mark.parametrize("skew", [-2, -1, 0, 1, 2])
def test_clocks_that_agree_are_left_as_they_are(skew: int) -> None:
    """Date has whole seconds and the answer took its way."""
    assert heard(skew).now(OURS) == OURS
    assert not heard(skew).behind


def test_a_date_without_a_zone_is_in_utc_wherever_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """-0000 says that the zone is not known, and HTTP has no other than GMT."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        found = date_of({"date": "Sun, 01 Mar 2026 12:00:00 -0000"})
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found == OURS


OUT_OF_THE_CALENDAR = {"date": "Fri, 31 Dec 9999 23:59:59 -0100"}


@pytest.mark.parametrize("headers", [{}, {"date": ""}, {"date": "soon"}, OUT_OF_THE_CALENDAR])
def test_an_answer_without_a_date_tells_nothing(headers: dict[str, str]) -> None:
    """Ours is all there is then."""
    clock = UpstreamClock()
    clock.heard(headers, OURS)
    assert clock.skew is None
    assert clock.now(OURS) == OURS
