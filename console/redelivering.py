"""Events once more: the notifiers are asked, by a command that each partition's owner obeys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from bus import reading
from bus.clock import SystemClock
from bus.errors import Misuse
from bus.settings import KafkaSettings
from schemas.command import Command, Recover, Retry, Target
from schemas.message import iso
from schemas.subscription import WriteBackChannel
from schemas.topics import SUBSCRIPTIONS
from services.notifier.asking import ask
from services.notifier.channel import way_of
from services.notifier.explaining import delivered_since
from services.notifier.known import Known
from services.notifier.letters import Letter
from services.notifier.match import matcher_of
from services.notifier.recovering import beginning
from services.notifier.subscriptions import SubscriptionStore


async def redeliver(
    kafka: KafkaSettings, name: str, targets: Sequence[Target], *, force: bool = False
) -> Command:
    """One command for all of them, at most `TARGETS_MAX`; each partition's owner carries it out.

    `force`: also what the subscription does not want.  Raises Misuse when there is no such
    subscription, none that has deliveries, or too much was asked of it, RetryLater.
    """
    known = await _known(kafka)
    subscription = known.subscriptions.get(name)
    if subscription is None:
        raise Misuse(f"there is no subscription {name!r} any more, so nobody to deliver it to")
    if (way := way_of(subscription)) != "delivered":
        raise Misuse(
            f"events of {name} are {way}, not delivered one by one: "
            "POST /v1/subscriptions/ID/recover brings what is written again"
        )
    now = SystemClock().now()
    return await _ask(
        kafka,
        known,
        name,
        lambda number: Retry(
            subscription=name, number=number, created_at=now, targets=tuple(targets), force=force
        ),
    )


async def passed_over(
    kafka: KafkaSettings, name: str, letters: Mapping[str, Letter]
) -> dict[str, str]:
    """Why an event is not delivered again, for those of which that is so; letters by event id.

    Raises RetryLater.
    """
    subscription = (await _known(kafka)).subscriptions.get(name)
    if subscription is None:
        return {}
    asides = {event_id: letter.why.at for event_id, letter in letters.items()}
    delivered = await delivered_since(kafka, name, asides, SystemClock())
    matcher = matcher_of(subscription)
    reasons = {
        event_id: "; ".join(why_not)
        for event_id, letter in letters.items()
        if (why_not := matcher.why_not(letter.event))
    }
    sent = {event_id: f"it was delivered at {iso(at)}" for event_id, at in delivered.items()}
    return {event_id: f"{why}: --force sends it" for event_id, why in (reasons | sent).items()}


async def write_back(kafka: KafkaSettings, name: str, at: datetime | None) -> tuple[Command, bool]:
    """Every matching event since then is wanted once more by a write_back subscription.

    `at` None: since the oldest event that is kept.  Returns whether that is later than was asked,
    too.  Raises Misuse, RetryLater.
    """
    known, now = await _known(kafka), SystemClock().now()
    subscription = known.subscriptions.get(name)
    if subscription is None:
        raise Misuse(
            f"no notifier has run with the subscription {name!r} yet: start one with its "
            "[[subscriptions]] table, or say --dry-run"
        )
    if not isinstance(subscription.channel, WriteBackChannel):
        raise Misuse(
            f"subscription {name} has the channel {subscription.channel.type}, not write_back: "
            "its events come again by POST /v1/subscriptions/ID/recover"
        )
    offsets, shortened = await beginning(kafka, at, now)
    command = await _ask(
        kafka,
        known,
        name,
        lambda number: Recover(
            subscription=name, number=number, created_at=now, from_offsets=offsets
        ),
    )
    return command, shortened


async def _known(kafka: KafkaSettings) -> Known:
    known = Known()
    for key, value in (await reading.table(kafka, SUBSCRIPTIONS)).items():
        known.take(key, value)
    return known


async def _ask(
    kafka: KafkaSettings, known: Known, name: str, make: Callable[[int], Command]
) -> Command:
    commands, store = known.commands.get(name, {}), SubscriptionStore(kafka, SystemClock())
    numbered = [commands[number] for number in sorted(commands)]
    return await ask(kafka, store, known.subscriptions[name], numbered, make)
