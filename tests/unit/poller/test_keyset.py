"""Keyset paging over a list that changes while it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.message import iso, parse_instant
from services.poller.keyset import Listed, Row, begun, paged, resumed
from services.poller.source import Found, Sweep, Unreadable
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
        page = paged(sweep, upstream.page(sweep), once=False)
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
    page = paged(sweep, upstream.page(sweep), once=False)
    assert (page.sweep, page.position, page.done) == (None, iso(NOW), False)


def test_a_pass_taken_up_again_trusts_no_stored_link() -> None:
    """The instant that filled a page is read from its first row again."""
    upstream = Upstream({number: at(3) for number in range(9)}, size=4)
    sweep: Sweep | None = begun(since=START, now=NOW, until=NOW)
    assert sweep is not None
    for _ in range(2):
        assert sweep is not None
        sweep = paged(sweep, upstream.page(sweep), once=False).sweep
    assert sweep is not None
    assert sweep["next"]
    sweep = resumed(sweep)
    assert sweep["next"] is None
    ids: set[str] = set()
    while sweep is not None:
        page = paged(sweep, upstream.page(sweep), once=False)
        ids |= {found.upstream_id for found in page.found}
        sweep = page.sweep
    assert "8" in ids


def test_an_unordered_list_is_refused() -> None:
    """Keyset paging over it would lose rows silently; retried and shown instead."""
    rows = [Row(Found(str(n), b"{}", at(n)), iso(at(n)), at(n)) for n in (3, 1, 5)]
    sweep = begun(since=START, now=NOW, until=NOW)
    with pytest.raises(Unreadable, match="ascending"):
        paged(sweep, Listed(rows, [], True, "1@x"), once=False)


def test_rows_are_in_order_by_their_instants_and_a_stamp_is_echoed_as_it_was() -> None:
    """As texts these two stand the other way round; the next page begins at the last one's text."""
    stamps = ["2026-03-01T13:00:00+01:00", "2026-03-01T12:00:00.5Z"]
    rows = [
        Row(Found(str(number), b"{}", parse_instant(stamp)), stamp, parse_instant(stamp))
        for number, stamp in enumerate(stamps)
    ]
    sweep = begun(since=START - timedelta(seconds=1), now=NOW, until=NOW)

    page = paged(sweep, Listed(rows, [], has_next=True, next_url="x"), once=False)

    assert page.sweep is not None
    assert stamps[1] == page.sweep["since"]
