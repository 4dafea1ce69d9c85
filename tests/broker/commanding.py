"""Commands for the subscription `erp`, and what came of them."""

from __future__ import annotations

from collections import Counter

from bus.clock import SystemClock
from bus.settings import KafkaSettings
from schemas.command import Command, Recover, Retry, Target
from schemas.delivery import Position, position_key
from schemas.topics import DEAD_LETTERS, DELIVERIES, EVENTS
from services.notifier.app import Notifier
from services.notifier.subscriptions import SubscriptionStore
from testbed.receiver import Receiver
from tests.broker.reading import records, until


async def recover(kafka: KafkaSettings, **from_offsets: int) -> Command:
    """All of it again, or from an offset of some partitions, as `p3=7`."""
    everywhere = dict.fromkeys(range(kafka.partition_count(EVENTS)), 0)
    offsets = {int(name[1:]): offset for name, offset in from_offsets.items()} or everywhere
    store, now = SubscriptionStore(kafka, SystemClock()), SystemClock().now()
    return await store.append(
        "erp",
        lambda number: Recover(
            subscription="erp", number=number, created_at=now, from_offsets=offsets
        ),
    )


async def retry(kafka: KafkaSettings, *targets: Target) -> Command:
    """These, or all that are unfinished."""
    store, now = SubscriptionStore(kafka, SystemClock()), SystemClock().now()
    return await store.append(
        "erp",
        lambda number: Retry(subscription="erp", number=number, created_at=now, targets=targets),
    )


async def noted(kafka: KafkaSettings, command: Command) -> bool:
    """Whether every partition has carried it out."""
    newest: dict[int, int] = {}
    for record in await records(kafka, DELIVERIES):
        if record.key.decode() == position_key("erp"):
            newest[record.partition] = Position.model_validate_json(record.value).command
    return [found >= command.number for found in newest.values()].count(True) == 6


async def targets(kafka: KafkaSettings, *subjects: str) -> list[Target]:
    """Where these events stand."""
    return [
        Target(
            partition=one.partition,
            event_id=dict(one.headers)["ce_id"].decode(),
            event_offset=one.offset,
        )
        for one in await records(kafka, EVENTS)
        if dict(one.headers)["ce_subject"].decode() in subjects
    ]


def receipts(receiver: Receiver) -> Counter[str]:
    """How often each webhook-id was taken."""
    return Counter(r["webhook_id"] for r in receiver.records if r["status"] == 200)


async def idle(service: Notifier, kafka: KafkaSettings, command: Command) -> None:
    """Until it is carried out, and what came of it is delivered."""
    await until(lambda: noted(kafka, command))
    await until(lambda: service.health()["pending"] == 0)


async def letters(kafka: KafkaSettings, count: int) -> bool:
    """Whether there are so many dead letters."""
    return len(await records(kafka, DEAD_LETTERS)) == count
