"""One event for many subscriptions: which deliveries and positions follow from events.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction
from schemas.delivery import Delivery, Position
from schemas.subscription import Subscription
from schemas.topics import DELIVERIES
from services.notifier.events import Event
from services.notifier.lanes import Pending
from services.notifier.match import wants


@dataclass(slots=True)
class FanOut:
    """What is to be written, and what becomes of memory once it is."""

    transaction: Transaction = field(default_factory=Transaction)
    pending: list[Pending] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


def fan_out(
    kafka: KafkaSettings,
    partition: int,
    events: Sequence[Event],
    end: int,
    *,
    subscriptions: Iterable[Subscription],
    positions: Mapping[str, int],
    is_pending: Callable[[str], bool],
    now: datetime,
) -> FanOut:
    """Deliveries of `events` to `subscriptions`, whose positions move to `end`.

    The position decides alone what a subscription has seen: events before it are passed over, so
    a batch that comes twice gives nothing twice.  A delivery still pending is not begun again.
    """
    made, matched = FanOut(), set[int]()
    for subscription in subscriptions:
        position, known = positions[subscription.id], set[str]()
        for event in wanted(subscription, events, position):
            delivery = delivery_of(subscription.id, event, now)
            if delivery.key in known or is_pending(delivery.key):
                continue
            known.add(delivery.key)
            made.transaction.records.append(delivery_record(kafka, partition, delivery))
            made.pending.append(pending_of(delivery))
            if event.offset not in matched:
                matched.add(event.offset)
                made.events.append(event)
        if end > position:
            made.positions[subscription.id] = end
            made.transaction.records.append(position_record(kafka, partition, subscription.id, end))
    return made


def wanted(subscription: Subscription, events: Iterable[Event], position: int) -> list[Event]:
    """Those events from `position` on that the subscription asks for."""
    return [
        event
        for event in events
        if event.offset >= position
        and wants(subscription.types, subscription.backfill, event.envelope.type, event.backfill)
    ]


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


def position_record(kafka: KafkaSettings, partition: int, subscription: str, offset: int) -> Record:
    """How far the subscription has come."""
    position = Position(subscription=subscription, offset=offset)
    return Record(kafka.topic(DELIVERIES), partition, position.key, position.to_json())
