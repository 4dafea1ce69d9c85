"""`shipfeed dead-letters`: reading letters, and having what is in them go its way again."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime

from bus import reading
from bus.errors import Misuse
from bus.settings import KafkaSettings
from console.appending import appending
from console.letters import (
    Filter,
    Letter,
    again,
    child_of,
    place_of,
    set_aside_of,
    subscription_of,
)
from console.redelivering import passed_over, redeliver
from console.unreadable import reason_of, report
from schemas.topics import CURSORS, DEAD_LETTERS, RAW, SUBSCRIPTIONS
from services.notifier.commands import TARGETS_MAX
from services.notifier.letters import Letter as SetAside
from services.poller.operating import Child, ask_again


@dataclass(frozen=True, slots=True)
class Redriven:
    """What came of one letter: `to` is where it, or the wish to deliver it or to ask for it again,
    was appended, else it was `refused`, or `passed_over` since nobody waits for its event.
    """

    place: str
    key: str
    to: str = ""
    refused: str = ""
    passed_over: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """A letter without its record, in the order of a list."""

    at: datetime
    place: str
    service: str
    key: str
    reason: str
    path: str
    origin: str
    size_bytes: int


async def newest(kafka: KafkaSettings, wanted: Filter, count: int) -> list[Row]:
    """The last `count` letters that are wanted, oldest first; no record is held."""
    found: list[Row] = []
    async with aclosing(_letters(kafka, wanted)) as letters:
        async for letter in letters:
            heapq.heappush(found, _row(letter))
            if len(found) > count:
                heapq.heappop(found)
    return sorted(found)


async def one(kafka: KafkaSettings, place: str) -> Letter:
    """The letter at `partition/offset`.  Raises Misuse when there is none."""
    partition, offset = place_of(place)
    count = kafka.partition_count(DEAD_LETTERS)
    record = None
    if partition < count:
        record = await reading.record_at(kafka, DEAD_LETTERS, partition, offset)
    if record is None:
        raise Misuse(
            f"there is no dead letter at {place}, or not any more; "
            "`shipfeed dead-letters list` shows the newest"
        )
    try:
        return Letter.of(record)
    except ValueError as error:
        raise Misuse(
            f"{place}: the record there is no dead letter of Shipfeed: {reason_of(error)}; "
            "a Kafka client can read it, and `shipfeed dead-letters list` shows what is ours"
        ) from error


async def redrive(
    kafka: KafkaSettings, places: Sequence[str], wanted: Filter, *, force: bool = False
) -> list[Redriven]:
    """Have the letters at `places`, or all that are wanted, go their way again.

    Records of an upstream are appended to raw, what an upstream refused is asked for again.  Events
    are delivered, unless they were since they were set aside, or are not wanted by their
    subscription any more; with `force` those too.  Raises Misuse, RetryLater.
    """
    named = [await one(kafka, place) for place in places]
    came: list[Redriven] = []
    events: dict[str, list[Letter]] = defaultdict(list)
    refused: dict[tuple[str, str], list[tuple[Letter, Child]]] = defaultdict(list)
    async with appending(kafka, "redrive") as raw, aclosing(_each(kafka, named, wanted)) as letters:
        async for letter in letters:
            if (name := subscription_of(letter)) is not None:
                events[name].append(letter)
                if len(events[name]) == TARGETS_MAX:
                    came += await _delivered(kafka, name, events.pop(name), force=force)
                continue
            if (child := child_of(letter)) is not None:
                refused[letter.why.source, letter.why.account].append((letter, child))
                continue
            try:
                record = again(kafka, letter)
            except Misuse as error:
                came.append(Redriven(letter.place, letter.key, refused=str(error)))
                continue
            await raw.add(record)
            to = f"{kafka.topic(RAW)}/{record.partition}"
            came.append(Redriven(letter.place, letter.key, to=to))
    for name, rest in events.items():
        came += await _delivered(kafka, name, rest, force=force)
    for (source, account), children in refused.items():
        came += await _asked_again(kafka, source, account, children)
    return came


async def _asked_again(
    kafka: KafkaSettings, source: str, account: str, children: Sequence[tuple[Letter, Child]]
) -> list[Redriven]:
    """Raises RetryLater."""
    try:
        slot = await ask_again(kafka, source, account, [child for _, child in children])
    except Misuse as error:
        return [Redriven(one.place, one.key, refused=str(error)) for one, _ in children]
    to = f"{kafka.topic(CURSORS)}/{slot}, to be asked for again"
    return [Redriven(one.place, one.key, to=to) for one, _ in children]


async def _delivered(
    kafka: KafkaSettings, name: str, letters: Sequence[Letter], *, force: bool
) -> list[Redriven]:
    """Raises RetryLater."""
    came: list[Redriven] = []
    newest: dict[str, SetAside] = {}
    for letter in letters:
        try:
            found = set_aside_of(letter)
        except Misuse as error:
            came.append(Redriven(letter.place, letter.key, refused=str(error)))
        else:
            newest[found.event.envelope.id] = found
            came.append(Redriven(letter.place, letter.key, to=found.event.envelope.id))
    passed = {} if force else await passed_over(kafka, name, newest)
    came = [
        replace(one, to="", passed_over=passed[one.to]) if one.to in passed else one for one in came
    ]
    targets = [one.target for event_id, one in newest.items() if event_id not in passed]
    if not targets:
        return came
    try:
        command = await redeliver(kafka, name, targets, force=force)
    except Misuse as error:
        return [replace(one, to="", refused=str(error)) if one.to else one for one in came]
    to = f"{kafka.topic(SUBSCRIPTIONS)}, command {command.number} of {name}"
    return [replace(one, to=to) if one.to else one for one in came]


async def _each(
    kafka: KafkaSettings, named: Sequence[Letter], wanted: Filter
) -> AsyncGenerator[Letter]:
    for letter in named:
        yield letter
    if not named:
        async with aclosing(_letters(kafka, wanted)) as letters:
            async for letter in letters:
                yield letter


async def _letters(kafka: KafkaSettings, wanted: Filter) -> AsyncGenerator[Letter]:
    async with aclosing(reading.scan(kafka, DEAD_LETTERS)) as records:
        async for record in records:
            try:
                letter = Letter.of(record)
            except ValueError as error:
                report(DEAD_LETTERS, f"the record at {record.partition}/{record.offset}", error)
                continue
            if wanted.takes(letter.why):
                yield letter


def _row(letter: Letter) -> Row:
    why, size = letter.why, len(letter.record.value or b"")
    return Row(
        why.at, letter.place, why.service, letter.key, why.reason, why.path, why.origin, size
    )
