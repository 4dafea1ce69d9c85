"""When a parent, an order, is to have its records read: pure, over its mark.

A list that finds a parent only marks it; that mark is as durable as a raw record and moves with
the list's cursor, so nothing the cursor has passed can be forgotten.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from services.poller.marks import SeenMark, content_digest
from services.poller.source import Due, Parent

UNREAD_MAX = 1000  # parents due for a stream; above, no list that feeds it finds any more

# A due time that moves by less is not written: a restart then reads a little early.
MOVE_WRITTEN = timedelta(hours=1)

# What was observed later than that from now was observed by a clock ahead of ours, of a copy that
# has gone: only one copy at a time writes marks.
AHEAD_MAX = timedelta(seconds=30)


def by_a_clock_ahead(known: SeenMark, received_at: datetime) -> bool:
    """Whether an observation lies in the future, so that what was received now is newer."""
    return known.observed_at > received_at + AHEAD_MAX


def marked(parent: Parent, known: SeenMark | None, received_at: datetime) -> SeenMark | None:
    """What it is to be remembered as, None when nothing was learned.

    A body that is new or changed makes it due; the end of a reading says when it is due again,
    unless that reading began before a list's answer was there that found it touched: it may have
    been answered first.
    """
    due_at = due_instant(parent.due, received_at)
    due_stream = parent.due.stream if parent.due else None
    if parent.body is None and known is not None:
        touched_since = parent.read_at is not None and known.observed_at > parent.read_at
        touched_since = touched_since and not by_a_clock_ahead(known, received_at)
        return None if touched_since else known.moved(due_at, due_stream)
    content = "" if parent.body is None else content_digest(parent.body, frozenset())
    if known is not None and known.content == content:
        return None
    observed_at = received_at
    if known is not None and not by_a_clock_ahead(known, received_at):
        observed_at = max(received_at, known.observed_at)
    return SeenMark(parent.id, content, observed_at, due_at, due_stream)


def due_instant(due: Due | None, now: datetime) -> datetime | None:
    """When something is to be read, from now."""
    return None if due is None else now + timedelta(seconds=due.in_seconds)


def stays(known: SeenMark, mark: SeenMark) -> bool:
    """Whether what is stored of a due time is near enough to that of the new mark."""
    if known.refusals or mark.refusals:
        return False
    if known.due_at is None or mark.due_at is None:
        return known.due_at is None and mark.due_at is None
    return known.due_stream == mark.due_stream and abs(mark.due_at - known.due_at) < MOVE_WRITTEN
