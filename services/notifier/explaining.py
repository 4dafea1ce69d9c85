"""The story of one event for one subscription: from the poll that saw it to its last try.

Reads topics, each for a bounded time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import msgspec
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from bus import reading
from bus.clock import Clock
from bus.errors import RetryLater
from bus.settings import KafkaSettings
from schemas.delivery import Attempt, Delivery, delivery_key
from schemas.fulfillment import RawRef
from schemas.raw import Provenance
from schemas.subscription import Subscription
from schemas.topics import ATTEMPTS, DEAD_LETTERS, EVENTS, RAW, Topic
from services.notifier.channel import way_of
from services.notifier.events import Event
from services.notifier.history import Standing
from services.notifier.letters import Letter, letter_of
from services.notifier.match import matcher_of
from services.notifier.searching import Search, since

CLOCKS_APART = timedelta(minutes=1)  # of two copies, at most

State = Literal[
    "unfinished", "delivered", "set aside", "to come", "not wanted", "written", "served", "unknown"
]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event stands, or stood, on its topic."""

    partition: int
    offset: int


@dataclass(slots=True)
class Story:
    """`event` None: neither its topic nor a dead letter has it any more; `upstream` None: nor has
    raw its record.  `complete` False: time was up before all attempts and letters were read.
    """

    place: Place
    standing: Standing
    event: Event | None = None
    raw: RawRef | None = None
    upstream: Provenance | None = None
    delivery: Delivery | None = None
    attempts: list[Attempt] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    complete: bool = True


class _Fulfillment(msgspec.Struct):
    raw: dict[str, str | int]


class _Data(msgspec.Struct):
    fulfillment: _Fulfillment


async def locate(
    kafka: KafkaSettings,
    subscription: str,
    event_id: str,
    standings: Mapping[int, Standing],
    clock: Clock,
) -> Place | None:
    """Among what is unfinished, then events, attempts, dead letters.

    Raises RetryLater, also when time was up before all was read.
    """
    for partition, standing in standings.items():
        if (delivery := standing.unfinished.get(event_id)) is not None:
            return Place(partition, delivery.event_offset)
    key = delivery_key(subscription, event_id).encode()
    for topic in (EVENTS, ATTEMPTS, DEAD_LETTERS):
        search = Search(kafka, topic, clock)
        async for record in search.records():
            if topic is EVENTS and _is(record, event_id):
                return Place(record.partition, record.offset)
            if topic is ATTEMPTS and record.key == key:
                attempt = Attempt.model_validate_json(record.value)
                return Place(record.partition, attempt.event_offset)
            if topic is DEAD_LETTERS and (letter := _letter(record, subscription, event_id)):
                return Place(record.partition, letter.event.offset)
        if not search.complete:
            raise RetryLater(
                f"{event_id} was not found in time: say partition and offset of its event"
            )
    return None


async def explain(
    kafka: KafkaSettings,
    subscription: Subscription,
    event_id: str,
    place: Place,
    *,
    standing: Standing,
    clock: Clock,
) -> Story:
    """All that the topics still know.  Raises RetryLater."""
    story = Story(place, standing, delivery=standing.unfinished.get(event_id))
    record = await record_at(kafka, EVENTS, place.partition, place.offset)
    if record is not None and _is(record, event_id):
        story.event = Event.of(record)
    await _read_letters(kafka, subscription.id, event_id, story, clock)
    if story.event is None and story.letters:
        story.event = story.letters[-1].event
    await _read_attempts(kafka, delivery_key(subscription.id, event_id), story, clock)
    if story.event is not None:
        data = msgspec.json.decode(story.event.envelope.data, type=_Data)
        raw = story.raw = RawRef.model_validate(data.fulfillment.raw)
        found = await record_at(kafka, RAW, raw.partition, raw.offset)
        story.upstream = Provenance.read(dict(found.headers)) if found else None
    return story


def state_of(story: Story, subscription: Subscription) -> State:
    """Where the event is on its way to the subscription.  Pure."""
    if story.delivery is not None:
        return "unfinished"
    sent = [one.started_at for one in story.attempts if one.outcome == "delivered"]
    aside = [one.why.at for one in story.letters]
    if sent and (not aside or max(sent) >= max(aside)):
        return "delivered"
    if aside:
        return "set aside"
    if (way := way_of(subscription)) == "served":
        return "served"
    if story.event is not None and matcher_of(subscription).why_not(story.event):
        return "not wanted"
    if story.place.offset >= story.standing.position.offset:
        return "to come"
    return "written" if way == "written" else "unknown"


async def delivered_since(
    kafka: KafkaSettings, subscription: str, asked: Mapping[str, datetime | None], clock: Clock
) -> dict[str, datetime]:
    """Which of these events were delivered, and when: after their instants, or at any time.

    Known for as long as attempts are kept.  Raises RetryLater, also when time was up before all
    attempts were read.
    """
    if not asked:
        return {}
    keys = {delivery_key(subscription, event_id).encode(): event_id for event_id in asked}
    instants = [at for at in asked.values() if at is not None]
    starts: dict[int, int] = {}
    if len(instants) == len(asked):
        at_ms = (min(instants) - CLOCKS_APART).timestamp() * 1000
        starts = await since(kafka, ATTEMPTS, int(at_ms))
    search, found = Search(kafka, ATTEMPTS, clock, starts=starts), dict[str, datetime]()
    async for record in search.records():
        if (event_id := keys.get(record.key or b"")) is None:
            continue
        attempt, after = Attempt.model_validate_json(record.value), asked[event_id]
        if attempt.outcome == "delivered" and (after is None or attempt.started_at >= after):
            found[event_id] = attempt.started_at
    if not search.complete:
        raise RetryLater(
            f"whether {len(asked)} events were delivered already could not be read in time: ask "
            "for fewer or for later ones, or use force, which sends delivered ones again"
        )
    return found


async def _read_letters(
    kafka: KafkaSettings, subscription: str, event_id: str, story: Story, clock: Clock
) -> None:
    search = await _from_event(kafka, DEAD_LETTERS, story, clock)
    async for record in search.records():
        if (letter := _letter(record, subscription, event_id)) is not None:
            story.letters.append(letter)
    story.complete &= search.complete


async def _read_attempts(kafka: KafkaSettings, key: str, story: Story, clock: Clock) -> None:
    search, wanted = await _from_event(kafka, ATTEMPTS, story, clock), key.encode()
    async for record in search.records():
        if record.key == wanted:
            story.attempts.append(Attempt.model_validate_json(record.value))
    story.complete &= search.complete


async def _from_event(kafka: KafkaSettings, topic: Topic, story: Story, clock: Clock) -> Search:
    """What follows from an event is younger than it."""
    starts: dict[int, int] = {}
    if story.event is not None:
        starts = await since(kafka, topic, int(story.event.at.timestamp() * 1000))
    return Search(kafka, topic, clock, starts=starts, partition=story.place.partition)


async def record_at(
    kafka: KafkaSettings, topic: Topic, partition: int, offset: int
) -> ConsumerRecord | None:
    """The record there; None when there is none, or not any more.  Raises RetryLater."""
    try:
        return await reading.record_at(kafka, topic, partition, offset)
    except (KafkaError, TimeoutError) as error:
        raise RetryLater(f"{kafka.topic(topic)} cannot be read: {error!r}") from error


def _letter(record: ConsumerRecord, subscription: str, event_id: str) -> Letter | None:
    return letter_of(record, subscription) if _is(record, event_id) else None


def _is(record: ConsumerRecord, event_id: str) -> bool:
    return dict(record.headers).get("ce_id") == event_id.encode()
