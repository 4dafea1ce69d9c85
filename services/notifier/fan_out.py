"""One event for many subscriptions: what is written, and which positions follow.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bus.errors import Blocked
from bus.failures import NEVER_OF_A_RECORD, Failures
from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction
from schemas.delivery import Delivery
from schemas.topics import DELIVERIES
from services.notifier.events import Event
from services.notifier.filters import Facts
from services.notifier.lanes import Pending
from services.notifier.outlets import Outlet


@dataclass(frozen=True, slots=True)
class Failed:
    """An event that could not be handed to a subscription, by an exception nobody planned for."""

    subscription: str
    event: Event
    error: Exception


@dataclass(slots=True)
class FanOut:
    """What is to be written, and what becomes of memory once it is.

    Records of `positions` are made by who knows them whole (`holdings`), those of `failed` by
    `settlement.not_fanned_out`.  A subscription in `held` gets nothing of the batch, and why.
    """

    transaction: Transaction = field(default_factory=Transaction)
    pending: list[Pending] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)


_Judged = Sequence[tuple[Event, "Record | Delivery | Failed"]]


def fan_out(
    kafka: KafkaSettings,
    partition: int,
    events: Sequence[Event],
    end: int,
    *,
    outlets: Iterable[Outlet],
    positions: Mapping[str, int],
    is_pending: Callable[[str], bool],
    now: datetime,
) -> FanOut:
    """What `outlets` get of `events`; their positions move to `end`.

    The position decides alone what a subscription has seen: events before it are passed over, so
    a batch that comes twice gives nothing twice.  A delivery still pending is not begun again.
    """
    made, begun, delivered = FanOut(), set[str](), set[int]()
    read = [(event, Facts(event.envelope)) for event in events]
    for outlet in outlets:
        name = outlet.subscription.id
        position = positions[name]
        try:
            judged = _judged(outlet, [one for one in read if one[0].offset >= position], now)
        except Blocked as error:
            made.held[name] = str(error)
            continue
        for event, found in judged:
            if isinstance(found, Record):
                made.transaction.records.append(found)
            elif isinstance(found, Failed):
                made.failed.append(found)
            elif (key := found.key) not in begun and not is_pending(key):
                begun.add(key)
                made.transaction.records.append(delivery_record(kafka, partition, found))
                made.pending.append(pending_of(found))
                delivered.add(event.offset)
        if end > position:
            made.positions[name] = end
    made.events = [event for event in events if event.offset in delivered]
    return made


def _judged(outlet: Outlet, read: Sequence[tuple[Event, Facts]], now: datetime) -> _Judged:
    """What of these events the outlet takes, and which failed.

    Raises Blocked when so many fail that the fault must be ours.
    """
    name, errors = outlet.subscription.id, list[Exception]()
    judged: list[tuple[Event, Record | Delivery | Failed]] = []
    failures = Failures(f"subscription {name}")
    for event, facts in read:
        try:
            found = _one(outlet, event, facts, now)
        except NEVER_OF_A_RECORD:
            raise
        except Exception as error:
            errors.append(error)
            failures.note(event.offset, error)
            judged.append((event, Failed(name, event, error)))
            continue
        if found is not None:  # what it does not want says nothing about the rest
            judged.append((event, found))
            if errors:
                failures.note(event.offset)
    failures.check(len(judged), errors)
    return judged


def _one(outlet: Outlet, event: Event, facts: Facts, now: datetime) -> Record | Delivery | None:
    if not outlet.matcher.takes(event, facts):
        return None
    if outlet.sink is not None:
        return outlet.sink.record(event, now)
    return delivery_of(outlet.subscription.id, event, now)


def delivery_of(subscription: str, event: Event, now: datetime) -> Delivery:
    """A delivery that may start at once; its lane is the fulfillment key."""
    return Delivery(
        subscription=subscription,
        event_id=event.envelope.id,
        event_type=event.envelope.type,
        event_offset=event.offset,
        event_at=event.at,
        lane=event.envelope.key,
        due_at=now,
    )


def pending_of(delivery: Delivery) -> Pending:
    """What memory keeps of a delivery."""
    return Pending(
        key=delivery.key,
        subscription=delivery.subscription,
        lane=delivery.lane,
        event_offset=delivery.event_offset,
        event_at=delivery.event_at.timestamp(),
        due_at=delivery.due_at.timestamp(),
        attempts=delivery.attempts,
        letter_offset=delivery.letter_offset,
    )


def delivery_record(kafka: KafkaSettings, partition: int, delivery: Delivery) -> Record:
    """The delivery's state."""
    return Record(kafka.topic(DELIVERIES), partition, delivery.key, delivery.to_json())
