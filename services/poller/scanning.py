"""Paging through a whole list by cursor, where records of one instant come in any order.  Pure.

The order of such records differs from answer to answer, so the next page begins at the last record
that is older than this page's last: all that may still hide is younger.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from services.poller.source import Found, Repeated, Sweep

TIMES_MAX = 16  # how much wider a page is made that one instant fills
FROM_THE_START: Sweep = {"cursor": None, "milestone": None, "pages": 0, "times": 1, "bare": False}


class Row(NamedTuple):
    """A readable record and the instant that the list is sorted by, as it was written."""

    found: Found
    stamp: object


def following(
    sweep: Sweep, rows: Sequence[Row], next_cursor: str | None, *, widens: bool = True
) -> Sweep | None:
    """The progress after a page; None when it was the last one.

    `widens`: a wider page may hold more, so one that a single instant fills is asked for again.
    """
    if not next_cursor:
        return None
    place = _place(rows) if _is_an_id(next_cursor) else next_cursor
    if place is None:
        times = sweep["times"] * 2
        if widens and times <= TIMES_MAX:
            return {**sweep, "bare": False, "times": times}
        place = next_cursor  # what slides past this border is left to the next pass
    if place in (sweep["cursor"], sweep["milestone"]):
        raise Repeated(f"the list leads back to cursor {place[:80]}: the pass would never end")
    pages = sweep["pages"] + 1
    # Remembered at each power of two, so a ring of any length is met again.
    milestone = place if pages & (pages - 1) == 0 else sweep["milestone"]
    moved = {"cursor": place, "milestone": milestone, "pages": pages}
    return {**sweep, **FROM_THE_START, **moved}


def _place(rows: Sequence[Row]) -> str | None:
    """The cursor of the last record before the last instant; None when that gets no further."""
    if not rows:
        return None
    ends = (rows[0].stamp, rows[-1].stamp)
    inner = next((row for row in reversed(rows) if row.stamp != ends[1]), None)
    if inner is None or inner.stamp == ends[0]:
        return None
    return b64encode(inner.found.upstream_id.encode()).decode()


def _is_an_id(cursor: str) -> bool:
    """Whether cursors still are base64 of a record's id (public: panora code)."""
    try:
        UUID(b64decode(cursor, validate=True).decode())
    except ValueError:
        return False
    return True
