"""Whether a pass over pages gets any further, for every kind of paging.  Pure.

An upstream that ignores a page number, an offset or a token gives the same pages for ever.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas.message import digest
from services.poller.source import Repeated, Sweep

NOT_TURNED: Sweep = {"last": None, "milestone": None, "turned": 0}


def turned(sweep: Sweep, tokens: Iterable[str]) -> Sweep:
    """What to remember of a page with these rows, beside `sweep`.

    Raises Repeated when it is the page before it, or one that a ring of pages has led back to: one
    page is remembered at each power of two, so a ring of any length is met again.
    """
    page = digest(list(tokens))
    if page in (sweep.get("last"), sweep.get("milestone")):
        raise Repeated(
            "the next page holds what a page before it held: the upstream does not turn pages, "
            "and the pass would never end"
        )
    pages = int(sweep.get("turned", 0)) + 1
    milestone = page if pages & (pages - 1) == 0 else sweep.get("milestone")
    return {"last": page, "milestone": milestone, "turned": pages}
