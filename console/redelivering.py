"""Dead letters of deliveries: the notifiers are asked to deliver the events in them again."""

from __future__ import annotations

from collections.abc import Sequence

from bus import reading
from bus.clock import SystemClock
from bus.errors import Misuse
from bus.settings import KafkaSettings
from schemas.command import Command, Retry, Target
from schemas.topics import SUBSCRIPTIONS
from services.notifier.asking import ask
from services.notifier.known import Known
from services.notifier.subscriptions import SubscriptionStore


async def redeliver(kafka: KafkaSettings, name: str, targets: Sequence[Target]) -> Command:
    """One command for all of them, at most `TARGETS_MAX`; each partition's owner carries it out.

    Raises Misuse when there is no such subscription or too much was asked of it, RetryLater.
    """
    known = Known()
    for key, value in (await reading.table(kafka, SUBSCRIPTIONS)).items():
        known.take(key, value)
    subscription = known.subscriptions.get(name)
    if subscription is None:
        raise Misuse(f"there is no subscription {name!r} any more, so nobody to deliver it to")
    clock = SystemClock()
    commands = known.commands.get(name, {})
    return await ask(
        kafka,
        SubscriptionStore(kafka, clock),
        subscription,
        [commands[number] for number in sorted(commands)],
        lambda number: Retry(
            subscription=name, number=number, created_at=clock.now(), targets=tuple(targets)
        ),
    )
