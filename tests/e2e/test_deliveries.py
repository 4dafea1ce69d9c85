"""Deliveries while the copies of the notifier are killed: nothing lost, nothing out of order."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bus.admin import ensure_topics
from bus.clock import SystemClock
from bus.settings import KafkaSettings
from bus.transaction import Transaction, Writer
from schemas.topics import DEAD_LETTERS
from services.notifier.gate import UNSETTLED_FACTOR
from testbed.receiver import Receiver
from tests.broker.notifying import SECRET, attempts, event_record, unfinished
from tests.broker.reading import records, until
from tests.e2e.copies import (
    IN_FLIGHT_MAX,
    NOTIFIER_CONFIG,
    Copy,
    copies,
    nothing_pending,
    surroundings,
)
from tests.soak import sized

ORDERS, REVISIONS = sized(200, 1_000), 10  # an event for each revision of each order
ORDERS_AT_ONCE = 50  # all their events in one transaction, so that those of an order stand close
SUBSCRIPTIONS = ("erp", "wms")
DELIVERIES = ORDERS * REVISIONS * len(SUBSCRIPTIONS)
AHEAD = 1_500  # receipts missing of what was emitted when more is emitted
SEED = 7
KILLS_EACH = 3
FAILING_ORDERS = 50  # at each kill, so that a new owner finds retries
MINUTES_MAX = 8.0
SUBSCRIPTION = """
[[subscriptions]]
name = "{name}"
types = ["package.*"]
start_from = "earliest"
channel = {{ type = "webhook", url = "{url}/hooks", secret = "env:HOOK_SECRET" }}
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(MINUTES_MAX * 60)]


@dataclass(frozen=True, slots=True)
class Kill:
    """After so many receipts, counted over all receivers, this copy is killed."""

    receipts: int
    copy: int


def plan(seed: int) -> list[Kill]:
    """Each copy equally often, at any time."""
    chance = Random(seed)
    victims = [0, 1] * KILLS_EACH
    chance.shuffle(victims)
    moments = sorted(chance.sample(range(AHEAD, DELIVERIES - AHEAD), len(victims)))
    return [Kill(receipts, copy) for receipts, copy in zip(moments, victims, strict=True)]


async def test_nothing_is_lost_and_order_holds_while_copies_are_killed(
    kafka: str,
    prefix: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """kill -9 of each of two copies at random during 20,000 deliveries to two subscribers."""
    settings = KafkaSettings(bootstrap_servers=kafka, prefix=prefix)
    await ensure_topics(settings, SystemClock())
    around = surroundings(kafka, prefix)
    receivers = {name: Receiver(SECRET) for name in SUBSCRIPTIONS}
    async with receivers["erp"].serve() as erp, receivers["wms"].serve() as wms:
        write_config(tmp_path, {"erp": erp, "wms": wms})
        async with copies("notifier", 2, tmp_path, around, started=2) as both:
            emitting = asyncio.create_task(emitted(settings, list(receivers.values())))
            await killed(both, list(receivers.values()))
            await emitting
            await until(lambda: all(map(complete, receivers.values())), MINUTES_MAX * 60)
            await until(lambda: nothing_pending(both), MINUTES_MAX * 60)
            codes = [await one.stop() for one in both]

    assert codes == [0, 0]
    assert await unfinished(settings) == set()
    assert await records(settings, DEAD_LETTERS) == []
    told = Counter(
        (one.subscription, one.event_id)
        for one in await attempts(settings)
        if one.outcome == "delivered"
    )
    assert (len(told), set(told.values())) == (DELIVERIES, {1})
    expected = {order: list(range(1, REVISIONS + 1)) for order in range(ORDERS)}
    # What an owner has tried and not written when it goes is tried again by the next one.
    takeovers = sum(one.log.read_text().count('"consumer.taken_over"') for one in both)
    again_max = takeovers * UNSETTLED_FACTOR * IN_FLIGHT_MAX
    for name, receiver in receivers.items():
        assert first_receipts(receiver) == expected
        again = receiver.stats()["redelivered"]
        record_property("figures", ["deliveries under kill -9", "again", name, f"{again}"])
        assert again <= again_max
        assert receiver.unverifiable_count == 0


def write_config(folder: Path, urls: dict[str, str]) -> None:
    """Both subscriptions."""
    tables = [SUBSCRIPTION.format(name=name, url=url) for name, url in urls.items()]
    text = "".join([NOTIFIER_CONFIG, *tables])
    (folder / "shipfeed.toml").write_text(text, encoding="utf-8")


def received(receivers: Sequence[Receiver], count: int) -> bool:
    """Whether so many requests came to all of them, repeats and failed ones too."""
    return sum(len(receiver.records) for receiver in receivers) >= count


async def emitted(settings: KafkaSettings, receivers: Sequence[Receiver]) -> None:
    """Every event, a few orders after the other, so that there is always work."""
    writer = Writer(settings, f"{settings.prefix}.test")
    await writer.start()
    try:
        for first in range(0, ORDERS, ORDERS_AT_ONCE):
            due = first * REVISIONS * len(receivers) - AHEAD
            await until(partial(received, receivers, due), MINUTES_MAX * 60)
            made = product(range(1, REVISIONS + 1), range(first, first + ORDERS_AT_ONCE))
            events = [event_record(settings, order, revision) for revision, order in made]
            await writer.commit(Transaction(events))
    finally:
        await writer.close()


async def killed(both: Sequence[Copy], receivers: Sequence[Receiver]) -> None:
    """As planned; a killed copy is started again at once.

    At each kill the next tries of orders that are about to be told of begin to fail.
    """
    for kill in plan(SEED):
        await until(partial(received, receivers, kill.receipts), MINUTES_MAX * 60)
        now = kill.receipts // (REVISIONS * len(receivers))
        for receiver in receivers:
            orders = range(now, now + FAILING_ORDERS)
            receiver.behavior.add([failing(order) for order in orders])
        await both[kill.copy].kill()
        await both[kill.copy].start()


def failing(order: int) -> dict[str, Any]:
    """The next two tries of an order's events, with an answer that opens no breaker."""
    return {"name": "status", "status": 409, "count": 2, "match": f"pkg_{order}_"}


def complete(receiver: Receiver) -> bool:
    """Whether every event was answered with success."""
    count = ORDERS * REVISIONS
    if len(receiver.records) < count:
        return False
    return len({one["webhook_id"] for one in receiver.records if one["status"] == 200}) == count


def first_receipts(receiver: Receiver) -> dict[int, list[int]]:
    """Revisions of each order as their webhook-ids came for the first time, failed or not.

    A fact under a second id would come up as a revision that is there twice.
    """
    found: dict[int, list[int]] = defaultdict(list)
    seen: set[str] = set()
    for one in receiver.records:
        if one["webhook_id"] not in seen:
            seen.add(one["webhook_id"])
            _, order, revision = one["event"]["subject"].split("_")
            found[int(order)].append(int(revision))
    return dict(found)
