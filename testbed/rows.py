"""The records an upstream shows, with writes that become visible late.

A late write behaves like a transaction that took its timestamp and has not committed yet:
until its time comes, readers see the record as it was before, or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True)
class Row:
    """One record in the upstream's own JSON shape, with what listings sort by."""

    key: int
    updated_at: datetime
    body: dict[str, Any]


class Rows:
    """Records by key; the newest write of a key replaces the ones before."""

    def __init__(self) -> None:
        self._rows: dict[int, Row] = {}
        self._late: dict[int, tuple[Row | None, datetime]] = {}

    def put(self, row: Row, *, late_seconds: float = 0.0) -> None:
        """Write a record; late ones become visible that long after their own timestamp."""
        before = self._rows.get(row.key)
        self._rows[row.key] = row
        if late_seconds > 0:
            # A record already late stays as its readers last saw it.
            seen = self._late[row.key][0] if row.key in self._late else before
            self._late[row.key] = (seen, row.updated_at + timedelta(seconds=late_seconds))

    def visible(self, now: datetime) -> list[Row]:
        """The records readers see at `now`, oldest update first, ties by key."""
        for key in [key for key, (_, visible_at) in self._late.items() if visible_at <= now]:
            del self._late[key]
        seen = [self._late[key][0] if key in self._late else row for key, row in self._rows.items()]
        return sorted((row for row in seen if row), key=lambda row: (row.updated_at, row.key))

    def settled(self, now: datetime) -> bool:
        """Nothing is still to become visible."""
        return all(visible_at <= now for _, visible_at in self._late.values())
