"""The seen and watch marks of one account, over the slot's table.

Pure but for memory: it gives the records to write and takes them in once they are committed.  A
mark lives as long as anything can read its record again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta

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
        self._due: dict[str, datetime] = {}  # by upstream id
        prefix = mark_key(*self._place, "")
        for key, value in table.items():
            if key.startswith(prefix):
                mark = Mark.model_validate_json(value)
                self._touched[key] = now
                if mark.due_at is not None:
                    self._due[mark.upstream_id] = mark.due_at

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
            if split(key)[-1] not in self._due:
                yield key

    def committed(self, marks: Iterable[Mark], tombstones: Iterable[Record]) -> None:
        """Take in what was written; the table itself is told by the slot's stream."""
        for mark in marks:
            if mark.due_at is None:
                self._due.pop(mark.upstream_id, None)
            else:
                self._due[mark.upstream_id] = mark.due_at
        for record in tombstones:
            self._touched.pop(record.key, None)

    def touch(self, upstream_ids: Iterable[str], now: datetime) -> None:
        """These were read now; those without a mark are passed over."""
        for upstream_id in upstream_ids:
            key = mark_key(*self._place, upstream_id)
            if self._table.get(key) is not None:
                self._touched.pop(key, None)
                self._touched[key] = now

    def due(self, now: datetime, ids_max: int, slack: timedelta = timedelta(0)) -> list[str]:
        """Ids to be read now, longest due first; once any is, those due within `slack` too."""
        soon = sorted((at, one) for one, at in self._due.items() if at <= now + slack)
        if not soon or soon[0][0] > now:
            return []
        return [upstream_id for _, upstream_id in soon[:ids_max]]

    def next_due(self) -> datetime | None:
        """When the next record is to be read by its id."""
        return min(self._due.values(), default=None)

    def postpone(self, upstream_ids: Iterable[str], until: datetime) -> None:
        """Not before `until`: kept in memory only, so a restart reads them at once."""
        for upstream_id in upstream_ids:
            if upstream_id in self._due:
                self._due[upstream_id] = until


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
