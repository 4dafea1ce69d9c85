"""Windows of time over a list that shifts: nothing falls between two, none is read for ever."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.message import parse_instant
from services.poller.source import Sweep, Unreadable
from services.poller.window import PASSES_MAX, begun, following, page_of, resumed

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def bounds(sweep: Sweep) -> tuple[int, int, int]:
    """From, to and page of the present window, seconds after noon."""
    first, last = (parse_instant(sweep[name]) for name in ("from", "to"))
    return int((first - T0).total_seconds()), int((last - T0).total_seconds()), sweep["page"]


def read(rows: dict[str, float], limit: int, since: float, until: float) -> Iterator[list[str]]:
    """The ids of each page of a pass; `rows` may change between two."""
    sweep: Sweep | None = begun(since=at(since), until=at(until))
    while sweep is not None:
        asked = page_of(sweep)
        first, last = (parse_instant(asked[f"updated_at_{end}"]) for end in ("min", "max"))
        found = [one for one, seconds in rows.items() if first <= at(seconds) <= last]
        start = (int(asked["page"]) - 1) * limit
        page = found[start : start + limit]
        yield page
        sweep = following(sweep, page, full=len(page) >= limit)


def test_a_window_that_fits_a_page_is_one_request() -> None:
    """Cut off to the second at both ends."""
    sweep = begun(since=at(0.9), until=at(60.9))
    assert page_of(sweep) == {
        "updated_at_min": "2026-03-01T12:00:00Z",
        "updated_at_max": "2026-03-01T12:01:00Z",
        "page": "1",
    }
    assert following(sweep, ["1"], full=False) is None


def test_a_full_page_halves_the_window_and_the_next_is_twice_as_wide() -> None:
    """Neighbors share a second: an upstream may count finer than it shows."""
    sweep: Sweep | None = begun(since=at(0), until=at(60))
    seen = []
    for full in (True, True, False, False, False):
        assert sweep is not None
        seen.append(bounds(sweep))
        sweep = following(sweep, ["1"], full=full)
    assert seen == [(0, 60, 1), (0, 30, 1), (0, 15, 1), (15, 45, 1), (45, 60, 1)]
    assert sweep is None


def test_a_crowded_second_is_paged_until_two_passes_agree() -> None:
    """In whatever order the rows come."""
    sweep: Sweep | None = begun(since=at(5), until=at(5))
    for ids, full in ((["1", "2"], True), (["3"], False), (["3", "1"], True), (["2"], False)):
        assert sweep is not None
        sweep = following(sweep, ids, full=full)
    assert sweep is None


def test_passes_that_never_agree_end() -> None:
    """What slides past all of them is left to the settle sweep."""
    sweep: Sweep | None = begun(since=at(5), until=at(5))
    for count in range(PASSES_MAX):
        assert sweep is not None
        onward = following(sweep, ["1", str(count)], full=True)
        assert onward is not None
        sweep = following(onward, [], full=False)
    assert sweep is None


def test_a_list_that_does_not_obey_page_numbers_is_refused() -> None:
    """Else its first page would be read for ever."""
    sweep = begun(since=at(5), until=at(5))
    second = following(sweep, ["1", "2"], full=True)
    assert second is not None
    with pytest.raises(Unreadable, match="does not turn pages"):
        following(second, ["1", "2"], full=True)


def test_a_pass_that_is_taken_up_again_begins_its_window_anew() -> None:
    """Its page numbers belong to a list that has changed since."""
    sweep = following(begun(since=at(5), until=at(5)), ["1"], full=True)
    assert sweep is not None
    assert bounds(sweep) == (5, 5, 2)
    assert resumed(sweep) == begun(since=at(5), until=at(5))


def test_a_clock_that_went_back_makes_no_window_that_ends_before_it_begins() -> None:
    """It is empty, and read all the same."""
    assert bounds(begun(since=at(60), until=at(0))) == (0, 0, 1)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(0, 40), max_size=30),
    st.integers(1, 6),
    st.sets(st.integers(0, 29)),
)
def test_no_row_is_lost_though_others_are_touched_in_between(
    seconds: list[float], limit: int, touched: set[int]
) -> None:
    """Whatever the page size; a touched row is left to the next pass, finer times are no hole."""
    rows = {str(index): instant for index, instant in enumerate(seconds)}
    read_ids: set[str] = set()
    for turn, page in enumerate(read(rows, limit, 0, 40)):
        read_ids |= set(page)
        if turn in touched and str(turn) in rows:
            rows[str(turn)] = 1000.0
    assert read_ids >= {one for one, instant in rows.items() if instant <= 40}
