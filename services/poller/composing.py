"""A page becomes one transaction: raw records, marks, dead letters and the cursor.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bus.dead_letters import set_aside
from bus.settings import KafkaSettings
from bus.table import Table
from bus.transaction import Record, Transaction
from schemas.cursor import Cursor
from schemas.dead_letter import DeadLetter
from schemas.keys import fulfillment_key
from schemas.topics import RECORD_BYTES_MAX
from services.poller.departures import has_departed
from services.poller.marks import (
    CHANGES_MIN,
    Marks,
    SeenMark,
    content_digest,
    content_digests,
    rejected_id,
)
from services.poller.pages import without_doubles
from services.poller.parents import by_a_clock_ahead, due_instant, marked, stays
from services.poller.raws import Raws
from services.poller.refusals import counted
from services.poller.source import Facts, Found, Page, Rejected

OBSERVED_STEP = timedelta(milliseconds=1)
REFUSED = "refused/"  # before the content of the mark of a refusal that was set aside


@dataclass(frozen=True, slots=True)
class Reading:
    """A page and where it came from; `origin` is the request's URL without its query.

    `received_at`: when the answer was there, by the same clock as `requested_at`; None: at once.
    `moves` False: it was read out of turn, and no cursor follows from it.
    """

    page: Page
    facts: Facts
    cursor: Cursor
    origin: str
    requested_at: datetime
    received_at: datetime | None = None
    moves: bool = True


@dataclass(slots=True)
class Composed:
    """What to write, and what to remember once it is written.

    `postponed` are ids still open and unchanged, with the instant they are due again; `parents`
    are the marks of another resource, by whose ids records are read.  `position` is the cursor's
    record, where it moves.  `refused` are set aside for good.
    """

    cursor: Cursor
    raw: list[Record] = field(default_factory=list)
    letters: list[Record] = field(default_factory=list)
    marks: dict[str, SeenMark] = field(default_factory=dict)
    parents: dict[str, SeenMark] = field(default_factory=dict)
    tombstones: list[Record] = field(default_factory=list)
    state: list[Record] = field(default_factory=list)
    position: list[Record] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    postponed: dict[str, datetime] = field(default_factory=dict)
    refused: list[Rejected] = field(default_factory=list)
    unchanged: int = 0
    unmarked: int = 0

    @property
    def brought(self) -> bool:
        """Whether there was anything new."""
        return bool(self.raw or self.letters or self.parents)

    def refused_since(self, upstream_ids: Iterable[str]) -> datetime | None:
        """Since when one of these has been refused, of those that stay due."""
        marks = (self.marks.get(one) or self.parents.get(one) for one in upstream_ids)
        since = (one.refused_since for one in marks if one is not None and one.due_at is not None)
        return min((one for one in since if one is not None), default=None)

    @property
    def transaction(self) -> Transaction:
        """All of it, or nothing."""
        written = (self.raw, self.letters, self.state, self.position, self.tombstones)
        return Transaction([record for records in written for record in records])


def compose(
    reading: Reading, marks: Marks, table: Table, kafka: KafkaSettings, parents: Marks | None = None
) -> Composed | None:
    """None: the response is older than something already known of a record in it and must be
    asked for again, or a slower clock would lose the change (design 4, seen mark).

    `parents` are the marks of `reading.facts.parents`, where the stream has them.
    """
    page = reading.page
    composed = Composed(reading.cursor)
    raws = Raws(reading.cursor, reading.facts, kafka)
    for sighting in _without_known(composed, reading, marks):
        if not _judge(composed, reading, sighting, marks, raws):
            return None
    for rejected in page.rejected:
        _reject(composed, reading, rejected, marks, raws)
    if parents is not None:
        _mark_parents(composed, reading, parents)
    if reading.facts.ids_max:
        _take_refusals(composed, reading, marks, parents)
        composed.letters += [
            _letter(reading, refused, kafka, (), stream=reading.facts.name)
            for refused in composed.refused
        ]
    composed.state = [marks.put(mark) for mark in composed.marks.values()]
    if parents is not None:
        composed.state += [parents.put(mark) for mark in composed.parents.values()]
    if reading.moves:
        composed.cursor = _moved(reading, composed, marks if parents is None else parents)
        composed.position.append(table.put(composed.cursor.key, composed.cursor.to_json()))
    composed.read += [one.upstream_id for one in page.refused]
    composed.tombstones += marks.expired(reading.requested_at, composed.read)
    if parents is not None:
        composed.tombstones += parents.expired(reading.requested_at, composed.read)
    return composed


def _moved(reading: Reading, composed: Composed, due: Marks) -> Cursor:
    """The cursor that follows; `due` are the marks by which the stream reads, if it reads by id."""
    page, cursor = reading.page, reading.cursor
    began_at = (cursor.sweep and cursor.sweep_began_at) or reading.requested_at
    update = {
        "sweep": page.sweep,
        "sweep_began_at": began_at,
        "position": page.position or cursor.position,
        "done": cursor.done or page.done,
    }
    if not page.only_refused:
        update["succeeded_at"] = reading.requested_at
    if page.sweep is None:
        proven = [began_at]
        if reading.facts.ids_max:
            refused = [one.upstream_id for one in page.refused]
            owed = due.owed_since(reading.facts.name, frozenset((*composed.read, *refused)))
            proven += [at for at in (owed, composed.refused_since(refused)) if at is not None]
        update |= {"sweep_began_at": None, "proven_until": min(proven)}
    return cursor.model_copy(update=update)


def _mark_parents(composed: Composed, reading: Reading, parents: Marks) -> None:
    """Never left out for want of room: what is found here is read nowhere else."""
    received_at = reading.received_at or reading.requested_at
    for parent in reading.page.parents:
        known = composed.parents.get(parent.id) or parents.get(parent.id)
        mark = marked(parent, known, received_at)
        composed.read.append(parent.id)
        if mark is None or (known is None and mark.due_at is None):
            continue
        if known and known.content == mark.content and stays(known, mark):
            if mark.due_at is not None:
                composed.postponed[parent.id] = mark.due_at
        else:
            composed.parents[parent.id] = mark


def _without_known(composed: Composed, reading: Reading, marks: Marks) -> list[tuple[Found, str]]:
    """What has to be judged, with its content: all but what is known as it is, and not due.

    Most of what is polled is just that, so it is passed over without a call for each.  Of a record
    that a page shows twice the newest counts.
    """
    found = without_doubles(reading.page.found, reading.requested_at)
    composed.read = [one.upstream_id for one in found]
    contents = content_digests([one.body for one in found], reading.facts.volatile)
    pairs = list(zip(found, contents, strict=True))
    known = map(marks.get, composed.read)
    changed = [
        pair
        for pair, mark in zip(pairs, known, strict=True)
        if mark is None
        or mark.content != pair[1]
        or mark.due_at is not None
        or mark.changes >= CHANGES_MIN
        or pair[0].due is not None
    ]
    composed.unchanged = len(pairs) - len(changed)
    return changed


def _judge(
    composed: Composed,
    reading: Reading,
    sighting: tuple[Found, str],
    marks: Marks,
    raws: Raws,
) -> bool:
    """Write it when it is new or changed.  False: the response is too old to tell."""
    found, content = sighting
    upstream_id, requested_at = found.upstream_id, reading.requested_at
    mark = composed.marks.get(upstream_id) or marks.get(upstream_id)
    due_at = due_stream = None
    if found.due is not None:
        due_at, due_stream = due_instant(found.due, requested_at), found.due.stream
    known = mark is not None and mark.content == content and not mark.confirms(requested_at)
    if known and mark and not has_departed(found.departs, mark.observed_at, requested_at):
        composed.unchanged += 1
        _move(composed, mark, mark.moved(due_at, due_stream), by_id=bool(reading.facts.ids_max))
        return True
    if mark is not None and requested_at < mark.observed_at:
        received_at = reading.received_at  # None: asked for beside the owner, whose clock it may be
        if received_at is None or not by_a_clock_ahead(mark, received_at):
            return False
    observed_at = requested_at
    if mark is not None:
        observed_at = max(observed_at, mark.observed_at + OBSERVED_STEP)
    _emit(composed, reading, found, raws.of(found, content, observed_at), raws.kafka)
    wanted = due_at is not None or _readable_again(found, reading, marks)
    seen = SeenMark(upstream_id, content, observed_at, due_at, due_stream)
    if mark is not None:
        seen = mark.followed_by(seen)
    _remember(composed, marks, seen, known=mark is not None, wanted=wanted)
    return True


def _move(composed: Composed, mark: SeenMark, moved: SeenMark, *, by_id: bool) -> None:
    """Note when a record that has not changed is due, where that is another time than before."""
    if moved.due_at is None and mark.due_at is None:
        return
    if mark.refusals and mark.due_at is not None and not by_id:
        return  # refused by its id: a list that shows it as it was is no reason to hurry
    if not stays(mark, moved):
        composed.marks[mark.upstream_id] = moved
    elif moved.due_at is not None:
        composed.postponed[mark.upstream_id] = moved.due_at


def _readable_again(found: Found, reading: Reading, marks: Marks) -> bool:
    """Whether a list or a parent can bring it again: else history beyond the settle horizon is
    read once.
    """
    if found.again or reading.facts.parents or found.updated_at is None:
        return True
    return found.updated_at >= reading.requested_at - marks.keep


def _remember(
    composed: Composed, marks: Marks, mark: SeenMark, *, known: bool, wanted: bool = True
) -> None:
    """In the place of the one that is known, or while there is room."""
    if known or (wanted and len(composed.marks) < marks.room):
        composed.marks[mark.upstream_id] = mark
    elif wanted:
        composed.unmarked += 1


def _emit(
    composed: Composed, reading: Reading, found: Found, record: Record, kafka: KafkaSettings
) -> None:
    if record.fits:
        composed.raw.append(record)
        return
    reason = f"the record has {len(found.body)} bytes, {record.topic} takes {RECORD_BYTES_MAX}"
    too_large = Rejected(found.upstream_id, "", reason, found.body)
    composed.letters.append(_letter(reading, too_large, kafka, record.headers))


def _reject(
    composed: Composed, reading: Reading, rejected: Rejected, marks: Marks, raws: Raws
) -> None:
    """A dead letter, once for the same bytes: overlapping polls bring them again and again.

    A fulfillment's record has the headers it would have on raw, so that it can be put there.
    """
    content = content_digest(rejected.body, reading.facts.volatile)
    by_its_id = bool(reading.facts.ids_max) and rejected.upstream_id not in composed.read
    known = marks.get(rejected.upstream_id) if by_its_id else None
    if known is not None and known.due_at is not None:
        now = reading.received_at or reading.requested_at
        again = counted(known, now, reading.facts.interval_seconds)
        kept = again if again.due_at is not None else known.moved(None, None)
        composed.marks[rejected.upstream_id] = kept
    seen_as = rejected_id(rejected.upstream_id or content)
    composed.read.append(seen_as)
    mark = composed.marks.get(seen_as) or marks.get(seen_as)
    if mark is not None and mark.content == content:
        return
    headers: Sequence[tuple[str, bytes]] = ()
    if rejected.upstream_id and rejected.path and rejected.body and not rejected.resource:
        shown = Found(rejected.upstream_id, rejected.body)
        headers = raws.of(shown, content, reading.requested_at).headers
    composed.letters.append(_letter(reading, rejected, raws.kafka, headers))
    seen = SeenMark(seen_as, content, reading.requested_at)
    _remember(composed, marks, seen, known=mark is not None)


def _take_refusals(
    composed: Composed, reading: Reading, marks: Marks, parents: Marks | None
) -> None:
    """What was refused, and what was set aside as refused and has been read since: the next time
    it is a letter again.
    """
    for refused in reading.page.refused:
        _refuse(composed, reading, refused, marks, parents)
    own = marks if parents is None else parents
    for seen_as in map(rejected_id, _by_id(reading.page, parents)):
        mark = own.get(seen_as)
        if mark is not None and mark.content.startswith(REFUSED):
            composed.tombstones.append(own.tombstone(seen_as))


def _refuse(
    composed: Composed, reading: Reading, refused: Rejected, marks: Marks, parents: Marks | None
) -> None:
    """One more refusal of what is due by its id; after enough of them a dead letter.

    A parent that is set aside has no content any more, so a list that shows it makes it due again.
    """
    upstream_id, own = refused.upstream_id, marks if parents is None else parents
    known = own.get(upstream_id)
    if known is None or known.due_at is None or upstream_id in _by_id(reading.page, parents):
        return
    now = reading.received_at or reading.requested_at
    mark = counted(known, now, reading.facts.interval_seconds)
    changed = composed.marks if parents is None else composed.parents
    if mark.due_at is not None:
        changed[upstream_id] = mark
        return
    content = known.content if parents is None else ""
    changed[upstream_id] = SeenMark(upstream_id, content, known.observed_at)
    letter = SeenMark(rejected_id(upstream_id), REFUSED + refused.reason, now)
    written = own.get(letter.upstream_id)
    if written is not None and written.content == letter.content:
        return
    changed[letter.upstream_id] = letter
    composed.read.append(letter.upstream_id)
    hours = (now - (mark.refused_since or now)) / timedelta(hours=1)
    reason = f"{refused.reason}, {mark.refusals} times in {hours:.1f} h"
    composed.refused.append(replace(refused, reason=reason))


def _by_id(page: Page, parents: Marks | None) -> list[str]:
    """What a stream that reads by id, or by parent, has read."""
    return [one.id for one in page.parents] if parents else [one.upstream_id for one in page.found]


def _letter(
    reading: Reading,
    rejected: Rejected,
    kafka: KafkaSettings,
    headers: Sequence[tuple[str, bytes]],
    stream: str = "",
) -> Record:
    cursor = reading.cursor
    letter = DeadLetter(
        service="poller",
        reason=rejected.reason,
        path=rejected.path,
        origin=rejected.origin or reading.origin,
        source=cursor.source,
        account=cursor.account,
        at=reading.requested_at,
        stream=stream,
    )
    resource = rejected.resource or reading.facts.resource
    key = fulfillment_key(cursor.source, cursor.account, resource, rejected.upstream_id)
    return set_aside(kafka, letter, key, rejected.body, headers=headers)
