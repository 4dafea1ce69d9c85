"""Paging by offset and total over a list in ascending order of last update, for any source.  Pure.

A row that is touched in mid-sweep moves to the tail and everything behind it slides up, so a plain
offset would skip one.  Each page is therefore asked for from an instant that an earlier one showed:
the newest that is strictly older than its last, so that it does not matter whether the filter's
"after" is exclusive.  An offset is used only while no such instant is there, and then each page
begins with the last row of the page before: when it does not, rows have slid and the offset starts
over.  From the first page on whose rows are not in order or lie in the future, the rest of the
pass is read by offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from schemas.message import digest, iso, parse_instant
from services.poller.keyset import SEPARATOR, Row, read_stamp
from services.poller.pages import ascending, goes_on, now_at, plausible
from services.poller.progress import NOT_TURNED, turned
from services.poller.source import Page, Rejected, Response, Sweep

PASSES_MAX = 10  # over rows by offset; what slides past all of them is the settle sweep's
READ_MAX = 10_000  # rows remembered within one pass
AHEAD_MAX = timedelta(hours=1)  # of the upstream's own clock; a later row moves no position


@dataclass(frozen=True, slots=True)
class Listed:
    """A page in the order it came, and how many rows there are said to be in all; None: unsaid."""

    entries: Sequence[Row | Rejected]
    total: int | None

    @property
    def rows(self) -> list[Row]:
        """Those that can be read."""
        return [one for one in self.entries if isinstance(one, Row)]


def begun(*, after: str, now: datetime, page_size: int) -> Sweep:
    """A pass over what was updated after an instant, which goes out as it is written here.

    `since` stays while `after` moves on; `border` is what the next page must begin with; `full`
    is how long a page is that may not be the last, `longest` how long one was; `read` are rows
    that may come again; `frozen`: `after` stays, and the rest is read by offset.
    """
    return {
        "since": after,
        "after": after,
        "offset": 0,
        "border": "",
        "full": page_size,
        "newest": "",
        "read": [],
        "passes": 0,
        "longest": 0,
        "frozen": False,
        "started_at": iso(now),
        **NOT_TURNED,
    }


def paged(sweep: Sweep, listed: Listed, response: Response) -> Page:
    """The rows not read before, and the progress.  Raises Unreadable, Repeated.

    A complete pass leaves the newest last update as the position, in the upstream's own spelling;
    without rows it leaves the position alone.
    """
    known, rows = frozenset(sweep["read"]), listed.rows
    new = [row for row in rows if row.token not in known]
    # What shares the last instant or lies in the future may be shown by every poll from now on.
    now = now_at(response)
    sane = [row.updated_at for row in rows if plausible(row.updated_at, now)]
    found = tuple(replace(row.found, again=row.updated_at >= max(sane, default=now)) for row in new)
    rejected = tuple(one for one in listed.entries if isinstance(one, Rejected))
    sweep = {**sweep, "newest": _newest(sweep["newest"], rows, response)}
    if sweep["offset"] and listed.entries:
        sweep = {**sweep, **turned(sweep, map(_token, listed.entries))}
    if _slid(sweep, listed) and sweep["passes"] < PASSES_MAX:
        again = {"offset": 0, "border": "", "passes": sweep["passes"] + 1, **NOT_TURNED}
        return Page(found, rejected, {**sweep, **again, "read": _read(sweep, rows)})
    if not _more(sweep, listed, response.limit):
        return Page(found, rejected, position=sweep["newest"] or None)
    frozen = bool(sweep.get("frozen")) or len(sane) < len(rows) or not ascending(sane)
    longest = max(sweep.get("longest", 0), len(listed.entries))
    return Page(
        found, rejected, _onward({**sweep, "frozen": frozen, "longest": longest}, listed, rows)
    )


def _slid(sweep: Sweep, listed: Listed) -> bool:
    """Whether the page does not begin with what the one before it ended with."""
    border = sweep["border"]
    return bool(border) and [_token(one) for one in listed.entries[:1]] != [border]


def _read(sweep: Sweep, rows: list[Row]) -> list[str]:
    return list(dict.fromkeys([*sweep["read"], *(row.token for row in rows)]))[-READ_MAX:]


def _more(sweep: Sweep, listed: Listed, limit: int) -> bool:
    """Whether to go on: the total says so, or the page is full, for totals are known to shrink."""
    count = len(listed.entries)
    if listed.total is None:
        asked, longest = limit or sweep["full"], sweep.get("longest", 0)
        return goes_on(count, asked=asked, longest=longest, told=None)
    return count > 0 and (_told(sweep, listed) or count >= sweep["full"])


def _told(sweep: Sweep, listed: Listed) -> bool:
    return bool(sweep["offset"] + len(listed.entries) < (listed.total or 0))


def _onward(sweep: Sweep, listed: Listed, rows: list[Row]) -> Sweep:
    """From the newest instant that is surely read whole, else by offset."""
    count = len(listed.entries)
    full = count if _told(sweep, listed) else sweep["full"]
    read = _read(sweep, rows)
    ordered = [] if sweep["frozen"] else rows
    whole = [row for row in ordered if row.updated_at < rows[-1].updated_at]
    if whole and whole[-1].updated_at > read_stamp(sweep["after"]):
        return {
            **sweep,
            "after": whole[-1].stamp,
            "offset": 0,
            "border": "",
            "full": full,
            "read": [one for one in read if _stamped_at(one) >= whole[-1].updated_at],
            "passes": 0,
            **NOT_TURNED,
        }
    if not sweep["offset"]:
        sweep = {**sweep, **turned(sweep, map(_token, listed.entries))}
    step, border = (count - 1, _token(listed.entries[-1])) if count > 1 else (count, "")
    return {
        **sweep,
        "offset": sweep["offset"] + step,
        "border": border,
        "full": full,
        "read": read,
    }


def _newest(known: str, rows: list[Row], response: Response) -> str:
    """The latest stamp so far, but for those that lie in the upstream's future."""
    until = now_at(response) + AHEAD_MAX
    past = [row for row in rows if row.updated_at <= until]
    latest = max(past, key=lambda row: row.updated_at, default=None)
    if latest is None or (known and read_stamp(known) > latest.updated_at):
        return known
    try:
        parse_instant(latest.stamp)
    except ValueError:  # a spelling that only this upstream uses
        return iso(latest.updated_at)
    return latest.stamp


def _token(entry: Row | Rejected) -> str:
    return entry.token if isinstance(entry, Row) else f"!{digest(repr(entry.body))}"


def _stamped_at(token: str) -> datetime:
    return read_stamp(token.partition(SEPARATOR)[0])
