"""Asks the owners of all partitions for something: a command record, if not too many wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bus.errors import Misuse
from bus.settings import KafkaSettings
from schemas.command import Command
from schemas.subscription import Subscription
from services.notifier.commands import WAITING_MAX
from services.notifier.history import standings
from services.notifier.holdings import Holdings
from services.notifier.subscriptions import SubscriptionStore


async def ask(
    kafka: KafkaSettings,
    store: SubscriptionStore,
    subscription: Subscription,
    known: Sequence[Command],
    make: Callable[[int], Command],
    *,
    owned: Mapping[int, Holdings] | None = None,
    waiting_max: int = WAITING_MAX,
) -> Command:
    """Append the command; `known` are those there already, and the done ones of many go.

    Raises Misuse when `waiting_max` of them wait, RetryLater.
    """
    if len(known) >= waiting_max:
        found = await standings(kafka, subscription, owned or {})
        noted = min(one.position.command for one in found.values())
        done = [command for command in known if command.number <= noted]
        if len(known) - len(done) >= waiting_max:
            raise Misuse(
                f"{waiting_max} commands of {subscription.id} wait to be carried out, so this one "
                "was not taken: try again once the notifiers have worked on them"
            )
        await store.forget(done)
    return await store.append(subscription.id, make)
