"""Paging by keyset over a list in ascending order of last update, for any source.  Pure.

Each page is asked for from the last row's own instant, so a row that is touched in mid-sweep can
hide no other.  Only while one instant fills a page is the upstream's own next link followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import msgspec

from schemas.message import iso, parse_instant
from services.poller.progress import NOT_TURNED, turned
from services.poller.source import Found, Page, Rejected, Repeated, Sweep, Unreadable

PASSES_MAX = 10  # over rows of one instant; what slides past all of them is the settle sweep's
READ_MAX = 10_000  # rows remembered within one pass
IDLE_PAGES_MAX = 1_000  # in a row, by next link, that bring nothing new


class Row(msgspec.Struct, frozen=True, gc=False):
    """A readable row: `stamp` is its last update as the upstream wrote it, echoed untouched."""

    found: Found
    stamp: str
    updated_at: datetime

    @property
    def token(self) -> str:
        """What a sweep remembers of it."""
        return f"{self.stamp}/{self.found.upstream_id}"


@dataclass(frozen=True, slots=True)
class Listed:
    """A page: its rows, those that cannot be read, and how to go on."""

    rows: Sequence[Row]
    rejected: Sequence[Rejected]
    has_next: bool
    next_url: str | None


def begun(*, since: datetime, now: datetime, until: datetime) -> Sweep:
    """A pass from `since` until a row lies past `until`.

    `read` are the rows known at `since`, `fresh` whether the present pass brought any new.
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
        **NOT_TURNED,
    }


def resumed(sweep: Sweep) -> Sweep:
    """The pass taken up again; a stored next link is not trusted."""
    return {**sweep, **NOT_TURNED, "next": None, "fresh": True, "idle": 0}


def paged(sweep: Sweep, listed: Listed, *, once: bool) -> Page:
    """The rows not read before, and the progress; `once`: the end of the pass ends the stream.

    A complete pass leaves the instant it began as the position, never a row's own.
    """
    known = frozenset(sweep["read"])
    stamps = {token.partition("/")[0] for token in known}
    new = [row for row in listed.rows if row.stamp not in stamps or row.token not in known]
    found, rejected = tuple(row.found for row in new), tuple(listed.rejected)
    following = _following(sweep, listed, new)
    if following is not None:
        return Page(found, rejected, following)
    return Page(found, rejected, position=sweep["started_at"], done=once)


def _following(sweep: Sweep, listed: Listed, new: list[Row]) -> Sweep | None:
    """The progress after a page; None when the pass is complete.

    By next link a touched row slides those behind it onto pages already read, so a pass over an
    instant that used one and brought anything new is made again.  A row that is hidden in every
    pass, the last one too, is left to the settle sweep.
    """
    last = listed.rows[-1] if listed.rows else None
    past = last is not None and last.updated_at > parse_instant(sweep["until"])
    moved = last is not None and last.updated_at > parse_instant(sweep["since"])
    ended = past or not listed.has_next
    fresh = sweep["fresh"] or bool(new)
    if sweep["next"] and (ended or moved) and fresh and sweep["passes"] < PASSES_MAX:
        again = {"next": None, "fresh": False, "passes": sweep["passes"] + 1, "idle": 0}
        return {**sweep, **NOT_TURNED, **again, "read": _read(sweep, new)}
    if ended:
        return None
    if last is not None and moved:
        refuse_disorder(listed.rows)
        at_last = [row.token for row in listed.rows if row.updated_at == last.updated_at]
        onward = {"since": last.stamp, "read": at_last, "fresh": False, "passes": 0, "idle": 0}
        return {**sweep, **NOT_TURNED, **onward, "next": None}
    return {**sweep, **_by_link(sweep, listed, new), "read": _read(sweep, new), "fresh": fresh}


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


def refuse_disorder(rows: Sequence[Row]) -> None:
    """Raises Unreadable: paging on from a row's own instant would lose some."""
    for before, after in pairwise(rows):
        if after.updated_at < before.updated_at:
            raise Unreadable(
                f"rows are not in ascending order of their last update: {after.stamp} after "
                f"{before.stamp}; paging on would lose some"
            )
