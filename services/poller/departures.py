"""Ship times that lie ahead: a label can be made days before its package leaves.  Pure.

What such a record says changes at that instant without a change of the record, so it is read again
then and put on raw all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

from schemas.message import parse_instant
from services.poller.source import Due

# What leaves while its request is under way has left: the normalizer reads it so, too.
UNDER_WAY = timedelta(seconds=2)
AHEAD_MAX = timedelta(days=90)  # of a plan; what is later is a mistake
ZONE_AHEAD_MAX = timedelta(hours=14)  # in which a local date may have begun already
DATE_LENGTH = len("2026-03-01")


def departures(told: Iterable[object]) -> tuple[datetime, ...]:
    """Return the ship times that can be read, of those that a record tells."""
    found = (_instant(value) for value in told if isinstance(value, str))
    return tuple(at for at in found if at is not None)


def _instant(value: str) -> datetime | None:
    """Return the instant; of a date or a local time, when that date begins anywhere."""
    try:
        return parse_instant(value)
    except ValueError:
        pass
    try:
        day = date.fromisoformat(value.strip()[:DATE_LENGTH])
        return datetime(day.year, day.month, day.day, tzinfo=UTC) - ZONE_AHEAD_MAX
    except (ValueError, OverflowError):
        return None


def due_at_departure(times: Sequence[datetime], now: datetime, stream: str) -> Due | None:
    """Return when to read a record again because its next package leaves; None for no plan."""
    ahead = [at - now for at in times if UNDER_WAY < at - now <= AHEAD_MAX]
    return Due(stream, min(ahead).total_seconds()) if ahead else None


def has_departed(times: Sequence[datetime], since: datetime, now: datetime) -> bool:
    """Return whether a package that was still to leave at `since` has left by now."""
    return any(since + UNDER_WAY < at <= now for at in times)
