"""Paging by id over a list in descending order of creation, newest first, for any source.  Pure.

The newest come first, so the position moves only when a pass has come to its end.  Pages follow
each other by the id of the last record, which nothing shifts; a pass that is taken up again goes
on by time, since a page after an id that is gone would be refused for good: below the last record,
or from the start where one stood out of order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from schemas.message import iso, parse_instant
from services.poller.pages import goes_on, now_at, plausible
from services.poller.progress import NOT_TURNED, turned
from services.poller.source import Found, Page, Refused, Rejected, Repeated, Response, Sweep


@dataclass(frozen=True, slots=True)
class Listed:
    """A page: its records (`updated_at` is when each was created), those that cannot be read, the
    ids of both in the order they came ("" where one has none), and whether there is more; None:
    the answer does not say.
    """

    found: tuple[Found, ...]
    rejected: tuple[Rejected, ...]
    ids: Sequence[str]
    has_more: bool | None


def begun(
    *, since: datetime, before: datetime | None, position: str | None, now: datetime
) -> Sweep:
    """A pass over what was created since `since`, and before `before` if there is a bound.

    `newest` begins with the position, so that no pass moves it back; `reached` is the bound a
    later attempt would go on below, `after` the id the next page follows, `longest` the longest
    page so far; `unordered`: a record stood behind an older one.
    """
    return {
        "since": _second(since),
        "before": just_after(before) if before else "",
        "reached": "",
        "after": "",
        "newest": position,
        "longest": 0,
        "unordered": False,
        "started_at": iso(now),
        **NOT_TURNED,
    }


def resumed(sweep: Sweep) -> Sweep:
    """The pass taken up again; a stored id is not trusted."""
    before = sweep["reached"] or sweep["before"]
    return {**sweep, **NOT_TURNED, "before": before, "after": "", "longest": 0}


def paged(sweep: Sweep, listed: Listed, response: Response, *, once: bool) -> Page:
    """The records and the progress; `once`: the end of the pass ends the stream.

    A complete pass leaves the newest instant of creation as the position: data time, so what is
    replicated late is not passed by.  Raises Refused, Repeated.
    """
    newest = _newest(sweep["newest"], listed.found, response)
    count, longest = len(listed.ids), sweep.get("longest", 0)
    if not goes_on(count, asked=response.limit, longest=longest, told=listed.has_more):
        return Page(listed.found, listed.rejected, position=newest, done=once)
    if not listed.ids:
        raise Refused("there is said to be more, but the page is empty: the list has no end")
    # A record without an id comes again on the page after it, and holds up none of its neighbors.
    after = next((one for one in reversed(listed.ids) if one), "")
    if not after or after == sweep["after"]:
        raise Repeated(f"the page ends where it began, at {sweep['after']!r}")
    place = {**_reached(sweep, listed.found, response), "longest": max(longest, count)}
    onward = {"after": after, **place, "newest": newest, **turned(sweep, listed.ids)}
    return Page(listed.found, listed.rejected, {**sweep, **onward})


def _reached(sweep: Sweep, found: Sequence[Found], response: Response) -> Sweep:
    """The bound below which all is still to be read; none once a record stood out of order."""
    now, reached = now_at(response), sweep["reached"]
    told = (one.updated_at for one in found)
    times = [at for at in told if at is not None and plausible(at, now)]
    rises = any(before < after for before, after in pairwise(times))
    if times and reached:
        rises = rises or times[0] > parse_instant(reached)
    if sweep.get("unordered") or rises:
        return {"reached": "", "unordered": True}
    return {"reached": just_after(times[-1]) if times else reached, "unordered": False}


def just_after(instant: datetime) -> str:
    """A bound above all that may be shown as `instant`, were it cut off or rounded to a second."""
    return _second(instant + timedelta(seconds=1))


def _newest(known: str | None, found: Sequence[Found], response: Response) -> str | None:
    """The latest creation so far that can be true, none of them after the upstream's own clock."""
    now, told = now_at(response), (one.updated_at for one in found)
    times = [min(at, now) for at in told if at is not None and plausible(at, now)]
    newest = max([*times, *([parse_instant(known)] if known else [])], default=None)
    return iso(newest) if newest else None


def _second(instant: datetime) -> str:
    """Cut off to the second."""
    return iso(instant.replace(microsecond=0))
