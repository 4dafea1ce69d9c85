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
from schemas.message import iso
from schemas.subscription import Subscription
from schemas.topics import ATTEMPTS, DELIVERIES, EVENTS
from services.notifier.channel import Result
from services.notifier.events import Event
from services.notifier.fan_out import Failed, delivery_of, delivery_record
from services.notifier.gate import Landing
from services.notifier.lanes import Pending
from services.notifier.retries import exhausted, lane_deadline_at, next_due_at

SERVICE = "notifier"
SUBSCRIPTION_HEADER = "shipfeed-subscription"


@dataclass(frozen=True, slots=True)
class Settlement:
    """Records to write together; `due_at` None: the delivery is done and its lane goes on."""

    records: list[Record]
    due_at: datetime | None
    set_aside: str | None = None  # why


def delivered(
    kafka: KafkaSettings,
    partition: int,
    pending: Pending,
    event: Event,
    result: Result,
    *,
    started_at: datetime,
) -> Settlement:
    """After the try that succeeded; all it takes is in memory, since most tries end so."""
    tried = dropped(kafka, partition, pending, event, result, started_at=started_at)
    return Settlement([*tried.records, _done(kafka, partition, pending.key)], None)


def dropped(
    kafka: KafkaSettings,
    partition: int,
    pending: Pending,
    event: Event,
    result: Result,
    *,
    started_at: datetime,
) -> Settlement:
    """After a try whose delivery is no more, since its subscription was deleted meanwhile."""
    number = pending.attempts + 1
    attempt = _attempt(pending, event, result, number=number, started_at=started_at)
    return Settlement([_logged(kafka, partition, pending.key, attempt)], None)


def failed(
    kafka: KafkaSettings,
    partition: int,
    delivery: Delivery,
    event: Event,
    result: Result,
    *,
    subscription: Subscription,
    started_at: datetime,
    now: datetime,
    schedule_seconds: Sequence[float],
    chance: float,
    landing: Landing,
    early_from: datetime | None,
) -> Settlement:
    """After any other try: once more later, or the event is set aside.

    `delivery` is the record as it stands now: it may have got all its tries again meanwhile.
    `early_from`: when the try was due by the schedule, if it was brought forward; it is due then
    once more.  Such a try and a probe cost no step, but who was a probe stands behind the others.
    """
    number, free = delivery.attempts + 1, landing.probe or early_from is not None
    free_attempts = delivery.free_attempts + free
    steps = number - free_attempts
    failing_since = delivery.failing_since or started_at
    due_at = next_due_at(
        number if landing.probe else steps,
        result.outcome,
        result.retry_after_seconds,
        schedule_seconds=schedule_seconds,
        now=now,
        chance=chance,
        deadline_at=lane_deadline_at(subscription, failing_since),
    )
    if due_at is not None and result.outcome != "gone":
        if early_from is not None and early_from > now:
            due_at = early_from
        if exhausted(
            steps,
            schedule_seconds,
            free=free,
            down=landing.down,
            failing_since=failing_since,
            succeeded_at=landing.succeeded_at,
            started_at=started_at,
            now=now,
        ):
            due_at = None
    attempt = _attempt(
        delivery, event, result, number=number, started_at=started_at, next_at=due_at
    )
    records = [_logged(kafka, partition, delivery.key, attempt)]
    if due_at is not None:
        update: dict[str, object] = {"due_at": due_at}
        update["attempts"], update["free_attempts"] = number, free_attempts
        if result.outcome != "gone":
            update["failing_since"] = failing_since
        later = delivery.model_copy(update=update)
        written = delivery_record(kafka, partition, later)
        return Settlement([*records, written], due_at)
    deadline_at = lane_deadline_at(subscription, failing_since)
    late = deadline_at is not None and deadline_at <= now and steps <= len(schedule_seconds)
    cause = f"lane deadline: failing since {iso(failing_since)}" if late else "exhausted"
    status = f" {result.status_code}" if result.status_code else ""
    reason = f"{cause}: {number} tries, the last one {result.outcome}{status}"
    letter = dead_letter(kafka, partition, delivery, event, reason=reason, now=now)
    return Settlement([*records, _done(kafka, partition, delivery.key), letter], None, reason)


def expire(
    kafka: KafkaSettings, partition: int, delivery: Delivery, event: Event | None, now: datetime
) -> Settlement:
    """The topic is about to forget the event: move the delivery aside, body and all."""
    letter = dead_letter(kafka, partition, delivery, event, reason="expired", now=now)
    return Settlement([_done(kafka, partition, delivery.key), letter], None, "expired")


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


def not_fanned_out(kafka: KafkaSettings, partition: int, failed: Failed, now: datetime) -> Record:
    """The dead letter of an event that could not be handed to one subscription."""
    delivery = delivery_of(failed.subscription, failed.event, now)
    reason = f"it could not be matched or written: {failed.error!r}"
    return dead_letter(kafka, partition, delivery, failed.event, reason=reason, now=now)


def _attempt(
    tried: Pending | Delivery,
    event: Event,
    result: Result,
    *,
    number: int,
    started_at: datetime,
    next_at: datetime | None = None,
) -> Attempt:
    return Attempt(
        subscription=tried.subscription,
        event_id=event.envelope.id,
        event_type=event.envelope.type,
        event_offset=tried.event_offset,
        number=number,
        started_at=started_at,
        duration_ms=result.duration_ms,
        outcome=result.outcome,
        status_code=result.status_code,
        detail=result.detail,
        response_body=result.response_body,
        next_at=next_at,
    )


def _logged(kafka: KafkaSettings, partition: int, key: str, attempt: Attempt) -> Record:
    return Record(kafka.topic(ATTEMPTS), partition, key, attempt.to_json())


def _done(kafka: KafkaSettings, partition: int, key: str) -> Record:
    """A finished delivery leaves the table."""
    return Record(kafka.topic(DELIVERIES), partition, key, None)
