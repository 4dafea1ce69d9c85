"""When a failed delivery is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.delivery import Outcome
from services.notifier.retries import next_due_at, paused_until, retry_after_seconds

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCHEDULE = (5.0, 300.0)


def wait_seconds(
    attempts: int,
    outcome: Outcome = "transient",
    retry_after: float | None = None,
    chance: float = 0.5,
) -> float | None:
    due_at = next_due_at(
        attempts, outcome, retry_after, schedule_seconds=SCHEDULE, now=NOW, chance=chance
    )
    return None if due_at is None else (due_at - NOW).total_seconds()


@pytest.mark.parametrize(
    ("attempts", "outcome", "retry_after", "expected"),
    [
        (1, "transient", None, 5),
        (2, "rejected", None, 300),
        (3, "transient", None, 300),
        (1, "busy", 60, 60),
        (2, "busy", 60, 300),
        (1, "busy", 10**9, 24 * 3600),
        (1, "redirect", None, 5),
        (1, "blocked", None, 5),
        (9, "gone", None, 0),
    ],
)
def test_the_schedule_and_what_the_endpoint_asked_for(
    attempts: int, outcome: Outcome, retry_after: float | None, expected: float | None
) -> None:
    """The longer of schedule and Retry-After; a gone endpoint uses no try up."""
    assert wait_seconds(attempts, outcome, retry_after) == expected


@pytest.mark.parametrize(
    ("deadline_in", "retry_after", "expected"),
    [(600, None, 300), (100, None, 100), (100, 200, 200), (0, None, None), (-1, 200, None)],
)
def test_a_lane_deadline_cuts_the_wait_but_not_what_the_endpoint_asked_for(
    deadline_in: float, retry_after: float | None, expected: float | None
) -> None:
    """One try at the deadline, or at Retry-After if that is later, and none after the deadline."""
    due_at = next_due_at(
        2,
        "transient",
        retry_after,
        schedule_seconds=SCHEDULE,
        now=NOW,
        chance=0.5,
        deadline_at=NOW + timedelta(seconds=deadline_in),
    )

    assert due_at == (None if expected is None else NOW + timedelta(seconds=expected))


@given(st.floats(0, 1, exclude_max=True))
def test_chance_moves_a_wait_by_a_fifth_at_most(chance: float) -> None:
    """Jitter stays within 20 % of the schedule."""
    found = wait_seconds(2, chance=chance)

    assert found is not None
    assert 240 <= found <= 360


def test_only_a_busy_endpoint_with_retry_after_is_paused() -> None:
    """Retry-After on 429 or 503 speaks for the whole endpoint, for a day at most."""
    assert paused_until("busy", 30, NOW) == NOW + timedelta(seconds=30)
    assert paused_until("busy", 10**9, NOW) == NOW + timedelta(days=1)
    assert paused_until("busy", None, NOW) is None
    assert paused_until("transient", 30, NOW) is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60),
        ("Thu Jan  1 00:01:00 2026", 60),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0),
        ("-5", None),
        (f"Thu, 01 Jan 2026 00:01:00 +{'9' * 20}", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("9" * 4000, 999_999_999),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, expected: float | None) -> None:
    """Seconds or an HTTP date (RFC 9110, 10.2.3); anything else is as if absent."""
    assert retry_after_seconds(header, NOW) == expected
