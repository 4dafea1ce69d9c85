"""Whether everything that happened upstream has reached the subscriber, judged from Kafka alone."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from aiokafka.errors import KafkaError

from bus import reading
from bus.settings import KafkaSettings
from schemas.cursor import Cursor, Mark, cursor_key
from schemas.topics import CURSORS, DELIVERIES, EVENTS, RAW, WRITE_BACKS
from schemas.write_back import WriteBack, is_wanted
from services.poller.source import AccountSettings
from services.poller.sources import sources

CHECK_SECONDS = 0.5


async def settled(
    kafka: KafkaSettings,
    accounts: Sequence[AccountSettings],
    ended_at: datetime,
    still: list[str],
) -> None:
    """Returns once nothing is on its way; until then `still` says what is, in words.

    The caller has the deadline.
    Settled: every list has been read from its beginning to its end since the world stood still and
    the last write-back was done, what those passes found to be read by its id has been read, no
    group has unread records, and no delivery and no write-back is pending.
    """
    lists = list_keys(accounts)
    while True:
        try:
            found = await _unsettled(kafka, lists, ended_at)
        except (KafkaError, TimeoutError) as error:
            found = [f"Kafka: {error!r}"]
        still[:] = found
        if not found:
            return
        await asyncio.sleep(CHECK_SECONDS)


def list_keys(accounts: Iterable[AccountSettings]) -> list[str]:
    """The cursor keys of the streams that read lists."""
    return [
        cursor_key(account.source, account.name, stream.facts.name)
        for account in accounts
        for stream in sources()[account.source].streams(account)
        if not stream.facts.ids_max
    ]


def unread_lists(
    lists: Collection[str], cursors: Iterable[Cursor], ended_at: datetime
) -> list[str]:
    """The lists of which no pass is known that began after `ended_at` and is complete.

    `cursors` are all that were ever stored, oldest first. A pass that ended at `ended_at` or later
    may have begun before; the one after it did not. One that is `done` has nothing to do.
    """
    ends: dict[str, set[datetime]] = {key: set() for key in lists}
    done = set()
    for cursor in cursors:
        if cursor.done:
            done.add(cursor.key)
        if cursor.sweep is None and cursor.succeeded_at and cursor.succeeded_at >= ended_at:
            ends.setdefault(cursor.key, set()).add(cursor.succeeded_at)
    return [key for key in lists if key not in done and len(ends[key]) < 2]


def unread_records(marks: Iterable[Mark]) -> int:
    """How many records or parents a list has found that were not read by their id since.

    Such a mark is due at the instant of its observation; reading it moves that later. What is read
    again for its age alone is not counted: the lists have shown it too.
    """
    return sum(mark.due_at is not None and mark.due_at <= mark.observed_at for mark in marks)


def write_backs(records: Mapping[str, bytes], ended_at: datetime) -> tuple[int, datetime]:
    """How many are neither done nor held, and when the last one became so, `ended_at` at least.

    `records` are the newest of the write-backs topic, by key.
    """
    pending, last = 0, ended_at
    for key, value in records.items():
        if is_wanted(key):
            pending += 1
            continue
        write_back = WriteBack.model_validate_json(value)
        pending += write_back.state not in ("done", "held")
        last = max(last, write_back.updated_at)
    return pending, last


async def _unsettled(kafka: KafkaSettings, lists: list[str], ended_at: datetime) -> list[str]:
    """In the order that things go on in, so that nothing slips by between two looks."""
    cursors: list[Cursor] = []
    marks: dict[str, Mark] = {}
    for record in await reading.records(kafka, CURSORS, {}):
        key = (record.key or b"").decode()
        if record.value is None:
            marks.pop(key, None)
        elif key.startswith("cursor/"):
            cursors.append(Cursor.model_validate_json(record.value))
        else:
            marks[key] = Mark.model_validate_json(record.value)
    due = unread_records(marks.values())
    found = [f"{due} records to read by their id"] if due else []
    for topic, service in ((RAW, "normalizer"), (EVENTS, "notifier")):
        count = await reading.unread(kafka, topic, f"{kafka.prefix}.{service}")
        found += [f"{count} records for the {service}"] if count else []
    deliveries = await reading.table(kafka, DELIVERIES)
    pending = sum(not key.endswith("/position") for key in deliveries)
    found += [f"{pending} deliveries"] if pending else []
    waiting, written_at = write_backs(await reading.table(kafka, WRITE_BACKS), ended_at)
    found += [f"{waiting} write-backs"] if waiting else []
    return [f"a whole pass of {key}" for key in unread_lists(lists, cursors, written_at)] + found
