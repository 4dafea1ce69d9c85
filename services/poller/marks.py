"""The seen and watch marks of one account, over the slot's table.

Pure but for memory: it gives the records to write and takes them in once they are committed.  A
mark lives as long as anything can read its record again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from heapq import nsmallest

import msgspec

from bus.table import Table
from bus.transaction import Record
from schemas.cursor import Mark, mark_key
from schemas.keys import split

EXPIRED_PER_COMMIT_MAX = 100

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Marks:
    """What was seen of one resource of an account; `keep` after it was read last."""

    def __init__(
        self,
        table: Table,
        source: str,
        account: str,
        resource: str,
        *,
        keep: timedelta,
        marks_max: int,
        now: datetime,
    ) -> None:
        self.keep = keep
        self._marks_max = marks_max
        self._table = table
        self._place = (source, account, resource)
        self._touched: dict[str, datetime] = {}  # by key, longest untouched first
        self._due: dict[str, dict[str, datetime]] = {}  # by stream, then by upstream id
        prefix = mark_key(*self._place, "")
        for key, value in table.items():
            if key.startswith(prefix):
                mark = Mark.model_validate_json(value)
                self._touched[key] = now
                self._await(mark)

    def __len__(self) -> int:
        return len(self._touched)

    @property
    def room(self) -> int:
        """How many more records may be remembered."""
        return max(0, self._marks_max - len(self._touched))

    def get(self, upstream_id: str) -> Mark | None:
        """The mark of a record."""
        value = self._table.get(mark_key(*self._place, upstream_id))
        return None if value is None else Mark.model_validate_json(value)

    def put(self, mark: Mark) -> Record:
        """The record that stores a mark."""
        return self._table.put(mark.key, mark.to_json())

    def expired(self, now: datetime, but: Collection[str]) -> list[Record]:
        """Tombstones for marks that nothing reads any more, but those of the ids in `but`."""
        kept = {mark_key(*self._place, upstream_id) for upstream_id in but}
        return [self._table.put(key, None) for key in self._overdue(now) if key not in kept]

    def _overdue(self, now: datetime) -> Iterator[str]:
        for count, (key, touched_at) in enumerate(self._touched.items()):
            if touched_at + self.keep >= now or count >= EXPIRED_PER_COMMIT_MAX:
                return
            if not any(split(key)[-1] in due for due in self._due.values()):
                yield key

    def committed(self, marks: Iterable[Mark], tombstones: Iterable[Record]) -> None:
        """Take in what was written; the table itself is told by the slot's stream."""
        for mark in marks:
            self._await(mark)
        for record in tombstones:
            self._touched.pop(record.key, None)

    def touch(self, upstream_ids: Iterable[str], now: datetime) -> None:
        """These were read now; those without a mark are passed over."""
        for upstream_id in upstream_ids:
            key = mark_key(*self._place, upstream_id)
            if self._table.get(key) is not None:
                self._touched.pop(key, None)
                self._touched[key] = now

    def due(
        self, stream: str, now: datetime, ids_max: int, slack: timedelta = timedelta(0)
    ) -> list[str]:
        """What a stream is to read now, longest due first; once any is, those within `slack`."""
        until, waiting = now + slack, self._due.get(stream, {})
        soon = nsmallest(ids_max, ((at, one) for one, at in waiting.items() if at <= until))
        return [one for _, one in soon] if soon and soon[0][0] <= now else []

    def next_due(self, stream: str) -> datetime | None:
        """When a stream is to read its next record by id."""
        return min(self._due.get(stream, {}).values(), default=None)

    def due_count(self, stream: str, now: datetime) -> int:
        """How many are due for a stream to read."""
        return sum(at <= now for at in self._due.get(stream, {}).values())

    def postpone(self, upstream_ids: Iterable[str], until: datetime) -> None:
        """Not before `until`: kept in memory only, so a restart reads them at once."""
        for upstream_id in upstream_ids:
            for waiting in self._due.values():
                if upstream_id in waiting:
                    waiting[upstream_id] = until

    def _await(self, mark: Mark) -> None:
        for waiting in self._due.values():
            waiting.pop(mark.upstream_id, None)
        if mark.due_at is not None and mark.due_stream is not None:
            self._due.setdefault(mark.due_stream, {})[mark.upstream_id] = mark.due_at


def content_digest(body: bytes, volatile: frozenset[str]) -> str:
    """sha256 over a whole record minus its volatile top-level fields; 64 hex characters."""
    if not volatile:
        return hashlib.sha256(body).hexdigest()
    try:
        fields = _decode_fields(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return hashlib.sha256(body).hexdigest()  # a rejected record may be no object at all
    kept = sorted((name, bytes(raw)) for name, raw in fields.items() if name not in volatile)
    return hashlib.sha256(msgspec.json.encode(kept)).hexdigest()
