"""What is true of the pages of any list: where it ends, its order, its doubles.  Pure.

Servers cut a page shorter than what was asked for without a word, sort by something else than they
say, and show one record with a version from the future.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from schemas.instants import read_instant
from schemas.message import parse_instant
from services.poller.source import Found, Response
from services.poller.upstream_clock import date_of

AHEAD_MAX = timedelta(days=1)  # of the upstream's clock; what is later cannot be a last update
SUSPICIOUS_ROWS = 10  # a first page with so many may have been cut short; with fewer it is whole


def goes_on(count: int, *, asked: int, longest: int, told: bool | None) -> bool:
    """Return whether to ask for another page after one of `count` records.

    `told`: what the answer says of it, None where it does not.  `asked`: the limit that was sent.
    `longest`: the longest page of the pass before this one, 0 for none.
    """
    if told is not None:
        return told
    if count == 0:
        return False
    if count >= asked > 0:
        return True
    return count >= (longest or SUSPICIOUS_ROWS)


def now_at(response: Response) -> datetime:
    """Return the present instant at the upstream, by its `Date` where there is one."""
    return date_of(response.headers) or response.requested_at


def plausible(instant: datetime, now: datetime) -> bool:
    """Return whether a last update can be true: it is not more than a day ahead of now."""
    return instant - now <= AHEAD_MAX


def version_of(*told: object) -> tuple[str, datetime]:
    """Return the first of these that is there, as it was written, and its instant.

    A last update may be null until the first edit; then the creation counts.  Raises ValueError.
    """
    for value in told:
        if isinstance(value, str):
            try:
                return value, parse_instant(value)
            except ValueError:
                pass  # another spelling
        found = read_instant(value)
        if found is not None:
            return str(value), found
    raise ValueError("there is no last update, and no time of creation")


def ascending(instants: Sequence[datetime]) -> bool:
    """Return whether no instant is earlier than the one before it."""
    return all(before <= after for before, after in pairwise(instants))


def without_doubles(found: Sequence[Found], now: datetime) -> tuple[Found, ...]:
    """Return one record for each id: the newest by version, else the last, in its place.

    A version that is not plausible is none.
    """
    if len({one.upstream_id for one in found}) == len(found):
        return tuple(found)
    kept: dict[str, Found] = {}
    for one in found:
        known = kept.get(one.upstream_id)
        if known is None or not _older(one, known, now):
            kept.pop(one.upstream_id, None)
            kept[one.upstream_id] = one
    return tuple(kept.values())


def _older(one: Found, than: Found, now: datetime) -> bool:
    versions = (one.updated_at, than.updated_at)
    if any(at is None or not plausible(at, now) for at in versions):
        return False
    return versions[0] < versions[1]  # type: ignore[operator]
