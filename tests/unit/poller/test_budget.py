"""The token bucket of one credential and its fair shares."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from services.poller.budget import Budget
from services.poller.source import Rate

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_burst_goes_at_once_then_the_rate_holds() -> None:
    """Ten tokens are there at the start; the eleventh request waits for a tenth of a second."""
    budget = Budget(Rate(per_second=10, burst=10), now=0.0)
    assert [budget.claim("head", 8, 0.0) for _ in range(10)] == [0.0] * 10
    assert budget.claim("head", 8, 0.0) == pytest.approx(0.1)
    assert budget.claim("head", 8, 0.1) == 0.0


def test_waiting_streams_share_by_weight() -> None:
    """Shares are head : backfill = 8 : 1 while both want more than there is."""
    budget = Budget(Rate(per_second=10, burst=1), now=0.0)
    served: Counter[str] = Counter()
    for step in range(3000):
        for stream, weight in (("backfill", 1), ("head", 8)):
            if budget.claim(stream, weight, step * 0.05) == 0.0:
                served[stream] += 1
    assert served["head"] / served["backfill"] == pytest.approx(8, rel=0.05)


def test_idling_saves_up_no_share() -> None:
    """A stream that asked for nothing for long may not shut the others out afterwards."""
    budget = Budget(Rate(per_second=10, burst=1), now=0.0)
    now = 0.0
    for _ in range(100):
        now += 0.11
        assert budget.claim("head", 1, now) == 0.0
    served: Counter[str] = Counter()
    for _ in range(200):
        now += 0.05
        for stream in ("late", "head"):
            served[stream] += budget.claim(stream, 1, now) == 0.0
    assert served["head"] == pytest.approx(served["late"], abs=2)


def test_parking_stops_every_stream_and_leaves_no_burst() -> None:
    """Retry-After holds for the whole credential; afterwards one request probes."""
    budget = Budget(Rate(per_second=10, burst=10), now=0.0)
    budget.park(60.0)
    assert budget.claim("head", 8, 1.0) == 59.0
    assert budget.claim("settle", 4, 2.0) == 58.0
    budget.leave("settle")
    assert budget.claim("head", 8, 60.0) == 0.0
    assert budget.claim("head", 8, 60.0) > 0.0


def test_a_stream_that_left_holds_up_nobody() -> None:
    """A canceled waiter with the best claim does not block the queue."""
    budget = Budget(Rate(per_second=1, burst=1), now=0.0)
    assert budget.claim("head", 8, 0.0) == 0.0
    assert budget.claim("gone", 8, 0.5) > 0.0
    assert budget.claim("head", 8, 0.5) > 0.0
    assert budget.claim("head", 8, 1.0) > 0.0
    budget.leave("gone")
    assert budget.claim("head", 8, 1.0) == 0.0


TOLD = Rate(2, 10, remaining="x-left", reset="x-reset")


def test_what_the_upstream_says_is_left_counts() -> None:
    """Others use the same address; with nothing left it waits until the reset."""
    budget = Budget(TOLD, 0)
    budget.told({"x-left": "1", "x-reset": "30"}, 0, AT)
    assert budget.claim("a", 8, 0) == 0
    assert budget.claim("a", 8, 0) > 0
    budget.told({"x-left": "0", "x-reset": "30"}, 1, AT)
    assert budget.claim("a", 8, 1) == 30


@pytest.mark.parametrize("reset", ["30", str(int(AT.timestamp()) + 30), "30s"])
def test_the_reset_may_be_told_as_a_time(reset: str) -> None:
    """Some name the instant, in seconds since 1970."""
    budget = Budget(TOLD, 0)
    budget.told({"x-left": "0", "x-reset": reset}, 0, AT)
    assert budget.claim("a", 8, 0) == pytest.approx(30)


@pytest.mark.parametrize(
    "headers", [{}, {"x-left": "many"}, {"x-left": "-1"}, {"x-reset": "5"}, {"x-left": "500"}]
)
def test_headers_that_tell_nothing_change_nothing(headers: dict[str, str]) -> None:
    """Nor does more than the burst."""
    budget = Budget(TOLD, 0)
    budget.told(headers, 0, AT)
    assert [budget.claim("a", 8, 0) for _ in range(10)] == [0.0] * 10
    assert budget.claim("a", 8, 0) > 0
