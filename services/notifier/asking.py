"""Asks the owners of all partitions for something: a command record, if not too many wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bus.errors import Misuse
from bus.settings import KafkaSettings
from schemas.command import Command
from services.notifier.commands import WAITING_MAX
from services.notifier.history import positions
from services.notifier.subscriptions import SubscriptionStore


async def ask(
    kafka: KafkaSettings,
    store: SubscriptionStore,
    subscription: str,
    known: Sequence[Command],
    make: Callable[[int], Command],
    *,
    waiting_max: int = WAITING_MAX,
) -> Command:
    """Append the command; `known` are those there already, and the done ones of many go.

    Raises Misuse when `waiting_max` of them wait, RetryLater.
    """
    if len(known) >= waiting_max:
        found = (await positions(kafka, subscription)).values()
        noted = min(position.command if position else 0 for position in found)
        done = [command for command in known if command.number <= noted]
        if len(known) - len(done) >= waiting_max:
            raise Misuse(
                f"{waiting_max} commands of {subscription} wait to be carried out, so this one "
                "was not taken: try again once the notifiers have worked on them"
            )
        await store.forget(done)
    return await store.append(subscription, make)
