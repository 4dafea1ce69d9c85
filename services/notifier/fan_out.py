"""One event for many subscriptions: what is written, and which positions follow.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction
from schemas.delivery import Delivery
from schemas.topics import DELIVERIES
from services.notifier.events import Event
from services.notifier.filters import Facts
from services.notifier.lanes import Pending
from services.notifier.outlets import Outlet


@dataclass(slots=True)
class FanOut:
    """What is to be written, and what becomes of memory once it is.

    Records of `positions` are made by who knows them whole (`holdings`).
    """

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
    outlets: Iterable[Outlet],
    positions: Mapping[str, int],
    is_pending: Callable[[str], bool],
    now: datetime,
) -> FanOut:
    """What `outlets` get of `events`; their positions move to `end`.

    The position decides alone what a subscription has seen: events before it are passed over, so
    a batch that comes twice gives nothing twice.  A delivery still pending is not begun again.
    """
    made, begun = FanOut(), set[str]()
    asking = [(one, positions[one.subscription.id]) for one in outlets]
    for event in events:
        facts, delivers = Facts(event.envelope), False
        for outlet, position in asking:
            if event.offset < position or not outlet.matcher.takes(event, facts):
                continue
            if outlet.sink is not None:
                if (written := outlet.sink.record(event, now)) is not None:
                    made.transaction.records.append(written)
                continue
            delivery = delivery_of(outlet.subscription.id, event, now)
            if (key := delivery.key) in begun or is_pending(key):
                continue
            begun.add(key)
            made.transaction.records.append(delivery_record(kafka, partition, delivery))
            made.pending.append(pending_of(delivery))
            delivers = True
        if delivers:
            made.events.append(event)
    made.positions = {one.subscription.id: end for one, position in asking if end > position}
    return made


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
