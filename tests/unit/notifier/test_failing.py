"""When an endpoint is left alone for good, and what other copies know of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.subscription import EndpointHealth
from services.notifier.failing import (
    DISABLED_AFTER,
    DISABLED_TRIES,
    TOLD_AFTER,
    TOLD_EVERY,
    Failing,
    failed,
    hopeless,
    to_be_told,
)
from services.notifier.known import TOLD_PAUSE, merged, passing

NOW = datetime(2026, 1, 10, tzinfo=UTC)


def health(**found: Any) -> EndpointHealth:
    return EndpointHealth(subscription="erp", updated_at=NOW, **found)


@pytest.mark.parametrize(
    ("after", "tries", "expected"),
    [
        (DISABLED_AFTER, DISABLED_TRIES, True),
        (DISABLED_AFTER - timedelta(seconds=1), 10 * DISABLED_TRIES, False),
        (10 * DISABLED_AFTER, DISABLED_TRIES - 1, False),
    ],
)
def test_it_takes_both_days_and_tries(after: timedelta, tries: int, expected: bool) -> None:
    """A busy minute is not enough, nor is one failure a day."""
    assert hopeless(Failing(NOW - after, tries, NOW), NOW) is expected


def test_failures_add_up_from_the_first_one() -> None:
    """The reason that is kept says since when and how many."""
    first = failed(None, None, NOW)
    second = failed(first, health(), NOW + timedelta(seconds=5))

    assert (second.since, second.tries) == (NOW, 2)
    assert second.reason == "no try succeeded since 2026-01-10T00:00:00Z, 2 were made"


def test_what_was_found_before_the_start_counts() -> None:
    """A copy that restarts every day would never see five days otherwise."""
    since = NOW - timedelta(days=6)
    found = failed(None, health(failing_since=since, failed_tries=19), NOW)

    assert (found.since, found.tries) == (since, 20)
    assert hopeless(found, NOW)


def test_another_copys_success_ends_the_row() -> None:
    """No success means: in no copy."""
    long = Failing(NOW - timedelta(days=6), 400, NOW)
    succeeded = health(succeeded_at=NOW - timedelta(hours=1))

    found = failed(long, succeeded, NOW)
    assert (found.since, found.tries) == (NOW, 1)


def test_others_are_told_after_a_minute_and_then_once_an_hour() -> None:
    """Not of each failure: telling is a write on a topic that all copies share."""
    found = failed(None, None, NOW)
    assert not to_be_told(found, NOW + TOLD_AFTER - timedelta(seconds=1))
    assert to_be_told(found, NOW + TOLD_AFTER)
    told = Failing(found.since, found.tries, NOW)

    assert not to_be_told(told, NOW + TOLD_EVERY - timedelta(seconds=1))
    assert to_be_told(told, NOW + TOLD_EVERY)


def test_findings_of_two_copies_are_the_earlier_time_and_the_higher_count() -> None:
    """Disabled stays disabled, the longer pause holds."""
    one = health(
        failing_since=NOW - timedelta(days=2),
        failed_tries=7,
        disabled_reason="no",
        paused_until=NOW,
    )
    other = health(failing_since=NOW - timedelta(days=1), failed_tries=9)

    for found in (merged(one, other), merged(other, one)):
        assert (found.failing_since, found.failed_tries) == (NOW - timedelta(days=2), 9)
        assert (found.disabled_reason, found.paused_until) == ("no", NOW)


def test_a_success_ends_what_failed_before_it_and_not_what_fails_after() -> None:
    """In whatever order the two findings are written."""
    before = health(failing_since=NOW - timedelta(days=2), failed_tries=7)
    after = health(failing_since=NOW + timedelta(days=1), failed_tries=1)
    success = health(succeeded_at=NOW)

    assert merged(before, success).failing_since is None
    assert merged(success, before).failing_since is None
    assert merged(before, success).failed_tries == 0
    assert merged(success, after).failing_since == after.failing_since


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"paused_until": NOW + TOLD_PAUSE - timedelta(seconds=1)}, True),
        ({"paused_until": NOW - timedelta(days=1)}, True),
        ({"paused_until": NOW + TOLD_PAUSE}, False),
        ({"paused_until": NOW, "disabled_reason": "no"}, False),
        ({"paused_until": NOW, "failing_since": NOW}, False),
        ({"paused_until": NOW, "succeeded_at": NOW}, False),
        ({"succeeded_at": NOW}, False),
    ],
)
def test_only_a_pause_that_is_over_soon_is_not_worth_a_record(
    found: dict[str, Any], expected: bool
) -> None:
    """Whatever else was found has to be told, and so has a longer pause."""
    assert passing(health(**found), NOW) is expected
