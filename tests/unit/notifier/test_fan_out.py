"""From events to deliveries, and from a try to what follows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.dead_letter import DeadLetter
from schemas.delivery import Attempt, Delivery, Outcome, Position
from schemas.events import Envelope
from schemas.subscription import LogChannel, Subscription
from services.notifier.channel import Result, Target
from services.notifier.events import Event
from services.notifier.fan_out import FanOut, delivery_of, fan_out
from services.notifier.match import matcher_of
from services.notifier.outlets import Outlet
from services.notifier.settlement import SUBSCRIPTION_HEADER, Settlement, expire, settle

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KAFKA = KafkaSettings(prefix="t")


def event(offset: int, lane: str = "zentail/acme/order/1", *, backfill: bool = False) -> Event:
    headers = {
        "ce_id": f"evt_{offset}",
        "ce_type": "package.shipped",
        "ce_partitionkey": lane,
        "ce_time": "2025-12-31T00:00:00Z",
    }
    pairs = tuple((name, value.encode()) for name, value in headers.items())
    return Event(offset, NOW, lane, pairs, Envelope.read(dict(pairs), b'{"a": 1.0}'), backfill)


def subscription(name: str = "erp", **values: Any) -> Subscription:
    return Subscription.model_validate(
        {
            "id": name,
            "types": ("package.shipped",),
            "channel": LogChannel(),
            "start_offsets": {},
            "created_at": NOW,
            **values,
        }
    )


def outlet(wish: Subscription, target: Target | None = None) -> Outlet:
    return Outlet(wish, matcher_of(wish), target)


def made(
    events: list[Event],
    positions: Mapping[str, int],
    *,
    pending: frozenset[str] = frozenset(),
    **wish: Any,
) -> FanOut:
    return fan_out(
        KAFKA,
        3,
        events,
        10,
        outlets=[outlet(subscription(name, **wish)) for name in positions],
        positions={
            name: Position(subscription=name, offset=offset) for name, offset in positions.items()
        },
        is_pending=pending.__contains__,
        now=NOW,
    )


def written(records: list[Record], topic: str) -> list[Record]:
    return [record for record in records if record.topic == f"t.{topic}"]


def test_each_subscription_gets_each_event_and_its_position_moves_along() -> None:
    """Deliveries and positions of one batch stand in one transaction, on one partition."""
    found = made([event(4), event(5)], {"erp": 4, "crm": 5})

    keys = [record.key for record in found.transaction.records]
    assert keys == ["erp/evt_4", "erp/evt_5", "crm/evt_5", "erp/position", "crm/position"]
    assert {record.partition for record in found.transaction.records} == {3}
    position = Position.model_validate_json(found.transaction.records[3].value or b"")
    assert position.offset == 10
    assert {name: one.offset for name, one in found.positions.items()} == {"erp": 10, "crm": 10}
    assert [one.event_offset for one in found.pending] == [4, 5, 5]


def test_a_batch_that_comes_twice_gives_nothing_twice() -> None:
    """The position decides."""
    assert made([event(4), event(5)], {"erp": 10}).transaction.records == []


def test_a_delivery_still_pending_is_not_begun_again() -> None:
    """Its tries and its due time would be lost."""
    found = made([event(4), event(4)], {"erp": 0}, pending=frozenset({"erp/evt_4"}))

    assert found.pending == []
    assert [record.key for record in found.transaction.records] == ["erp/position"]


def test_an_old_fact_is_passed_over_unless_wanted() -> None:
    """The position moves past it all the same."""
    assert made([event(4, backfill=True)], {"erp": 0}).pending == []
    assert len(made([event(4, backfill=True)], {"erp": 0}, backfill=True).pending) == 1


def settled(outcome: Outcome, attempts: int = 0, retry_after: float | None = None) -> Settlement:
    delivery = delivery_of("erp", event(4), NOW).model_copy(update={"attempts": attempts})
    return settle(
        KAFKA,
        3,
        delivery,
        event(4),
        Result(outcome, status_code=500, retry_after_seconds=retry_after, duration_ms=7),
        started_at=NOW,
        now=NOW,
        schedule_seconds=(5.0, 300.0),
        chance=0.5,
    )


def test_a_delivered_event_leaves_an_attempt_and_no_delivery() -> None:
    """The attempt is logged in the transaction that ends the delivery."""
    found = settled("delivered")

    (attempt,) = written(found.records, "attempts")
    assert Attempt.model_validate_json(attempt.value or b"").number == 1
    assert [record.value for record in written(found.records, "deliveries")] == [None]
    assert found.due_at is None
    assert not found.exhausted


def test_a_failed_try_is_counted_and_due_again() -> None:
    """The attempt says when the next one comes."""
    found = settled("transient", attempts=1)

    (attempt,) = written(found.records, "attempts")
    (delivery,) = written(found.records, "deliveries")
    assert Delivery.model_validate_json(delivery.value or b"").attempts == 2
    assert found.due_at == NOW + timedelta(seconds=300)
    assert Attempt.model_validate_json(attempt.value or b"").next_at == found.due_at


def test_our_own_fault_costs_the_endpoint_no_try() -> None:
    """A secret that cannot be read is not the subscriber's failure."""
    (delivery,) = written(settled("interrupted", attempts=2).records, "deliveries")

    assert Delivery.model_validate_json(delivery.value or b"").attempts == 2


@pytest.mark.parametrize("outcome", ["transient", "rejected", "redirect", "busy", "blocked"])
def test_the_last_failure_sets_the_event_aside_untouched(outcome: Outcome) -> None:
    """Body byte for byte, its own headers, why, where from, and for whom."""
    found = settled(outcome, attempts=2)

    (letter,) = written(found.records, "dead-letters")
    headers = dict(letter.headers)
    assert (letter.partition, letter.key, letter.value) == (3, event(4).key, b'{"a": 1.0}')
    assert DeadLetter.read(headers).origin == "t.events/3/4"
    assert DeadLetter.read(headers).account == "acme"
    assert headers[SUBSCRIPTION_HEADER] == b"erp"
    assert headers["ce_id"] == b"evt_4"
    assert [record.value for record in written(found.records, "deliveries")] == [None]
    assert found.exhausted


def test_a_gone_endpoint_keeps_its_delivery_whatever_was_tried() -> None:
    """It is held until the endpoint is enabled again."""
    found = settled("gone", attempts=9)

    assert found.due_at == NOW
    assert written(found.records, "dead-letters") == []


def test_an_expiring_delivery_moves_to_dead_letters_with_its_body() -> None:
    """Reason `expired`; without a body there is at least the delivery."""
    delivery = delivery_of("erp", event(4), NOW)

    (letter,) = written(expire(KAFKA, 3, delivery, event(4), NOW).records, "dead-letters")
    assert DeadLetter.read(dict(letter.headers)).reason == "expired"
    assert letter.value == b'{"a": 1.0}'

    (letter,) = written(expire(KAFKA, 3, delivery, None, NOW).records, "dead-letters")
    assert Delivery.model_validate_json(letter.value or b"") == delivery
