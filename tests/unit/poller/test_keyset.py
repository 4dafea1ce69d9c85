"""Keyset paging over a list that changes while it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.message import iso, parse_instant
from services.poller.keyset import Listed, Row, begun, paged, resumed
from services.poller.source import Found, Page, Sweep, Unreadable
from tests.soak import sized

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = START + timedelta(hours=1)


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


@dataclass
class Upstream:
    """A list by last update, then id, whose next link is an offset: rows really slide."""

    updated: dict[int, datetime]
    size: int
    clock: datetime = NOW
    requests: int = 0
    log: list[tuple[int, datetime]] = field(default_factory=list)

    def touch(self, number: int) -> None:
        self.clock += timedelta(seconds=1)
        self.updated[number] = self.clock

    def page(self, sweep: Sweep) -> Listed:
        self.requests += 1
        since, offset = sweep["since"], 0
        if sweep["next"]:
            offset_text, since = sweep["next"].split("@", 1)
            offset = int(offset_text)
        rows = sorted(
            (stamp, number)
            for number, stamp in self.updated.items()
            if stamp >= parse_instant(since)
        )
        shown = rows[offset : offset + self.size]
        self.log += [(number, stamp) for stamp, number in shown]
        return Listed(
            [Row(Found(str(number), b"{}", stamp), iso(stamp), stamp) for stamp, number in shown],
            [],
            offset + self.size < len(rows),
            f"{offset + self.size}@{since}",
        )


def sweep_through(upstream: Upstream, touches: dict[int, list[int]]) -> list[str]:
    """Every id found by one pass; `touches` says which rows move after which page."""
    sweep: Sweep | None = begun(since=START, now=NOW, until=NOW)
    ids: list[str] = []
    while sweep is not None:
        page = paged(sweep, upstream.page(sweep), now=NOW, once=False)
        ids += [found.upstream_id for found in page.found]
        for number in touches.get(upstream.requests, ()):
            upstream.touch(number)
        sweep = page.sweep
        assert upstream.requests < 1000, "the pass does not end"
    return ids


@settings(deadline=None, max_examples=sized(75, 300))
@given(
    seconds=st.lists(st.integers(0, 2), min_size=1, max_size=30),
    size=st.integers(1, 5),
    page=st.integers(1, 14),
    touched=st.lists(st.integers(0, 29), max_size=10),
)
def test_no_order_is_lost_when_orders_are_touched_between_pages(
    seconds: list[int], size: int, page: int, touched: list[int]
) -> None:
    """A row that was there and did not move is found by the pass, wherever others went."""
    upstream = Upstream({number: at(second) for number, second in enumerate(seconds)}, size)
    ids = sweep_through(upstream, {page: [n for n in touched if n < len(seconds)]})
    moved = {number for number, stamp in upstream.updated.items() if stamp > NOW}
    still = {str(number) for number in upstream.updated if number not in moved}
    assert still <= set(ids)


@settings(deadline=None, max_examples=sized(50, 200))
@given(seconds=st.lists(st.integers(0, 6), max_size=40), size=st.integers(1, 7))
def test_a_quiet_list_is_read_exactly_once(seconds: list[int], size: int) -> None:
    """Ties at page borders are neither lost nor given out twice."""
    upstream = Upstream({number: at(second) for number, second in enumerate(seconds)}, size)
    ids = sweep_through(upstream, {})
    assert sorted(ids) == sorted(str(number) for number in range(len(seconds)))


def test_a_list_without_ties_never_follows_the_next_link() -> None:
    """Keyset paging costs one request a page: (12 - 1) rows by steps of 3, one row overlapping."""
    upstream = Upstream({number: at(number) for number in range(12)}, size=4)
    assert len(sweep_through(upstream, {})) == 12
    assert upstream.requests == 4


def test_the_pass_ends_at_a_row_past_its_own_start() -> None:
    """Rows that keep coming do not keep a pass from ending; they belong to the next one."""
    updated = {number: at(number) for number in range(5)}
    updated |= {100 + number: NOW + timedelta(seconds=1 + number) for number in range(50)}
    upstream = Upstream(updated, size=10)
    sweep_through(upstream, {})
    assert upstream.requests == 1


def test_the_position_is_the_instant_the_pass_began() -> None:
    """Never a row's own time stamp (zentail seed: "the time you made the initial request")."""
    upstream = Upstream({1: at(5)}, size=10)
    sweep = begun(since=START, now=NOW, until=NOW)
    page = paged(sweep, upstream.page(sweep), now=NOW, once=False)
    assert (page.sweep, page.position, page.done) == (None, iso(NOW), False)


