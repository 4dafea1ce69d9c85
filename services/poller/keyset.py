"""Paging by keyset over a list in ascending order of last update, for any source.  Pure.

Each page is asked for from the last row's own instant, so a row that is touched in mid-sweep can
hide no other.  The upstream's own next link is followed only while one instant fills a page, and
from the first page on whose rows are not in order or lie in the future: then to the end of the
list, until a pass over it brings nothing new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from schemas.message import iso, parse_instant
from services.poller.pages import ascending, goes_on, plausible, version_of
from services.poller.progress import NOT_TURNED, turned
from services.poller.source import Found, Page, Rejected, Repeated, Sweep, Unreadable

PASSES_MAX = 10  # over rows of one instant; what slides past all of them is the settle sweep's
READ_MAX = 10_000  # rows remembered within one pass
IDLE_PAGES_MAX = 1_000  # in a row, by next link, that bring nothing new
SEPARATOR = "\t"  # in no spelling of an instant: 2026/03/01 is one


class Row(msgspec.Struct, frozen=True, gc=False):
    """A readable row: `stamp` is its last update as the upstream wrote it, echoed untouched."""

    found: Found
    stamp: str
    updated_at: datetime

    @property
    def token(self) -> str:
        """What a sweep remembers of it."""
        return f"{self.stamp}{SEPARATOR}{self.found.upstream_id}"


@dataclass(frozen=True, slots=True)
class Listed:
    """A page: its rows, those that cannot be read, and how to go on.

    `has_next` None: the answer does not say; `asked` rows were asked for.
    """

    rows: Sequence[Row]
    rejected: Sequence[Rejected]
    has_next: bool | None
    next_url: str | None
    asked: int = 0


def begun(*, since: datetime, now: datetime, until: datetime) -> Sweep:
    """A pass from `since` until a row lies past `until`.

    `read` are the rows known at `since`, `fresh` whether the present pass brought any new,
    `longest` its longest page; `frozen`: `since` stays, and the next link leads to the end.
    `since` goes out in milliseconds, cut off, which is as fine as any upstream here writes.
    """
    return {
        "since": since.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "started_at": iso(now),
        "until": iso(until),
        "next": None,
        "read": [],
        "fresh": False,
        "passes": 0,
        "idle": 0,
        "longest": 0,
        "frozen": False,
        **NOT_TURNED,
    }


def resumed(sweep: Sweep) -> Sweep:
    """The pass taken up again; a stored next link is not trusted."""
    return {**sweep, **NOT_TURNED, "next": None, "fresh": True, "idle": 0, "longest": 0}


def paged(sweep: Sweep, listed: Listed, *, now: datetime, once: bool) -> Page:
    """The rows not read before, and the progress; `once`: the end of the pass ends the stream.

    `now` is by the upstream's clock.  A complete pass leaves the instant it began as the position,
    never a row's own.
    """
    known = frozenset(sweep["read"])
    stamps = {token.partition(SEPARATOR)[0] for token in known}
    new = [row for row in listed.rows if row.stamp not in stamps or row.token not in known]
    found, rejected = tuple(row.found for row in new), tuple(listed.rejected)
    following = _following(sweep, listed, new, now)
    if following is not None:
        return Page(found, rejected, following)
    return Page(found, rejected, position=sweep["started_at"], done=once)


def _following(sweep: Sweep, listed: Listed, new: list[Row], now: datetime) -> Sweep | None:
    """The progress after a page; None when the pass is complete.

    By next link a touched row slides those behind it onto pages already read, so a pass over an
    instant that used one and brought anything new is made again.  A row that is hidden in every
    pass, the last one too, is left to the settle sweep.
    """
    count, longest = len(listed.rows) + len(listed.rejected), sweep.get("longest", 0)
    has_next = goes_on(count, asked=listed.asked, longest=longest, told=listed.has_next)
    rows = [row for row in listed.rows if plausible(row.updated_at, now)]
    ordered = len(rows) == len(listed.rows) and ascending([row.updated_at for row in rows])
    frozen = bool(sweep.get("frozen")) or not ordered
    sweep = {**sweep, "longest": max(longest, count), "frozen": frozen}
    last = _last_whole(rows, by_link=bool(listed.next_url))
    moved = last is not None and last.updated_at > read_stamp(sweep["since"])
    if listed.next_url:
        moved = moved and not frozen
    past = not frozen and last is not None and last.updated_at > parse_instant(sweep["until"])
    stuck = not moved and not listed.next_url and listed.has_next is None and count != listed.asked
    ended = past or stuck or not has_next
    fresh = sweep["fresh"] or bool(new)
    if sweep["next"] and (ended or moved) and fresh and sweep["passes"] < PASSES_MAX:
        again = {"next": None, "fresh": False, "passes": sweep["passes"] + 1, "idle": 0}
        return {**sweep, **NOT_TURNED, **again, "read": _read(sweep, new)}
    if ended:
        return None
    if last is not None and moved:
        known = [row.token for row in listed.rows if row.updated_at >= last.updated_at]
        onward = {"since": last.stamp, "read": known, "fresh": False, "passes": 0, "idle": 0}
        return {**sweep, **NOT_TURNED, **onward, "frozen": False, "next": None}
    return {**sweep, **_by_link(sweep, listed, new), "read": _read(sweep, new), "fresh": fresh}


def _last_whole(rows: Sequence[Row], *, by_link: bool) -> Row | None:
    """The row to go on from: the last one.

    Where there is no link to follow either, the first of those that came too late, so that what
    is out of its place by a little is not lost.
    """
    if not rows:
        return None
    newest, late = rows[0], []
    for row in rows:
        if row.updated_at < newest.updated_at:
            late.append(row)
        newest = max(newest, row, key=lambda one: one.updated_at)
    if late and not by_link:
        return min(late, key=lambda one: one.updated_at)
    return rows[-1]


def _by_link(sweep: Sweep, listed: Listed, new: Sequence[Row]) -> Sweep:
    """Where the next link leads, within one instant.  Raises Unreadable, Repeated."""
    if not listed.next_url:
        raise Unreadable("one instant fills the page, but there is no link to the next one")
    tokens = [row.token for row in listed.rows] or [listed.next_url]
    idle = 0 if new else sweep.get("idle", 0) + 1
    if idle > IDLE_PAGES_MAX:
        raise Repeated(f"{idle} pages in a row brought nothing new, and there is still a next one")
    return {"next": listed.next_url, "idle": idle, **turned(sweep, tokens)}


def _read(sweep: Sweep, new: Sequence[Row]) -> list[str]:
    """What is known at the pass's instant, with this page."""
    return [*sweep["read"], *(row.token for row in new)][:READ_MAX]


def read_stamp(stamp: str) -> datetime:
    """The instant of a stamp that was echoed as it was."""
    return version_of(stamp)[1]
