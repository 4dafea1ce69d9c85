"""How far a stream has come, in business time; whether its cursor means what it meant.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from schemas.cursor import Cursor
from schemas.message import iso, parse_instant
from services.poller.source import Facts

CHOICES = (
    "the account's base_url, start_from or what the stream asks for has changed under its cursor: "
    "put it back, or set accept_new_cursor = true in this [[accounts]] table to let the "
    "stream start over (records already seen are not repeated)"
)


def meaning_changed(cursor: Cursor, facts: Facts) -> str:
    """What to do where the settings that give the position its meaning are others now; else ""."""
    return "" if cursor.fingerprint == facts.fingerprint else CHOICES


def start_from_warnings(
    cursors: Iterable[Cursor], facts: Iterable[Facts], start_from: datetime | None
) -> list[str]:
    """What an account's `start_from`, edited after its cursors were made, leaves unread.

    An edit that changes what a cursor means stops its stream, see `meaning_changed`.
    """
    by_name = {one.name: one for one in facts}
    found = []
    for cursor in cursors:
        one = by_name.get(cursor.stream)
        unread = one is None and cursor.position is None and not cursor.done
        if unread and start_from is None:
            found.append(
                f"start_from was removed before stream {cursor.stream} had read everything since "
                "then: put it back to have the rest read"
            )
        if one is None or not one.rewinds or cursor.position is None or start_from is None:
            continue
        if start_from > parse_instant(cursor.position):
            found.append(
                f"stream {cursor.stream} stands at {cursor.position}, before start_from "
                f"{iso(start_from)}: what was updated in between is not read; set start_from back"
            )
    return found


def proven_until(
    cursor: Cursor,
    *,
    by_id: bool = False,
    oldest_due: datetime | None = None,
    now: datetime | None = None,
) -> datetime | None:
    """Up to which instant nothing is missing; None before the first complete pass.

    A stream that reads by id is behind only with what is due: `oldest_due` is the longest due of
    what it is to read, None when it has nothing to read at all.
    """
    if not by_id or now is None:
        return cursor.proven_until
    nothing_due_before = min(now, oldest_due or now)
    return max(nothing_due_before, cursor.proven_until or nothing_due_before)


def gap_seconds(cursor: Cursor, proven_at: datetime | None, now: datetime) -> float | None:
    """How long ago that is; None when it never was, or when the stream is done for good."""
    if proven_at is None or cursor.done:
        return None
    return round(max(0.0, (now - proven_at).total_seconds()), 3)


def state_of(cursor: Cursor, proven_at: datetime | None, facts: Facts | None) -> str:
    """One word for what the topic tells of a stream; `facts` None: its settings are not known.

    changed: see `meaning_changed`; unfinished: a pass is on its way; never: none was completed.
    """
    if facts is not None and meaning_changed(cursor, facts):
        return "changed"
    if cursor.paused:
        return "paused"
    if cursor.done:
        return "done"
    if cursor.sweep is not None:
        return "unfinished"
    return "never" if proven_at is None else "complete"
