"""Paging by id over a list in descending order of creation, newest first, for any source.  Pure.

The newest come first, so the position moves only when a pass has come to its end.  Pages follow
each other by the id of the last record, which nothing shifts; a pass that is taken up again goes
on by time, since a page after an id that is gone would be refused for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.message import iso, parse_instant
from services.poller.progress import NOT_TURNED, turned
from services.poller.source import Found, Page, Refused, Rejected, Repeated, Response, Sweep
from services.poller.upstream_clock import date_of


@dataclass(frozen=True, slots=True)
class Listed:
    """A page: its records (`updated_at` is when each was created), those that cannot be read, the
    ids of both in the order they came ("" where one has none), and whether there is more.
    """

    found: tuple[Found, ...]
    rejected: tuple[Rejected, ...]
    ids: Sequence[str]
    has_more: bool


def begun(
    *, since: datetime, before: datetime | None, position: str | None, now: datetime
) -> Sweep:
    """A pass over what was created since `since`, and before `before` if there is a bound.

    `newest` begins with the position, so that no pass moves it back; `reached` is the bound a
    later attempt would go on below, `after` the id the next page follows.
    """
    return {
        "since": _second(since),
        "before": just_after(before) if before else "",
        "reached": "",
        "after": "",
        "newest": position,
        "started_at": iso(now),
        **NOT_TURNED,
    }


def resumed(sweep: Sweep) -> Sweep:
    """The pass taken up again; a stored id is not trusted."""
    return {**sweep, **NOT_TURNED, "before": sweep["reached"] or sweep["before"], "after": ""}


def paged(sweep: Sweep, listed: Listed, response: Response, *, once: bool) -> Page:
    """The records and the progress; `once`: the end of the pass ends the stream.

    A complete pass leaves the newest instant of creation as the position: data time, so what is
    replicated late is not passed by.  Raises Refused, Repeated.
    """
    newest = _newest(sweep["newest"], listed.found, response)
    if not listed.has_more:
        return Page(listed.found, listed.rejected, position=newest, done=once)
    if not listed.ids:
        raise Refused("there is said to be more, but the page is empty: the list has no end")
    # A record without an id comes again on the page after it, and holds up none of its neighbors.
    after = next((one for one in reversed(listed.ids) if one), "")
    if not after or after == sweep["after"]:
        raise Repeated(f"the page ends where it began, at {sweep['after']!r}")
    last = listed.found[-1].updated_at if listed.found else None
    reached = just_after(last) if last else sweep["reached"]
    onward = {"after": after, "reached": reached, "newest": newest, **turned(sweep, listed.ids)}
    return Page(listed.found, listed.rejected, {**sweep, **onward})


def just_after(instant: datetime) -> str:
    """A bound above all that may be shown as `instant`, were it cut off or rounded to a second."""
    return _second(instant + timedelta(seconds=1))


def _newest(known: str | None, found: Sequence[Found], response: Response) -> str | None:
    """The latest creation so far, none of them after the upstream's own clock."""
    now = date_of(response.headers) or response.requested_at
    times = [min(one.updated_at, now) for one in found if one.updated_at]
    newest = max([*times, *([parse_instant(known)] if known else [])], default=None)
    return iso(newest) if newest else None


def _second(instant: datetime) -> str:
    """Cut off to the second."""
    return iso(instant.replace(microsecond=0))
