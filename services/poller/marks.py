"""The seen and watch marks of one resource of an account, taken over from the slot's table.

Pure but for memory: it gives the records to write and takes them in once they are committed.  A
mark lives as long as anything can read its record again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import islice, takewhile
from typing import Annotated

import msgspec

from bus.table import Table
from bus.transaction import Record
from schemas.cursor import Mark, mark_key
from schemas.keys import quoted, split
from schemas.message import SCHEMA_VERSION
from services.poller.bodies import NOT_JSON, legible, slices

EXPIRED_PER_COMMIT_MAX = 100
# A normalizer does not tell what goes back and forth until it has stayed for an hour.
CHANGES_MIN = 3
HORIZON = timedelta(hours=48)
STAYED = timedelta(hours=1)
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
    refusals: int = 0
    refused_since: _Instant | None = None
    changes: int = 0

    def moved(self, due_at: datetime | None, due_stream: str | None) -> SeenMark:
        """The same, to be read by its id at another time."""
        place = self.upstream_id, self.content, self.observed_at, due_at, due_stream
        return SeenMark(*place, changes=self.changes)

    def confirms(self, now: datetime) -> bool:
        """Whether it changed so often that its content is written once more, now that it stays."""
        return self.changes >= CHANGES_MIN and now - self.observed_at >= STAYED

    def followed_by(self, mark: SeenMark) -> SeenMark:
        """Return `mark`, the next one of its record, with the changes counted.

        After the one that confirms this one, the next change has to be confirmed again.
        """
        changes = min(self.changes, CHANGES_MIN - 1)
        if mark.content != self.content:
            recent = mark.observed_at - self.observed_at <= HORIZON
            changes = 1 + (self.changes if recent else 0)
        return msgspec.structs.replace(mark, changes=changes)


_encode = msgspec.json.Encoder().encode
_decode_mark = msgspec.json.Decoder(SeenMark).decode


class _Waiting:
    """The ids that one stream is to read, in the order in which they are due."""

    def __init__(self, due: dict[str, datetime] | None = None) -> None:
        self._at = due or {}
        self._order = sorted((at, one) for one, at in self._at.items())

    def __iter__(self) -> Iterator[tuple[datetime, str]]:
        return iter(self._order)

    def at(self, upstream_id: str) -> datetime | None:
        """When it is due; None when it is not waiting."""
        return self._at.get(upstream_id)

    def put(self, upstream_id: str, at: datetime) -> None:
        """Wait for it until then, instead of until whenever it was due before."""
        self.remove(upstream_id)
        self._at[upstream_id] = at
        insort(self._order, (at, upstream_id))

    def remove(self, upstream_id: str) -> None:
        """Wait for it no more."""
        at = self._at.pop(upstream_id, None)
        if at is not None:
            del self._order[bisect_left(self._order, (at, upstream_id))]

    def count(self, until: datetime) -> int:
        """How many are due by then."""
        return bisect_right(self._order, until, key=lambda pair: pair[0])


class Marks:
    """What was seen of one resource of an account; `keep` after it was read last.

    `ahead` is how far the clock of the copy that wrote the marks was ahead of `now`.
    """

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
        ahead: timedelta = timedelta(0),
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
        self._passed_over: dict[str, datetime] = {}  # since when each was to be read
        self.unreadable: list[str] = []  # keys of marks: their records may be due, or seen
        due: dict[str, dict[str, datetime]] = {}
        for key, value in table.take(self._prefix).items():
            try:
                mark = self._read(value)
            except ValueError as error:
                table.hold(key, value, error)
                self.unreadable.append(key)
                continue
            self._seen[mark.upstream_id] = mark
            self._touched[mark.upstream_id] = now
            if mark.due_at is not None and mark.due_stream is not None:
                due.setdefault(mark.due_stream, {})[mark.upstream_id] = mark.due_at - ahead
                self._note_refusal(mark)
        self._waiting = {stream: _Waiting(ids) for stream, ids in due.items()}

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
        overdue = self._overdue(now)
        kept = frozenset(but if overdue else ())
        gone = [one for one in overdue if one not in kept]
        return [self.tombstone(one) for one in gone]

    def tombstone(self, upstream_id: str) -> Record:
        """The record that deletes a mark."""
        return self._table.put(self._prefix + quoted(upstream_id), None)

    def _overdue(self, now: datetime) -> list[str]:
        """Those untouched for so long.  One that is still due is as good as touched, so that it
        does not stand in the way of the ones behind it.
        """
        long_ago = now - self.keep - self._touch_apart
        untouched = takewhile(lambda pair: pair[1] < long_ago, self._touched.items())
        overdue = [upstream_id for upstream_id, _ in islice(untouched, EXPIRED_PER_COMMIT_MAX)]
        due = [one for one in overdue if self._due_at(one) is not None]
        for upstream_id in due:
            del self._touched[upstream_id]
            self._touched[upstream_id] = now
        return [one for one in overdue if one not in due] if due else overdue

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
        waiting = self._waiting.get(stream)
        if waiting is None or not waiting.count(now):
            return []
        return [one for _, one in islice(waiting, min(ids_max, waiting.count(now + slack)))]

    def next_due(self, stream: str) -> datetime | None:
        """When a stream is to read its next record by id."""
        return next((at for at, _ in self._waiting.get(stream, ())), None)

    def owed_since(self, stream: str, but: Collection[str] = ()) -> datetime | None:
        """Since when a record, other than `but`, is to be read by a stream; its next due time
        when none was passed over.
        """
        waiting = self._waiting.get(stream)
        if waiting is None:
            return None
        first = next((at for at, one in waiting if one not in but), None)
        passed_over = (
            since
            for one, since in self._passed_over.items()
            if one not in but and waiting.at(one) is not None
        )
        return min((*passed_over, *((first,) if first else ())), default=None)

    def due_count(self, stream: str, now: datetime) -> int:
        """How many are due for a stream to read."""
        waiting = self._waiting.get(stream)
        return waiting.count(now) if waiting is not None else 0

    def refused_count(self, stream: str) -> int:
        """How many of those that a stream is to read have been refused."""
        waiting = self._waiting.get(stream)
        if waiting is None:
            return 0
        passed_over = (one for one in self._passed_over if waiting.at(one) is not None)
        return sum(self._seen[one].refusals > 0 for one in passed_over)

    def postpone(self, upstream_ids: Iterable[str], until: datetime) -> None:
        """They were read and are due again then: kept in memory only, so a restart reads them at
        once.
        """
        for upstream_id in upstream_ids:
            self._passed_over.pop(upstream_id, None)
            self._move(upstream_id, until)

    def pass_over(self, upstream_ids: Iterable[str], until: datetime) -> None:
        """They could not be read and are asked for again then: kept in memory only."""
        for upstream_id in upstream_ids:
            due_at = self._due_at(upstream_id)
            if due_at is not None:
                self._passed_over.setdefault(upstream_id, due_at)
                self._move(upstream_id, until)

    def _due_at(self, upstream_id: str) -> datetime | None:
        found = (waiting.at(upstream_id) for waiting in self._waiting.values())
        return next((at for at in found if at is not None), None)

    def _move(self, upstream_id: str, until: datetime) -> None:
        for waiting in self._waiting.values():
            if waiting.at(upstream_id) is not None:
                waiting.put(upstream_id, until)

    def _read(self, value: bytes) -> SeenMark:
        """Raises ValueError for what `Mark` refuses."""
        if not value.startswith(self._opening):
            Mark.model_validate_json(value)
        return _decode_mark(value)

    def _take(self, mark: SeenMark) -> None:
        self._seen[mark.upstream_id] = mark
        self._passed_over.pop(mark.upstream_id, None)
        for waiting in self._waiting.values():
            waiting.remove(mark.upstream_id)
        if mark.due_at is not None and mark.due_stream is not None:
            waiting = self._waiting.setdefault(mark.due_stream, _Waiting())
            waiting.put(mark.upstream_id, mark.due_at)
            self._note_refusal(mark)

    def _note_refusal(self, mark: SeenMark) -> None:
        if mark.refused_since is not None:
            self._passed_over[mark.upstream_id] = mark.refused_since


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
