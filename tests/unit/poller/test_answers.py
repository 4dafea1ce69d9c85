"""The table of upstream answers, as pure data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from services.poller.answers import (
    REPEATS_MAX,
    Action,
    answer_to,
    answer_to_failure,
    jittered_seconds,
    retry_after_seconds,
)
from services.poller.source import Failure

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "of_list", "of_child"),
    [
        (200, "read", "read"),
        (202, "retry", "retry"),
        (204, "read", "read"),
        (302, "stop", "refuse"),
        (400, "stop", "refuse"),
        (401, "stop", "stop"),
        (403, "stop", "refuse"),
        (404, "stop", "refuse"),
        (405, "stop", "refuse"),
        (408, "retry", "retry"),
        (410, "stop", "refuse"),
        (422, "stop", "refuse"),
        (425, "retry", "retry"),
        (429, "retry", "retry"),
        (500, "retry", "retry"),
        (503, "retry", "retry"),
        (599, "retry", "retry"),
    ],
)
def test_each_status_has_one_row(status: int, of_list: Action, of_child: Action) -> None:
    """What follows from a status depends on nothing but whether a list or one record was asked."""
    for child, expected in ((False, of_list), (True, of_child)):
        answer = answer_to(status, {}, child=child, attempt=0, chance=0.5, now=NOW)
        assert answer.action == expected
        assert (answer.action == "read") == (answer.reason == "")


@pytest.mark.parametrize("kind", ["timeout", "connection", "unreadable"])
def test_a_failure_without_an_answer_is_tried_again(kind: str) -> None:
    """Timeout, reset and a page that cannot be parsed are one row."""
    failure = Failure(kind, "detail")  # type: ignore[arg-type]
    answer = answer_to_failure(failure, limit=1, attempt=3, chance=0.5)
    assert (answer.action, answer.wait_seconds) == ("retry", 4.0)


@pytest.mark.parametrize(("limit", "expected"), [(100, "halve"), (2, "halve"), (1, "stop")])
def test_a_body_too_large_halves_the_page_down_to_one(limit: int, expected: Action) -> None:
    """Over 16 MiB: halve the limit; at 1 the stream stops."""
    failure = Failure("too_large", "16 MiB")
    assert answer_to_failure(failure, limit=limit, attempt=0, chance=0.5).action == expected


@pytest.mark.parametrize(("child", "expected"), [(False, "stop"), (True, "refuse")])
def test_what_can_never_be_read_stops_a_list_and_passes_over_a_child(
    *, child: bool, expected: Action
) -> None:
    """A record that is too large alone; a page that came again after it was asked for again."""
    large, again = Failure("too_large", "16 MiB"), Failure("repeated", "the same page")
    answer = answer_to_failure(large, limit=1, attempt=0, chance=0.5, child=child)
    assert answer.action == expected
    asked_again = [
        answer_to_failure(again, limit=9, attempt=attempt, chance=0.5, child=child).action
        for attempt in (0, REPEATS_MAX - 1, REPEATS_MAX)
    ]
    assert asked_again == ["retry", "retry", expected]


def test_the_wait_grows_from_one_second_to_five_minutes() -> None:
    """Full jitter: any instant below a doubling ceiling, whatever the number of attempts."""
    assert [jittered_seconds(n, 0.999999) for n in (0, 1, 2, 8, 9, 5000)] == pytest.approx(
        [1, 2, 4, 256, 300, 300], rel=1e-4
    )
    assert jittered_seconds(9, 0.0) == 0.0


EPOCH = int(NOW.timestamp())
WAITS = [
    (None, None),
    ("", None),
    ("0", 0.0),
    ("120", 120.0),
    (" 7 ", 7.0),
    ("1.5", 1.5),
    ("30s", 30.0),
    ("30 seconds", 30.0),
    ("500ms", 0.5),
    ("3, 7", 7.0),  # sent twice
    (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
    (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
    ("2026-03-01T12:01:30Z", 90.0),
    ("2026-03-01T14:01:30+02:00", 90.0),
    (str(EPOCH + 30), 30.0),
    (str(EPOCH - 30), 0.0),
    (f"{EPOCH + 30}.25", 30.25),
    (str((EPOCH + 30) * 1_000), 30.0),
    (str((EPOCH + 30) * 1_000_000), 30.0),
    ("3600", 3600.0),
    ("30000", 30.0),  # milliseconds
    ("90000", 90.0),
    ("3600000", 3600.0),
    ("7200", 3600.0),  # a usual number of hours, and more than is obeyed at once
    ("86400", 3600.0),
    ("604800", 3600.0),
    ("99999999", 3600.0),  # too much, whatever it means
    ("9" * 19, 3600.0),
    (format_datetime(NOW + timedelta(days=365), usegmt=True), 3600.0),
    (str(EPOCH + 86_400), 3600.0),
    ("soon", None),
    ("-5", None),
    ("٣", None),
    ("9" * 50, None),
]


@pytest.mark.parametrize(("value", "seconds"), WAITS)
def test_retry_after_has_one_plausible_reading(value: str | None, seconds: float | None) -> None:
    """Seconds, milliseconds, a date or a time since 1970; nonsense is no wait, a wait a bound."""
    assert retry_after_seconds(value, NOW) == pytest.approx(seconds, abs=1e-3)


@pytest.mark.parametrize(("attempt", "seconds"), [(0, 7.19), (2, 7.19), (3, 3600.0)])
def test_milliseconds_that_were_waited_for_in_vain_are_seconds(
    attempt: int, seconds: float
) -> None:
    """Two hours that count down look like seven seconds, and must not be asked for that often."""
    assert retry_after_seconds("7190", NOW, attempt=attempt) == pytest.approx(seconds)


def test_the_bound_of_a_wait_is_a_setting() -> None:
    """What is below it is obeyed in full."""
    headers = {"retry-after": "7000"}
    bounds = {"child": False, "attempt": 0, "chance": 0.0, "now": NOW}
    answer = answer_to(429, headers, **bounds, silence_seconds_max=86_400)  # type: ignore[arg-type]
    assert (answer.wait_seconds, answer.retry_after) == (7000, "7000")


def test_a_date_to_wait_for_is_by_the_clock_of_the_answer() -> None:
    """An upstream five minutes ahead means its own time."""
    there = NOW + timedelta(minutes=5)
    headers = {
        "date": format_datetime(there, usegmt=True),
        "retry-after": format_datetime(there + timedelta(seconds=9), usegmt=True),
    }
    answer = answer_to(503, headers, child=False, attempt=0, chance=0.0, now=NOW)
    assert answer.wait_seconds == 9


def test_retry_after_is_obeyed_in_full_and_parks_the_credential() -> None:
    """It is never shortened by the jitter; a 429 parks even without it."""
    told = answer_to(503, {"retry-after": "600"}, child=False, attempt=0, chance=0.9, now=NOW)
    assert (told.wait_seconds, told.park) == (600, True)
    bare = answer_to(429, {}, child=False, attempt=0, chance=0.5, now=NOW)
    assert (bare.wait_seconds, bare.park) == (0.5, True)
    assert not answer_to(500, {}, child=False, attempt=0, chance=0.5, now=NOW).park