def test_a_pass_taken_up_again_trusts_no_stored_link() -> None:
    """The instant that filled a page is read from its first row again."""
    upstream = Upstream({number: at(3) for number in range(9)}, size=4)
    sweep: Sweep | None = begun(since=START, now=NOW, until=NOW)
    assert sweep is not None
    for _ in range(2):
        assert sweep is not None
        sweep = paged(sweep, upstream.page(sweep), now=NOW, once=False).sweep
    assert sweep is not None
    assert sweep["next"]
    sweep = resumed(sweep)
    assert sweep["next"] is None
    ids: set[str] = set()
    while sweep is not None:
        page = paged(sweep, upstream.page(sweep), now=NOW, once=False)
        ids |= {found.upstream_id for found in page.found}
        sweep = page.sweep
    assert "8" in ids


def row(number: int, stamp: datetime) -> Row:
    return Row(Found(str(number), b"{}", stamp), iso(stamp), stamp)


def read_in_order_of_the_server(rows: list[Row], size: int) -> tuple[list[str], Page]:
    """What one pass brings of a list that is sorted by whatever the server likes."""
    sweep: Sweep | None = begun(since=START, now=NOW, until=NOW)
    ids: list[str] = []
    page = Page()
    for _ in range(100):
        if sweep is None:
            break
        offset = int(sweep["next"] or 0)
        left = [one for one in rows if one.updated_at >= parse_instant(sweep["since"])]
        shown = left[offset : offset + size]
        more = offset + size < len(left)
        page = paged(sweep, Listed(shown, [], more, str(offset + size)), now=NOW, once=False)
        ids += [found.upstream_id for found in page.found]
        sweep = page.sweep
    assert sweep is None, "the pass does not end"
    return ids, page


@settings(deadline=None, max_examples=sized(50, 300))
@given(rest=st.permutations(range(2, 9)), size=st.integers(2, 5))
def test_a_list_out_of_order_is_read_to_its_end(rest: list[int], size: int) -> None:
    """Its window stays as it is, and the server's own links lead on; each row comes once."""
    ids, _ = read_in_order_of_the_server([row(n, at(n)) for n in (1, 0, *rest)], size)
    assert sorted(ids) == [str(n) for n in range(9)]


def test_rows_of_the_far_future_move_nothing() -> None:
    """A page of nothing else goes on by link; the position is when the pass began."""
    rows = [row(1, at(1)), *(row(n, NOW + timedelta(days=9999)) for n in range(2, 9))]
    ids, page = read_in_order_of_the_server(rows, 2)
    assert ids == [str(n) for n in range(1, 9)]
    assert page.position == iso(NOW)


def test_without_a_link_the_next_page_begins_at_the_row_that_came_too_late() -> None:
    """What is out of its place by a little is asked for again rather than lost."""
    rows = [row(n, at(n)) for n in (1, 3, 2, 5)]
    page = paged(
        begun(since=START, now=NOW, until=NOW),
        Listed(rows, [], True, None),
        now=NOW,
        once=False,
    )
    assert page.sweep is not None
    assert page.sweep["since"] == iso(at(2))


@pytest.mark.parametrize(("told", "ended"), [(None, True), (True, False)])
def test_one_instant_without_a_link_ends_where_nothing_says_that_there_is_more(
    told: bool | None, ended: bool
) -> None:
    """Nothing leads on within it; a page that says so all the same is not believed."""
    rows = [row(n, START) for n in range(20)]
    sweep, listed = begun(since=START, now=NOW, until=NOW), Listed(rows, [], told, None, asked=100)
    if ended:
        assert paged(sweep, listed, now=NOW, once=False).sweep is None
    else:
        with pytest.raises(Unreadable, match="no link"):
            paged(sweep, listed, now=NOW, once=False)


def test_rows_are_in_order_by_their_instants_and_a_stamp_is_echoed_as_it_was() -> None:
    """As texts these two stand the other way round; the next page begins at the last one's text."""
    stamps = ["2026-03-01T13:00:00+01:00", "2026-03-01T12:00:00.5Z"]
    rows = [
        Row(Found(str(number), b"{}", parse_instant(stamp)), stamp, parse_instant(stamp))
        for number, stamp in enumerate(stamps)
    ]
    sweep = begun(since=START - timedelta(seconds=1), now=NOW, until=NOW)

    page = paged(sweep, Listed(rows, [], has_next=True, next_url="x"), now=NOW, once=False)

    assert page.sweep is not None
    assert stamps[1] == page.sweep["since"]
