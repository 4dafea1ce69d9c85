"""Paging by id over a list that shows the newest first, without HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.poller.descending import Listed, begun, paged, resumed
from services.poller.source import Found, Page, Refused, Response, Sweep, Unreadable

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
SINCE = datetime(2026, 3, 1, 11, 0, 0, 987_000, tzinfo=UTC)
DATE = {"date": "Sun, 01 Mar 2026 12:00:00 GMT"}


def pass_from(position: str | None = None, before: datetime | None = None) -> Sweep:
    return begun(since=SINCE, before=before, position=position, now=NOW)


def found(number: int, *, ago_seconds: float = 60) -> Found:
    return Found(str(number), b"{}", NOW - timedelta(seconds=ago_seconds))


def listed(*records: Found, more: bool = False, ids: list[str] | None = None) -> Listed:
    names = [one.upstream_id for one in records] if ids is None else ids
    return Listed(records, (), names, more)


def read(sweep: Sweep, page: Listed, headers: dict[str, str] | None = None) -> Page:
    answer = Response(200, DATE if headers is None else headers, b"", NOW)
    return paged(sweep, page, answer, once=False)


def onward(sweep: Sweep, page: Listed) -> dict[str, Any]:
    following = read(sweep, page).sweep
    assert following is not None
    return following


def test_the_position_is_the_newest_of_the_whole_pass() -> None:
    """It came on the first page; the last one does not move it back, nor does an older pass."""
    sweep = onward(pass_from(), listed(found(9, ago_seconds=10), found(8), more=True))
    assert read(sweep, listed(found(1, ago_seconds=600))).position == "2026-03-01T11:59:50.250000Z"
    known = pass_from(position="2026-03-01T11:59:59Z")
    assert read(known, listed(found(1))).position == "2026-03-01T11:59:59Z"


def test_an_empty_list_keeps_the_position() -> None:
    """It is the upstream's time, so only a record can move it."""
    assert read(pass_from(), listed()).position is None
    assert read(pass_from("2026-03-01T10:00:00Z"), listed()).position == "2026-03-01T10:00:00Z"


@pytest.mark.parametrize(
    ("headers", "position"),
    [
        (DATE, "2026-03-01T12:00:00Z"),
        ({}, "2026-03-01T12:00:00.250000Z"),
        ({"date": "yesterday"}, "2026-03-01T12:00:00.250000Z"),
    ],
)
def test_a_record_from_the_future_does_not_carry_the_position_away(
    headers: dict[str, str], position: str
) -> None:
    """By the upstream's own clock, else by ours: an hour ahead is now, a year ahead is no time."""
    year = found(1, ago_seconds=-365 * 86_400)
    assert read(pass_from(), listed(year), headers).position is None
    known = pass_from(position="2026-03-01T11:00:00Z")
    assert read(known, listed(year), headers).position == "2026-03-01T11:00:00Z"
    hour = found(2, ago_seconds=-3600)
    assert read(pass_from(), listed(year, hour), headers).position == position


def test_a_pass_in_which_a_record_stood_out_of_order_is_taken_up_from_its_start() -> None:
    """Below the last record there may be none of those that are still to be read."""
    rows = (found(9, ago_seconds=50), found(8, ago_seconds=60))
    ordered = onward(pass_from(), listed(*rows, more=True))
    assert resumed(ordered)["before"] == "2026-03-01T11:59:01Z"
    swapped = onward(pass_from(), listed(*reversed(rows), more=True))
    assert resumed(onward(swapped, listed(found(7, ago_seconds=70), more=True)))["before"] == ""


def test_the_next_page_follows_the_last_id_readable_or_not() -> None:
    """A record that is set aside stands in the list all the same."""
    sweep = onward(pass_from(), listed(found(9), ids=["9", "bad"], more=True))
    assert (sweep["after"], sweep["reached"]) == ("bad", "2026-03-01T11:59:01Z")


def test_a_pass_taken_up_again_goes_on_by_time() -> None:
    """Inclusive of the second it had reached; its stored id may be gone."""
    again = resumed(onward(pass_from(), listed(found(9), more=True)))
    assert (again["before"], again["after"]) == ("2026-03-01T11:59:01Z", "")
    bounded = resumed(pass_from(before=NOW))
    assert bounded["before"] == "2026-03-01T12:00:01Z"


def test_bounds_are_whole_seconds_and_lose_nothing() -> None:
    """The lower one is cut off, the upper one lies above whatever is shown as its second."""
    sweep = pass_from(before=NOW)
    assert (sweep["since"], sweep["before"]) == ("2026-03-01T11:00:00Z", "2026-03-01T12:00:01Z")


def test_more_of_nothing_is_refused() -> None:
    """The list cannot be read to its end: the stream stops and says so."""
    with pytest.raises(Refused, match="page is empty"):
        read(pass_from(), listed(more=True))


@pytest.mark.parametrize("ids", [["9"], [""]])
def test_a_page_that_leads_nowhere_is_asked_for_again(ids: list[str]) -> None:
    """The same page twice, or no id to go on from: never a loop without an end."""
    sweep = {**pass_from(), "after": "9"}
    with pytest.raises(Unreadable, match="ends where it began"):
        read(sweep, listed(found(9), ids=ids, more=True))


def test_a_last_record_without_an_id_holds_up_none_behind_it() -> None:
    """The next page follows the last one that has an id."""
    assert onward(pass_from(), listed(found(9), more=True, ids=["9", ""]))["after"] == "9"
    with pytest.raises(Unreadable, match="ends where it began"):
        read({**pass_from(), "after": "9"}, listed(found(9), more=True, ids=["9", ""]))
