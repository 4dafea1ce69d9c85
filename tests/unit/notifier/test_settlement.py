"""From a try to what follows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.dead_letter import DeadLetter
from schemas.delivery import Attempt, Delivery, Outcome
from schemas.events import Envelope
from schemas.subscription import LogChannel, Subscription
from services.notifier.channel import Result
from services.notifier.events import Event
from services.notifier.fan_out import delivery_of, pending_of
from services.notifier.gate import Landing
from services.notifier.settlement import (
    SUBSCRIPTION_HEADER,
    Settlement,
    delivered,
    expire,
    failed,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KAFKA = KafkaSettings(prefix="t")
UP, DOWN = Landing(), Landing(down=True)
HEADERS = tuple(
    (name, value.encode())
    for name, value in {
        "ce_id": "evt_4",
        "ce_type": "package.shipped",
        "ce_partitionkey": "zentail/acme/order/1",
        "ce_time": "2025-12-31T00:00:00Z",
    }.items()
)
EVENT = Event(
    4, NOW, "zentail/acme/order/1", HEADERS, Envelope.read(dict(HEADERS), b'{"a": 1.0}'), False
)


def subscription(**wish: Any) -> Subscription:
    return Subscription.model_validate(
        {
            "id": "erp",
            "types": ("package.shipped",),
            "channel": LogChannel(),
            "start_offsets": {},
            "created_at": NOW,
            **wish,
        }
    )


def settled(
    outcome: Outcome,
    attempts: int = 0,
    *,
    failing_since: datetime | None = None,
    retry_after: float | None = None,
    free_attempts: int = 0,
    landing: Landing = UP,
    early_from: datetime | None = None,
    **wish: Any,
) -> Settlement:
    update = {
        "attempts": attempts,
        "free_attempts": free_attempts,
        "failing_since": failing_since,
    }
    delivery = delivery_of("erp", EVENT, NOW).model_copy(update=update)
    result = Result(outcome, status_code=500, retry_after_seconds=retry_after, duration_ms=7)
    if outcome == "delivered":
        return delivered(KAFKA, 3, pending_of(delivery), EVENT, result, started_at=NOW)
    return failed(
        KAFKA,
        3,
        delivery,
        EVENT,
        result,
        subscription=subscription(**wish),
        started_at=NOW,
        now=NOW,
        schedule_seconds=(5.0, 300.0),
        chance=0.5,
        landing=landing,
        early_from=early_from,
    )


def written(records: list[Record], topic: str) -> list[Record]:
    return [record for record in records if record.topic == f"t.{topic}"]


def later(found: Settlement) -> Delivery:
    """The delivery as it is written for the next try."""
    (record,) = written(found.records, "deliveries")
    return Delivery.model_validate_json(record.value or b"")


def test_a_delivered_event_leaves_an_attempt_and_no_delivery() -> None:
    """The attempt is logged in the transaction that ends the delivery."""
    found = settled("delivered", attempts=2)

    (record,) = written(found.records, "attempts")
    attempt = Attempt.model_validate_json(record.value or b"")
    assert (record.key, record.partition) == ("erp/evt_4", 3)
    assert (attempt.number, attempt.event_id, attempt.event_offset) == (3, "evt_4", 4)
    assert [record.value for record in written(found.records, "deliveries")] == [None]
    assert (found.due_at, found.set_aside) == (None, None)


def test_a_failed_try_is_counted_and_due_again() -> None:
    """The attempt says when the next one comes; the delivery keeps when the first one failed."""
    found = settled("transient", attempts=1)

    (attempt,) = written(found.records, "attempts")
    assert later(found).attempts == 2
    assert later(found).failing_since == NOW
    assert found.due_at == NOW + timedelta(seconds=300)
    assert Attempt.model_validate_json(attempt.value or b"").next_at == found.due_at


@pytest.mark.parametrize("outcome", ["transient", "rejected", "redirect", "busy", "blocked"])
def test_the_last_failure_sets_the_event_aside_untouched(outcome: Outcome) -> None:
    """Body byte for byte, its own headers, why, where from, and for whom."""
    found = settled(outcome, attempts=2)

    (letter,) = written(found.records, "dead-letters")
    headers = dict(letter.headers)
    assert (letter.partition, letter.key, letter.value) == (3, EVENT.key, b'{"a": 1.0}')
    assert DeadLetter.read(headers).origin == "t.events/3/4"
    assert DeadLetter.read(headers).account == "acme"
    assert headers[SUBSCRIPTION_HEADER] == b"erp"
    assert headers["ce_id"] == b"evt_4"
    assert [record.value for record in written(found.records, "deliveries")] == [None]
    assert found.set_aside == f"exhausted: 3 tries, the last one {outcome} 500"


@pytest.mark.parametrize(
    ("landing", "early_from", "due_in"),
    [
        (Landing(probe=True, down=True), None, 300),
        (UP, NOW + timedelta(seconds=70), 70),
        (UP, NOW - timedelta(seconds=1), 5),
    ],
    ids=["a probe", "brought forward", "brought forward and due since"],
)
def test_a_try_beside_the_schedule_costs_no_step(
    landing: Landing, early_from: datetime | None, due_in: float
) -> None:
    """It is counted as made; what was brought forward is due when it would have been."""
    found = settled("transient", attempts=1, landing=landing, early_from=early_from)

    assert (later(found).attempts, later(found).free_attempts) == (2, 1)
    assert found.due_at == NOW + timedelta(seconds=due_in)


def test_spent_steps_end_no_delivery_while_the_endpoint_is_down() -> None:
    """It is held until the endpoint is back, since nothing says that the event is to blame."""
    found = settled("transient", attempts=2, landing=DOWN)

    assert found.due_at == NOW + timedelta(seconds=300)
    assert later(found).attempts == 3


@pytest.mark.parametrize(
    ("succeeded_at", "set_aside"),
    [(None, False), (NOW - timedelta(hours=2), False), (NOW - timedelta(minutes=1), True)],
    ids=["never", "before it failed", "since"],
)
def test_an_overdue_delivery_ends_after_a_success_of_its_endpoint(
    succeeded_at: datetime | None, set_aside: bool
) -> None:
    """The length of the schedule has passed, its steps are not spent."""
    since, up = NOW - timedelta(hours=1), Landing(succeeded_at=succeeded_at)
    found = settled("transient", failing_since=since, landing=up)

    assert (found.set_aside == "exhausted: 1 tries, the last one transient 500") is set_aside
    assert (found.due_at is None) is set_aside


def test_a_gone_endpoint_keeps_its_delivery_whatever_was_tried() -> None:
    """It is held until the endpoint is enabled again, and is late through no fault of its own."""
    found = settled("gone", attempts=9, lane_deadline_seconds=1.0)

    assert found.due_at == NOW
    assert later(found).failing_since is None
    assert written(found.records, "dead-letters") == []


def test_the_last_try_before_a_lane_deadline_comes_at_the_deadline() -> None:
    """Not at the schedule's time, which would hold the lane up for longer."""
    since = NOW - timedelta(seconds=50)
    found = settled("transient", attempts=1, failing_since=since, lane_deadline_seconds=60.0)

    assert found.due_at == NOW + timedelta(seconds=10)
    assert later(found).failing_since == since


