"""Reading one record again, out of turn: raw and mark are written as the record's own stream would.

The upstream is asked first and the slot taken after that, so the poller goes on meanwhile; what it
has observed later than our request wins, and we ask again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bus.beside import TRIES_MAX
from bus.clock import Clock
from bus.committer import Committer
from bus.errors import Misuse, RetryLater
from bus.settings import KafkaSettings
from bus.table import Table
from schemas.cursor import Cursor
from schemas.keys import fulfillment_key
from schemas.topics import CURSORS
from services.poller.account import Account, Surroundings
from services.poller.answers import ABSENT
from services.poller.composing import Composed, Reading
from services.poller.operating import slot_number
from services.poller.outcome import Asked, understood
from services.poller.settings import PollerSettings
from services.poller.slot import writer_of
from services.poller.source import AccountSettings, Response, Stream
from services.poller.sources import sources

PAGES_MAX = 100  # of one record's parent
NOT_COMPARED = "it is not remembered from before, so it was written without comparing"

Came = Literal["unchanged", "written", "set aside", "not there", "failed"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One record of an account, `cursor` any of the account's; `parent` where it is read by one."""

    settings: AccountSettings
    cursor: Cursor
    resource: str
    upstream_id: str
    parent: str = ""

    @property
    def key(self) -> str:
        """Its key on raw."""
        return fulfillment_key(
            self.settings.source, self.settings.name, self.resource, self.upstream_id
        )


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What came of it; `others` were written beside it, since one request brings them together."""

    came: Came
    detail: str = ""
    others: int = 0


def reader(settings: AccountSettings, resource: str) -> Stream:
    """The stream that reads one record.  Raises Misuse."""
    stream: Stream | None = sources()[settings.source].by_id(settings, resource)
    if stream is None:
        raise Misuse(f"{settings.source} has no single read of {resource!r}: nothing to refresh")
    return stream


async def refresh(
    kafka: KafkaSettings, poller: PollerSettings, wanted: Wanted, clock: Clock
) -> Refreshed:
    """Ask for the record and write what is new.  Raises Misuse, RetryLater."""
    failure = RetryLater(f"{wanted.key}: observed again and again meanwhile; try later")
    slot = slot_number(kafka, wanted.settings.source, wanted.settings.name)
    source, stream = sources()[wanted.settings.source], reader(wanted.settings, wanted.resource)
    # What is on Kafka, by this try or one before it; and whether the record was known until then.
    done: list[tuple[Composed, bool]] = []
    for _ in range(TRIES_MAX):
        writer, table = writer_of(kafka, slot), Table(kafka, CURSORS, slot)
        committer = Committer(writer, _next_try)
        around = Surroundings(kafka, poller, clock, table, committer)
        login = source.login(wanted.settings)
        account = Account(around, wanted.settings, source.rate, login)
        try:
            readings = await _asked(account, stream, wanted)
            if isinstance(readings, Refreshed):
                return readings
            await writer.start()
            await table.restore()
            known = account.marks(wanted.resource).get(wanted.upstream_id) is not None
            written = [account.write(reading) for reading in readings]
            for one in written:
                if one is not None:
                    await one.durable
                    done.append((one.composed, known))
        except RetryLater as error:
            failure = error
        else:
            if None not in written:
                return _came(wanted.key, done)
        finally:
            await account.close()
            await committer.close()
    raise failure


def _next_try(_: RetryLater) -> None:
    """A lost writer is told by what it was to write."""


async def _asked(account: Account, stream: Stream, wanted: Wanted) -> list[Reading] | Refreshed:
    """The pages that hold the record, or why there are none."""
    clock, ids = account.around.clock, [wanted.parent or wanted.upstream_id]
    sweep = stream.begin(wanted.cursor, account.upstream.now(clock.now()), ids)
    limit = stream.facts.page_size
    readings: list[Reading] = []
    for _ in range(PAGES_MAX):
        request = stream.request(sweep, limit)
        outcome = await account.ask(stream.facts, request)
        asked = Asked(sweep, ids, limit, 0, bool(stream.facts.parents))
        page, answer = understood(stream, asked, outcome, chance=0.0, now=clock.now())
        if answer.action == "halve":
            limit, readings = asked.halved.limit, []
            sweep = stream.begin(wanted.cursor, account.upstream.now(clock.now()), ids)
            continue
        if answer.action == "refuse":
            absent = isinstance(outcome, Response) and stream.facts.meaning(outcome) in ABSENT
            return Refreshed("not there" if absent else "failed", answer.reason)
        if page is None or not isinstance(outcome, Response):
            return Refreshed("failed", answer.reason)
        if page.only_refused:
            return Refreshed("not there")
        readings.append(
            Reading(
                replace(page, refused=()),
                stream.facts,
                wanted.cursor,
                request.origin,
                outcome.requested_at,
                moves=False,
            )
        )
        if page.sweep is None:
            return _with_the_record(readings, wanted)
        sweep = page.sweep
    return Refreshed("failed", f"more than {PAGES_MAX} pages")


def _with_the_record(readings: Sequence[Reading], wanted: Wanted) -> list[Reading] | Refreshed:
    """The readings, when the record is in them and can be read."""
    if any(wanted.upstream_id == f.upstream_id for one in readings for f in one.page.found):
        return list(readings)
    rejected = [r for one in readings for r in one.page.rejected if r.body]
    for one in rejected:
        if wanted.upstream_id == one.upstream_id:
            return Refreshed("failed", f"it cannot be read: {one.path}: {one.reason}")
    return Refreshed("not there")


def _came(key: str, done: Sequence[tuple[Composed, bool]]) -> Refreshed:
    raw = {record.key: known for one, known in done for record in one.raw}
    letters = {record.key for one, _ in done for record in one.letters}
    others = len(raw.keys() - {key})
    if key in raw:
        return Refreshed("written", "" if raw[key] else NOT_COMPARED, others)
    if key in letters:
        return Refreshed("set aside", "it is too large for the topic", others)
    return Refreshed("unchanged", others=others)
