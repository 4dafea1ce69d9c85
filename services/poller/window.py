"""Reading a list by frozen windows of time, where its pages would shift.  Pure.

Paging by number over moving rows loses some: a row that is touched leaves the window, and those
behind it slide onto pages already read.  So a window is made smaller until it fits one page; only
one of a second, which cannot be, is paged, until two passes over it agree.  Times have whole
seconds and both bounds are inclusive; neighboring windows share theirs, so that there is no hole
between two, should the upstream itself count in finer steps than it shows.

A page that is shorter than what was asked for, by an upstream that tells no total, may still have
been cut: the one behind it is asked for once, and only when it is empty was the window read whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from schemas.message import iso, parse_instant
from services.poller.pages import goes_on
from services.poller.progress import NOT_TURNED, turned
from services.poller.source import Sweep

SECOND = timedelta(seconds=1)
PASSES_MAX = 10  # over one second; what slides past all of them is the settle sweep's
UNREAD: Sweep = {"page": 1, **NOT_TURNED, "count": 0, "sum": 0}


def begun(*, since: datetime, until: datetime) -> Sweep:
    """A pass from `since` to `until`, both cut off to the second: first as one window.

    `count` and `sum` tell the rows of the window read so far, whatever their order; `before` is
    what they were when it was read the last time.
    """
    first, end = min(_second(since), _second(until)), _second(until)
    return _window(first, end, end)


def resumed(sweep: Sweep) -> Sweep:
    """The pass taken up again; the window it stood in is read from its first page."""
    return {**sweep, **UNREAD, "before": None, "passes": 0}


def page_of(sweep: Sweep) -> dict[str, str]:
    """The bounds of the present window and its page, as parameters."""
    return {
        "updated_at_min": sweep["from"],
        "updated_at_max": sweep["to"],
        "page": str(sweep["page"]),
    }


def after_page(sweep: Sweep, ids: Sequence[str], *, asked: int, told: bool | None) -> Sweep | None:
    """The progress after a page, None when the pass is complete.

    `told`: whether there are more rows in the window, None where the answer does not say; `asked`
    were asked for.  `cut` is how many rows a page has at most, `whole` how many one had that was
    not cut, `probed` those of the page before this one, if that may have been.  Raises Repeated.
    """
    known = {name: sweep.get(name, 0) for name in ("cut", "whole")}
    if probed := sweep.get("probed", 0):
        first = {**sweep, **UNREAD, "probed": 0}
        if not ids:
            known["whole"] = max(known["whole"], probed)
            onward = following(first, ids, full=False)
        else:
            turned(sweep, ids)
            known["cut"] = probed
            onward = first if _narrow(sweep) else following(first, ids, full=True)
        return None if onward is None else {**onward, **known}
    count, asked = len(ids), min(asked, known["cut"] or asked)
    full = bool(told) if told is not None else count >= asked > 0
    paging = sweep["page"] > 1 or sweep["passes"] > 0
    unsure = not paging and goes_on(count, asked=asked, longest=0, told=told)
    if unsure and not full and count > known["whole"]:
        return {**sweep, **turned(sweep, ids), "page": 2, "probed": count}
    onward = following(sweep, ids, full=full and count > 0)
    return None if onward is None else {**onward, **known}


def _narrow(sweep: Sweep) -> bool:
    """Whether the window cannot be made smaller."""
    return parse_instant(sweep["to"]) - parse_instant(sweep["from"]) <= SECOND


def following(sweep: Sweep, ids: Sequence[str], *, full: bool) -> Sweep | None:
    """The progress after a page with the rows of these ids, None when the pass is complete.

    `full`: there may be more rows in the window.  Raises Repeated.
    """
    start, end = parse_instant(sweep["from"]), parse_instant(sweep["to"])
    paging = sweep["page"] > 1 or sweep["passes"] > 0
    if not paging and not full:
        return _onward(sweep, start, end)
    if not paging and end - start > SECOND:
        return _window(start, start + (end - start) // 2, parse_instant(sweep["until"]))
    read = {"count": sweep["count"] + len(ids), "sum": _sum(sweep["sum"], ids)}
    if full:
        return {**sweep, **read, **turned(sweep, ids), "page": sweep["page"] + 1}
    if read == sweep["before"] or sweep["passes"] + 1 >= PASSES_MAX:
        return _onward(sweep, start, end)
    return {**sweep, **UNREAD, "before": read, "passes": sweep["passes"] + 1}


def _onward(sweep: Sweep, start: datetime, end: datetime) -> Sweep | None:
    """The next window is twice as wide: where one is crowded, the next need not be."""
    until = parse_instant(sweep["until"])
    if end >= until:
        return None
    return _window(end, end + max(SECOND, 2 * (end - start)), until)


def _window(start: datetime, end: datetime, until: datetime) -> Sweep:
    bounds = {"from": iso(start), "to": iso(min(_second(end), until)), "until": iso(until)}
    return {**bounds, **UNREAD, "before": None, "passes": 0}


def _second(instant: datetime) -> datetime:
    return instant.replace(microsecond=0)


def _sum(known: int, ids: Sequence[str]) -> int:
    """Of digests, so that the order of rows makes no difference."""
    digests = (hashlib.sha256(one.encode()).digest()[:6] for one in ids)
    return (known + sum(int.from_bytes(one) for one in digests)) % 2**48
