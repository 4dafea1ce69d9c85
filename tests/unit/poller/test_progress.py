"""Every kind of paging against an upstream that turns no page, or turns them in a ring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from schemas.message import iso
from services.poller import by_total, descending, keyset, scanning, window
from services.poller.keyset import Row
from services.poller.progress import NOT_TURNED, turned
from services.poller.source import Found, Repeated, Response, Sweep

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TIE = NOW - timedelta(minutes=1)
SIZE = 3
PAGES_MAX = 400  # asked for before the pass is known never to end
Pages = Callable[[int], Sequence[int]]


def row(number: int) -> Row:
    return Row(Found(str(number), b"{}", TIE), iso(TIE), TIE)


def by_keyset(sweep: Sweep | None, numbers: Sequence[int], asked: int) -> Sweep | None:
    """All rows of one instant, each page with a next link that is another each time."""
    sweep = sweep or keyset.begun(since=TIE, now=NOW, until=NOW)
    listed = keyset.Listed([row(number) for number in numbers], [], True, f"token-{asked}")
    return keyset.paged(sweep, listed, now=NOW, once=False).sweep


def by_offset(sweep: Sweep | None, numbers: Sequence[int], asked: int) -> Sweep | None:
    """All rows of one instant, and the total says that there are more."""
    after = iso(TIE - timedelta(seconds=1))
    sweep = sweep or by_total.begun(after=after, now=NOW, page_size=SIZE)
    listed = by_total.Listed([row(number) for number in numbers], 1_000_000)
    return by_total.paged(sweep, listed, Response(200, {}, b"", NOW)).sweep


def by_last_id(sweep: Sweep | None, numbers: Sequence[int], asked: int) -> Sweep | None:
    """Newest first, after the last id."""
    sweep = sweep or descending.begun(since=TIE, before=None, position=None, now=NOW)
    found = tuple(row(number).found for number in numbers)
    listed = descending.Listed(found, (), [one.upstream_id for one in found], True)
    return descending.paged(sweep, listed, Response(200, {}, b"", NOW), once=False).sweep


def by_page_number(sweep: Sweep | None, numbers: Sequence[int], asked: int) -> Sweep | None:
    """Within a window of one second."""
    sweep = sweep or window.begun(since=TIE, until=TIE)
    return window.following(sweep, [str(number) for number in numbers], full=True)


def by_cursor(sweep: Sweep | None, numbers: Sequence[int], asked: int) -> Sweep | None:
    """A whole list, by a cursor that its answer gives."""
    rows = [scanning.Row(row(number).found, number) for number in numbers]
    return scanning.following(sweep or scanning.FROM_THE_START, rows, f"after-{numbers[-1]}")


KINDS = [by_keyset, by_offset, by_last_id, by_page_number, by_cursor]


@pytest.mark.parametrize("ring", [1, 2, 3, 7])
@pytest.mark.parametrize("page_after", KINDS)
def test_a_pass_that_gets_no_further_ends_with_a_reason(
    page_after: Callable[[Sweep | None, Sequence[int], int], Sweep | None], ring: int
) -> None:
    """The same page for ever, or a ring of pages: it is noticed within a bounded number."""

    def read() -> None:
        sweep: Sweep | None = None
        for asked in range(PAGES_MAX):
            first = asked % ring * SIZE
            sweep = page_after(sweep, range(first, first + SIZE), asked)
            assert sweep is not None

    with pytest.raises(Repeated) as noticed:
        read()
    assert "never end" in str(noticed.value) or "where it began" in str(noticed.value)


def test_pages_that_differ_are_never_refused() -> None:
    """However many: each is another place."""
    sweep: Sweep = NOT_TURNED
    for number in range(1000):
        sweep = turned(sweep, [str(number)])


def test_an_endless_chain_of_empty_pages_ends_too() -> None:
    """Each with another token, none with a row."""

    def read() -> None:
        sweep: Sweep | None = keyset.begun(since=TIE, now=NOW, until=NOW)
        for asked in range(keyset.IDLE_PAGES_MAX + 1):
            assert sweep is not None
            listed = keyset.Listed([], [], True, f"token-{asked}")
            sweep = keyset.paged(sweep, listed, now=NOW, once=False).sweep

    with pytest.raises(Repeated, match="brought nothing new"):
        read()
