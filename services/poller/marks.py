"""The seen and watch marks of one resource of an account, taken over from the slot's table.

Pure but for memory: it gives the records to write and takes them in once they are committed.  A
mark lives as long as anything can read its record again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from heapq import nsmallest
from typing import Annotated

import msgspec

from bus.table import Table
from bus.transaction import Record
from schemas.cursor import Mark, mark_key
from schemas.keys import quoted, split
from schemas.message import SCHEMA_VERSION
from services.poller.bodies import NOT_JSON, legible, slices

EXPIRED_PER_COMMIT_MAX = 100
TOUCHES_PER_LIFE = 16  # more often nothing is noted; a mark lives so much longer

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


_Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class SeenMark(msgspec.Struct, frozen=True, gc=False):
    """What a `schemas.cursor.Mark` says of its record, as a poller holds it.

    Every record of every page meets its mark, and a model costs ten times as much.
    """

    upstream_id: str
    content: str
    observed_at: _Instant
    due_at: _Instant | None = None
    due_stream: str | None = None

    def moved(self, due_at: datetime | None, due_stream: str | None) -> SeenMark:
        """The same, to be read by its id at another time."""
        return SeenMark(self.upstream_id, self.content, self.observed_at, due_at, due_stream)


_encode = msgspec.json.Encoder().encode
_decode_mark = msgspec.json.Decoder(SeenMark).decode


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
        self._touch_apart = keep / TOUCHES_PER_LIFE
        self._marks_max = marks_max
        self._table = table
        self._prefix = mark_key(source, account, resource, "")
        place = {"source": source, "account": account, "resource": resource}
        self._opening = _encode({"schema_version": SCHEMA_VERSION, **place})[:-1] + b","
        self._seen: dict[str, SeenMark] = {}  # by upstream id, as all that follow
        self.get = self._seen.get  # the mark of a record: asked for each record of every page
        self._touched: dict[str, datetime] = {}  # longest untouched first
        self._due: dict[str, dict[str, datetime]] = {}  # by stream first
        for mark in map(self._read, table.take(self._prefix).values()):
            self._take(mark)
            self._touched[mark.upstream_id] = now

    def __len__(self) -> int:
        return len(self._touched)

    @property
    def room(self) -> int:
        """How many more records may be remembered."""
        return max(0, self._marks_max - len(self._touched))

    def put(self, mark: SeenMark) -> Record:
        """The record that stores a mark, spelled as `Mark.to_json` does."""
        value = self._opening + _encode(mark)[1:]
        return self._table.put(self._prefix + quoted(mark.upstream_id), value)

    def expired(self, now: datetime, but: Iterable[str]) -> list[Record]:
        """Tombstones for marks that nothing reads any more, but those of the ids in `but`."""
        overdue = list(self._overdue(now))
        kept = frozenset(but if overdue else ())
        gone = [one for one in overdue if one not in kept]
        return [self._table.put(self._prefix + quoted(one), None) for one in gone]

    def _overdue(self, now: datetime) -> Iterator[str]:
        for count, (upstream_id, touched_at) in enumerate(self._touched.items()):
            if touched_at + self.keep + self._touch_apart >= now or count >= EXPIRED_PER_COMMIT_MAX:
                return
            if not any(upstream_id in due for due in self._due.values()):
                yield upstream_id

    def committed(self, marks: Iterable[SeenMark], tombstones: Iterable[Record]) -> None:
        """Take in what was written; the table itself is told by the slot's stream."""
        for mark in marks:
            self._take(mark)
        for record in tombstones:
            if record.key.startswith(self._prefix):
                upstream_id = split(record.key)[-1]
                self._seen.pop(upstream_id, None)
                self._touched.pop(upstream_id, None)

    def touch(self, upstream_ids: Iterable[str], now: datetime) -> None:
        """These were read now; those without a mark are passed over."""
        seen, touched, long_ago = self._seen, self._touched, now - self._touch_apart
        for upstream_id in upstream_ids:
            touched_at = touched.get(upstream_id)
            if (touched_at is None or touched_at <= long_ago) and upstream_id in seen:
                touched.pop(upstream_id, None)
                touched[upstream_id] = now

    def due(
        self, stream: str, now: datetime, ids_max: int, slack: timedelta = timedelta(0)
    ) -> list[str]:
        """What a stream is to read now, longest due first; once any is, those within `slack`."""
        until, waiting = now + slack, self._due.get(stream, {})
        soon = nsmallest(ids_max, ((at, one) for one, at in waiting.items() if at <= until))
        return [one for _, one in soon] if soon and soon[0][0] <= now else []

    def next_due(self, stream: str, but: Collection[str] = ()) -> datetime | None:
        """When a stream is to read its next record by id, other than `but`."""
        waiting = self._due.get(stream, {}).items()
        return min((at for one, at in waiting if one not in but), default=None)

    def due_count(self, stream: str, now: datetime) -> int:
        """How many are due for a stream to read."""
        return sum(at <= now for at in self._due.get(stream, {}).values())

    def postpone(self, upstream_ids: Iterable[str], until: datetime) -> None:
        """Not before `until`: kept in memory only, so a restart reads them at once."""
        for upstream_id in upstream_ids:
            for waiting in self._due.values():
                if upstream_id in waiting:
                    waiting[upstream_id] = until

    def _read(self, value: bytes) -> SeenMark:
        """Raises ValueError for what `Mark` refuses."""
        if not value.startswith(self._opening):
            Mark.model_validate_json(value)
        return _decode_mark(value)

    def _take(self, mark: SeenMark) -> None:
        self._seen[mark.upstream_id] = mark
        for waiting in self._due.values():
            waiting.pop(mark.upstream_id, None)
        if mark.due_at is not None and mark.due_stream is not None:
            self._due.setdefault(mark.due_stream, {})[mark.upstream_id] = mark.due_at


def content_digests(bodies: Sequence[bytes], volatile: frozenset[str]) -> list[str]:
    """`content_digest` of each."""
    if volatile:
        return [content_digest(body, volatile) for body in bodies]
    return [sha256(body).hexdigest() for body in bodies]


def content_digest(body: bytes, volatile: frozenset[str]) -> str:
    """sha256 over a whole record minus its volatile top-level fields; 64 hex characters."""
    if not volatile:
        return sha256(body).hexdigest()
    try:
        fields, copy = legible(_decode_fields, body)
        named = zip(fields, slices(fields.values(), copy, body), strict=True)
        kept = sorted((name, value) for name, value in named if name not in volatile)
    except (*NOT_JSON, ValueError):
        return sha256(body).hexdigest()  # a rejected record may be no object at all
    return sha256(msgspec.json.encode(kept)).hexdigest()


def rejected_id(upstream_id: str) -> str:
    """The id of the mark of a record that was rejected, beside its own mark, if it has one."""
    return f"!{upstream_id}"
