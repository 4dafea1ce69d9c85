"""Paging by total over a list that changes while it is read, its filter exclusive or inclusive."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.instants import read_instant
from schemas.message import iso, parse_instant
from services.poller.by_total import Listed, begun, paged
from services.poller.keyset import Row
from services.poller.source import Found, Page, Rejected, Response, Sweep
from tests.soak import sized

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = START + timedelta(hours=1)
BEFORE = iso(START - timedelta(seconds=1))
ANSWER = Response(200, {}, b"", NOW)


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


def row(name: object, stamp: datetime) -> Row:
    return Row(Found(str(name), b"{}", stamp), iso(stamp), stamp)


@dataclass
class Upstream:
    """A list by last update, then id, read by offset: rows really slide."""

    updated: dict[int, datetime]
    size: int
    inclusive: bool = False
    total_lies: bool = False
    clock: datetime = NOW
    requests: int = 0
    offsets: list[int] = field(default_factory=list)

    def touch(self, number: int) -> None:
        self.clock += timedelta(seconds=1)
        self.updated[number] = self.clock

    def page(self, sweep: Sweep) -> Listed:
        self.requests += 1
        after, offset = parse_instant(sweep["after"]), sweep["offset"]
        self.offsets.append(offset)
        rows = sorted(
            (stamp, number)
            for number, stamp in self.updated.items()
            if stamp > after or (self.inclusive and stamp == after)
        )
        shown = rows[offset : offset + self.size]
        total = offset + len(shown) if self.total_lies else len(rows)
        return Listed([row(number, stamp) for stamp, number in shown], total)


def sweep_through(
    upstream: Upstream, touches: dict[int, list[int]], after: str = BEFORE
) -> tuple[list[str], str | None]:
    """Every id found by one pass and where it ended; `touches`: who moves after which page."""
    sweep: Sweep | None = begun(after=after, now=NOW, page_size=upstream.size)
    ids: list[str] = []
    page = Page()
    while sweep is not None:
        page = paged(sweep, upstream.page(sweep), ANSWER)
        ids += [found.upstream_id for found in page.found]
        for number in touches.get(upstream.requests, ()):
            upstream.touch(number)
        sweep = page.sweep
        assert upstream.requests < 1000, "the pass does not end"
    return ids, page.position


@settings(deadline=None, max_examples=sized(100, 400))
@given(
    seconds=st.lists(st.integers(0, 2), min_size=1, max_size=30),
    size=st.integers(2, 5),
    page=st.integers(1, 14),
    touched=st.lists(st.integers(0, 29), max_size=10),
    inclusive=st.booleans(),
    lies=st.booleans(),
)
def test_nothing_is_lost_when_rows_are_touched_between_pages(
    *, seconds: list[int], size: int, page: int, touched: list[int], inclusive: bool, lies: bool
) -> None:
    """What was there and did not move is found by the pass, whatever the total says."""
    updated = {number: at(second) for number, second in enumerate(seconds)}
    upstream = Upstream(updated, size, inclusive, total_lies=lies)
    ids, _ = sweep_through(upstream, {page: [n for n in touched if n < len(seconds)]})
    still = {str(number) for number, stamp in upstream.updated.items() if stamp <= NOW}
    assert still <= set(ids)


@settings(deadline=None, max_examples=sized(50, 200))
@given(
    seconds=st.lists(st.integers(0, 6), max_size=40),
    size=st.integers(1, 7),
    inclusive=st.booleans(),
)
def test_a_quiet_list_is_read_exactly_once(seconds: list[int], size: int, inclusive: bool) -> None:
    """Ties at page borders are neither lost nor given out twice; the end is the newest."""
    updated = {number: at(second) for number, second in enumerate(seconds)}
    ids, position = sweep_through(Upstream(updated, size, inclusive), {})
    assert sorted(ids) == sorted(str(number) for number in updated)
    assert position == (iso(max(updated.values())) if updated else None)


def test_without_ties_no_offset_is_ever_used() -> None:
    """Each page begins behind the newest instant that is surely read whole."""
    upstream = Upstream({number: at(number) for number in range(12)}, size=4)
    ids, _ = sweep_through(upstream, {})
    assert len(ids) == 12
    assert set(upstream.offsets) == {0}


def test_only_within_one_instant_pages_follow_by_offset_and_share_a_row() -> None:
    """The row they share shows that nothing has slid; then the next instant begins at 0 again."""
    updated = {number: at(3) for number in range(9)} | {9: at(4), 10: at(5)}
    upstream = Upstream(updated, size=4)
    ids, _ = sweep_through(upstream, {})
    assert upstream.offsets == [0, 3, 6, 0]
    assert len(ids) == 11


def test_a_page_that_shows_that_rows_have_slid_is_not_read_in_vain() -> None:
    """Its rows are written, though the offset starts over: they may be others the next time."""
    upstream = Upstream({number: at(3) for number in range(9)}, size=4)
    start = begun(after=BEFORE, now=NOW, page_size=4)
    first = paged(start, upstream.page(start), ANSWER)
    assert first.sweep is not None
    upstream.touch(0)
    slid = paged(first.sweep, upstream.page(first.sweep), ANSWER)
    assert slid.sweep is not None
    assert [one.upstream_id for one in slid.found] == ["4", "5", "6", "7"]
    assert slid.sweep["offset"] == 0
    again = paged(slid.sweep, upstream.page(slid.sweep), ANSWER)
    assert again.found == ()  # 1 to 4 are known by now


def test_a_single_short_page_is_the_whole_pass() -> None:
    """One request when all of it fits, also when there is nothing, or the last row again."""
    for updated, inclusive in (({}, False), ({1: at(0)}, False), ({1: at(0)}, True)):
        upstream = Upstream(dict(updated), size=4, inclusive=inclusive)
        sweep_through(upstream, {}, after=iso(at(0)))
        assert upstream.requests == 1


def test_a_total_of_rows_that_do_not_come_ends_the_pass_at_what_came() -> None:
    """An empty page has nothing to go on from; the next poll begins where this one began."""
    page = paged(begun(after=BEFORE, now=NOW, page_size=4), Listed([], 7), ANSWER)
    assert (page.sweep, page.position) == (None, None)


def test_what_shares_the_last_instant_is_marked_to_come_again() -> None:
    """An inclusive filter shows it in every poll, however old it is."""
    sweep = begun(after=BEFORE, now=NOW, page_size=9)
    page = paged(sweep, Listed([row(1, at(1)), row(2, at(2)), row(3, at(2))], 3), ANSWER)
    assert [found.again for found in page.found] == [False, True, True]


def test_a_row_of_the_upstreams_future_moves_no_position() -> None:
    """One absurd stamp would pass by everything that is written until then."""
    rows = [row(1, at(1)), row(2, at(2) + timedelta(days=9000))]
    page = paged(begun(after=BEFORE, now=NOW, page_size=9), Listed(rows, 2), ANSWER)
    assert (len(page.found), page.position) == (2, iso(at(1)))


def test_a_page_of_unreadable_rows_is_passed_by_offset() -> None:
    """They tell no instant to go on from; the readable ones behind them are found."""
    bad = [Rejected("", "$", "no record", f"{n}".encode()) for n in range(3)]
    sweep = begun(after=BEFORE, now=NOW, page_size=3)
    page = paged(sweep, Listed(bad, 4), ANSWER)
    assert page.sweep is not None
    assert (page.sweep["after"], page.sweep["offset"], len(page.rejected)) == (BEFORE, 2, 3)
    page = paged(page.sweep, Listed([bad[2], row(1, at(1))], 4), ANSWER)
    assert ([found.upstream_id for found in page.found], page.position) == (["1"], iso(at(1)))


def read_in_order_of_the_server(rows: list[Row], size: int) -> tuple[list[str], str | None]:
    """What one pass brings of a list that is sorted by whatever the server likes."""
    sweep: Sweep | None = begun(after=BEFORE, now=NOW, page_size=size)
    ids: list[str] = []
    page = Page()
    for _ in range(100):
        if sweep is None:
            break
        left = [one for one in rows if one.updated_at > parse_instant(sweep["after"])]
        shown = left[sweep["offset"] : sweep["offset"] + size]
        page = paged(sweep, Listed(shown, len(left)), ANSWER)
        ids += [found.upstream_id for found in page.found]
        sweep = page.sweep
    assert sweep is None, "the pass does not end"
    return ids, page.position


@settings(deadline=None, max_examples=sized(50, 300))
@given(rest=st.permutations(range(2, 9)), size=st.integers(2, 5))
def test_a_list_out_of_order_is_read_to_its_end(rest: list[int], size: int) -> None:
    """Its window stays as it is and is read by offset; the position is the newest of all."""
    ids, position = read_in_order_of_the_server([row(n, at(n)) for n in (1, 0, *rest)], size)
    assert sorted(ids) == [str(n) for n in range(9)]
    assert position == iso(at(8))


def test_rows_of_the_far_future_move_nothing() -> None:
    """A page of nothing else goes on by offset; the position is the newest that can be true."""
    rows = [row(1, at(1)), *(row(n, NOW + timedelta(days=9999)) for n in range(2, 9))]
    ids, position = read_in_order_of_the_server(rows, 2)
    assert ids == [str(n) for n in range(1, 9)]
    assert position == iso(at(1))


def test_without_a_total_a_page_that_was_cut_short_is_not_the_last() -> None:
    """100 asked, 12 come each time: another is asked for while they are as long."""
    rows = [row(n, at(n)) for n in range(30)]
    sweep: Sweep | None = begun(after=BEFORE, now=NOW, page_size=100)
    ids: set[str] = set()
    while sweep is not None:
        left = [one for one in rows if one.updated_at > parse_instant(sweep["after"])]
        page = paged(sweep, Listed(left[sweep["offset"] :][:12], None), ANSWER)
        ids |= {found.upstream_id for found in page.found}
        sweep = page.sweep
    assert len(ids) == 30


def test_a_stamp_with_slashes_is_paged_like_any_other() -> None:
    """What a pass remembers of a row tells its stamp from its id in every spelling."""
    rows = [Row(Found(str(n), b"{}", at(n)), f"2026/03/01 12:00:{n:02d}Z", at(n)) for n in range(4)]
    sweep: Sweep | None = begun(after=BEFORE, now=NOW, page_size=2)
    read: list[str] = []
    for _ in range(10):
        if sweep is None:
            break
        after = read_instant(sweep["after"])
        shown = [one for one in rows if after is None or one.updated_at > after]
        page = paged(sweep, Listed(shown[sweep["offset"] :][:2], len(shown)), ANSWER)
        read += [one.upstream_id for one in page.found]
        sweep = page.sweep

    assert (sweep, sorted(set(read))) == (None, ["0", "1", "2", "3"])