def test_a_try_that_fails_at_the_lane_deadline_sets_the_event_aside() -> None:
    """Tries are left, but those behind it have waited long enough."""
    since = NOW - timedelta(seconds=60)
    found = settled("rejected", failing_since=since, lane_deadline_seconds=60.0)

    (letter,) = written(found.records, "dead-letters")
    assert found.due_at is None
    assert DeadLetter.read(dict(letter.headers)).reason == (
        "lane deadline: failing since 2025-12-31T23:59:00Z: 1 tries, the last one rejected 500"
    )


def test_where_nobody_waits_there_is_no_lane_deadline() -> None:
    """An unordered subscription's deliveries keep all their tries."""
    since = NOW - timedelta(hours=1)
    wish: dict[str, Any] = {"order": "unordered", "lane_deadline_seconds": 60.0}

    assert settled("transient", failing_since=since, **wish).due_at == NOW + timedelta(seconds=5)


def test_an_expiring_delivery_moves_to_dead_letters_with_its_body() -> None:
    """Reason `expired`; without a body there is at least the delivery."""
    delivery = delivery_of("erp", EVENT, NOW)

    (letter,) = written(expire(KAFKA, 3, delivery, EVENT, NOW).records, "dead-letters")
    assert DeadLetter.read(dict(letter.headers)).reason == "expired"
    assert letter.value == b'{"a": 1.0}'

    (letter,) = written(expire(KAFKA, 3, delivery, None, NOW).records, "dead-letters")
    assert Delivery.model_validate_json(letter.value or b"") == delivery
