"""Every stream's standing: what the cursors topic tells and, where they are given, its settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from console.unreadable import readable
from schemas.cursor import Cursor, Mark
from schemas.topics import CURSORS
from services.poller.source import AccountSettings, Facts
from services.poller.sources import sources
from services.poller.standing import gap_seconds, meaning_changed, proven_until, state_of
from services.poller.steering import label_of

ACCEPTED = "its settings have changed under its cursor; it starts over when the poller next starts"


class Standing(NamedTuple):
    """A row; `gap_seconds` since `proven_until`, `advice` what an operator has to choose."""

    source: str
    account: str
    stream: str
    state: str
    gap_seconds: float | None
    proven_until: datetime | None
    position: str | None
    succeeded_at: datetime | None
    connected_at: datetime
    progress: dict[str, Any] | None
    advice: str


def cursors_of(values: Mapping[str, bytes]) -> list[Cursor]:
    """The cursors among what the topic holds."""
    cursors = [pair for pair in sorted(values.items()) if pair[0].startswith("cursor/")]
    return [cursor for _, cursor in readable(CURSORS, cursors, Cursor.model_validate_json)]


def standings(
    values: Mapping[str, bytes], accounts: Iterable[AccountSettings], now: datetime
) -> list[Standing]:
    """Each cursor's; without any account nothing is said of the settings."""
    known = list(accounts)
    oldest, facts = _oldest_due(values), _facts(known)
    accepting = {one.label for one in known if one.accept_new_cursor}
    rows = [_standing(cursor, facts, oldest, now) for cursor in cursors_of(values)]
    return [
        row._replace(advice=ACCEPTED)
        if row.advice and f"{row.source}/{row.account}" in accepting
        else row
        for row in rows
    ]


def _standing(
    cursor: Cursor,
    facts: Mapping[str, dict[str, Facts]],
    oldest_due: Mapping[tuple[str, str], datetime],
    now: datetime,
) -> Standing:
    mine, place = facts.get(label_of(cursor), {}).get(cursor.stream), _place(cursor)
    by_id = bool(mine.ids_max) if mine else place in oldest_due
    proven_at = proven_until(cursor, by_id=by_id, oldest_due=oldest_due.get(place), now=now)
    return Standing(
        cursor.source,
        cursor.account,
        cursor.stream,
        "not configured" if facts and mine is None else state_of(cursor, proven_at, mine),
        gap_seconds(cursor, proven_at, now),
        proven_at,
        cursor.position,
        cursor.succeeded_at,
        cursor.connected_at,
        cursor.sweep,
        meaning_changed(cursor, mine) if mine else "",
    )


def _facts(accounts: Iterable[AccountSettings]) -> dict[str, dict[str, Facts]]:
    """By account and stream."""
    return {
        one.label: {
            stream.facts.name: stream.facts for stream in sources()[one.source].streams(one)
        }
        for one in accounts
    }


def _oldest_due(values: Mapping[str, bytes]) -> dict[tuple[str, str], datetime]:
    """By account and stream: the longest due of what it is to read by id.

    A little early at times, since a due time that moves by less than an hour is not written.
    """
    found: dict[tuple[str, str], datetime] = {}
    marks = [pair for pair in values.items() if pair[0].startswith("mark/")]
    for _, mark in readable(CURSORS, marks, Mark.model_validate_json):
        if mark.due_at is not None and mark.due_stream is not None:
            place = (f"{mark.source}/{mark.account}", mark.due_stream)
            owed_since = min(mark.due_at, mark.refused_since or mark.due_at)
            found[place] = min(owed_since, found.get(place, owed_since))
    return found


def _place(cursor: Cursor) -> tuple[str, str]:
    return label_of(cursor), cursor.stream


def span(seconds: float | None) -> str:
    """A length of time in its two largest units: 42 s, 3 min 20 s, 2 h, 3 d 4 h."""
    if seconds is None:
        return ""
    left = round(seconds)
    parts: list[tuple[int, str]] = []
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or parts:
            parts.append((count, name))
    return " ".join(f"{count} {name}" for count, name in parts[:2] if count) or "0 s"
