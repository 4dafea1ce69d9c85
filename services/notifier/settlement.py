"""What one try, or the end of an event's time, makes of a delivery.  Pure.

The attempt is written in the same transaction as the state it leads to, so no try is without its
record and no delivery without its state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bus.dead_letters import set_aside
from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.dead_letter import DeadLetter
from schemas.delivery import Attempt, Delivery
from schemas.keys import split
from schemas.topics import ATTEMPTS, DELIVERIES, EVENTS
from services.notifier.channel import Result
from services.notifier.events import Event
from services.notifier.fan_out import delivery_record
from services.notifier.retries import FREE, next_due_at

SERVICE = "notifier"
SUBSCRIPTION_HEADER = "shipfeed-subscription"


@dataclass(frozen=True, slots=True)
class Settlement:
    """Records to write together; `due_at` None: the delivery is done and its lane goes on."""

    records: list[Record]
    due_at: datetime | None
    exhausted: bool = False


def settle(
    kafka: KafkaSettings,
    partition: int,
    delivery: Delivery,
    event: Event,
    result: Result,
    *,
    started_at: datetime,
    now: datetime,
    schedule_seconds: Sequence[float],
    chance: float,
) -> Settlement:
    """After a try: done, once more later, or exhausted and set aside."""
    number = delivery.attempts + 1
    due_at = None
    if result.outcome != "delivered":
        due_at = next_due_at(
            number,
            result.outcome,
            result.retry_after_seconds,
            schedule_seconds=schedule_seconds,
            now=now,
            chance=chance,
        )
    records = [
        _attempt_record(kafka, partition, delivery, result, started_at=started_at, next_at=due_at)
    ]
    if due_at is not None:
        attempts = delivery.attempts if result.outcome in FREE else number
        failing_since = delivery.failing_since or started_at
        update = {"attempts": attempts, "due_at": due_at, "failing_since": failing_since}
        later = delivery.model_copy(update=update)
        return Settlement([*records, delivery_record(kafka, partition, later)], due_at)
    records.append(tombstone(kafka, partition, delivery))
    exhausted = result.outcome != "delivered"
    if exhausted:
        status = f" {result.status_code}" if result.status_code else ""
        reason = f"exhausted: {number} tries, the last one {result.outcome}{status}"
        records.append(dead_letter(kafka, partition, delivery, event, reason=reason, now=now))
    return Settlement(records, None, exhausted)


def expire(
    kafka: KafkaSettings, partition: int, delivery: Delivery, event: Event | None, now: datetime
) -> Settlement:
    """The topic is about to forget the event: move the delivery aside, body and all."""
    letter = dead_letter(kafka, partition, delivery, event, reason="expired", now=now)
    return Settlement([tombstone(kafka, partition, delivery), letter], None, exhausted=True)


def tombstone(kafka: KafkaSettings, partition: int, delivery: Delivery) -> Record:
    """A finished delivery leaves the table."""
    return Record(kafka.topic(DELIVERIES), partition, delivery.key, None)


def dead_letter(
    kafka: KafkaSettings,
    partition: int,
    delivery: Delivery,
    event: Event | None,
    *,
    reason: str,
    now: datetime,
) -> Record:
    """The event as it stood on its topic, headers too, and for which subscription it is."""
    source, account, *_ = [*split(delivery.lane), "", ""]
    letter = DeadLetter(
        service=SERVICE,
        reason=reason,
        origin=f"{kafka.topic(EVENTS)}/{partition}/{delivery.event_offset}",
        source=source,
        account=account,
        at=now,
    )
    value = event.envelope.data if event else delivery.to_json()
    own = (SUBSCRIPTION_HEADER, delivery.subscription.encode())
    key, headers = event.key if event else delivery.lane, event.headers if event else ()
    return set_aside(kafka, letter, key, value, partition=partition, headers=[own, *headers])


def _attempt_record(
    kafka: KafkaSettings,
    partition: int,
    delivery: Delivery,
    result: Result,
    *,
    started_at: datetime,
    next_at: datetime | None,
) -> Record:
    attempt = Attempt(
        subscription=delivery.subscription,
        event_id=delivery.event_id,
        event_type=delivery.event_type,
        event_offset=delivery.event_offset,
        number=delivery.attempts + 1,
        started_at=started_at,
        duration_ms=result.duration_ms,
        outcome=result.outcome,
        status_code=result.status_code,
        detail=result.detail,
        response_body=result.response_body,
        next_at=next_at,
    )
    return Record(kafka.topic(ATTEMPTS), partition, delivery.key, attempt.to_json())
