"""What time it is at an upstream, told by its answers."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from services.poller.source import Response
from services.poller.upstream_clock import UpstreamClock, date_of, undated

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


SECOND, DAY, YEAR = timedelta(seconds=1), timedelta(days=1), timedelta(days=365)


def hearing(*offsets: timedelta, age: str = "") -> tuple[UpstreamClock, list[bool]]:
    """A clock that hears an answer a minute, and which of them it believes."""
    clock, believed = UpstreamClock(), []
    for minute, offset in enumerate(offsets):
        at = OURS + timedelta(minutes=minute)
        headers = {"date": format_datetime(at + offset, usegmt=True), "age": age}
        believed.append(clock.heard(headers, at))
    return clock, believed


NOW = timedelta(0)
STRANGE = [
    pytest.param([YEAR, NOW], NOW, id="a year ahead in the first answer"),
    pytest.param([-YEAR, NOW], NOW, id="a year behind in the first answer"),
    pytest.param([NOW, YEAR], NOW, id="a year ahead in one answer"),
    pytest.param([NOW, -DAY], NOW, id="a day behind in one answer"),
    pytest.param([NOW, -DAY, NOW, -DAY, NOW, -DAY], NOW, id="every other answer from a cache"),
    pytest.param([NOW, YEAR, -YEAR, DAY, -DAY, YEAR], NOW, id="never the same"),
    pytest.param([YEAR, YEAR, YEAR], YEAR, id="our own clock is a year behind"),
    pytest.param([-YEAR, -YEAR, -YEAR], -YEAR, id="our own clock is a year ahead"),
    pytest.param([NOW, NOW, 8 * DAY, 8 * DAY, 8 * DAY], 8 * DAY, id="it was set by days"),
    pytest.param([NOW, 300 * SECOND], NOW, id="minutes ahead, in one answer"),
    pytest.param([NOW, *[300 * SECOND] * 3], 300 * SECOND, id="minutes ahead, and stays so"),
    pytest.param([300 * SECOND, NOW], NOW, id="minutes back: at once, nothing must be passed over"),
    pytest.param([NOW, -300 * SECOND], -300 * SECOND, id="minutes behind"),
]


@pytest.mark.parametrize(("offsets", "skew"), STRANGE)
def test_one_answer_alone_moves_the_clock_by_minutes_at_most(
    offsets: list[timedelta], skew: timedelta
) -> None:
    """Others that go on from it confirm it; the least of the last answers counts."""
    clock, _ = hearing(*offsets)
    assert (clock.skew, clock.told) == (skew, offsets[-1])


def test_a_cache_that_tells_its_age_tells_the_time() -> None:
    """Date is when the answer was made, Age how long ago that was."""
    clock, believed = hearing(-DAY, age="86400")
    assert (clock.skew, believed) == (NOW, [True])
    assert hearing(-DAY, age="long")[0].skew is None


def test_a_cache_that_repeats_its_date_confirms_nothing() -> None:
    """It is doubted for some answers, and then passed over: ours is all there is."""
    clock = UpstreamClock()
    headers = {"date": format_datetime(OURS - DAY, usegmt=True)}
    doubtful = []
    for seconds in range(8):
        assert not clock.heard(headers, OURS + seconds * SECOND)
        doubtful.append(clock.doubtful)
    assert clock.now(OURS) == OURS
    assert doubtful == [True] * 4 + [False] * 4


def test_answers_of_one_second_are_one_doubt() -> None:
    """The streams of an account ask at once, and none of them may pass over what is in doubt."""
    clock = UpstreamClock()
    headers = {"date": format_datetime(OURS - DAY, usegmt=True)}

    for _ in range(8):
        assert not clock.heard(headers, OURS)
    assert clock.doubtful


def test_a_doubt_ends_with_an_answer_that_fits() -> None:
    """And begins anew with the next that does not."""
    assert hearing(NOW, YEAR)[0].doubtful
    assert not hearing(NOW, YEAR, NOW)[0].doubtful
    assert hearing(NOW, *[YEAR, -YEAR] * 5)[1] == [True] + [False] * 10
    assert hearing(NOW, *[YEAR, -YEAR] * 5, NOW, YEAR)[0].doubtful


def test_an_answer_whose_date_does_not_hold_goes_on_without_it() -> None:
    """Positions are held against it."""
    answer = Response(200, {"date": "x", "age": "1"}, b"{}", OURS)
    assert undated(answer).headers == {"age": "1"}
