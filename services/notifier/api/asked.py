"""What routes about deliveries have in common: the subscription, and asking for a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

from fastapi import Path, Query
from pydantic import BaseModel

from schemas.command import Command
from schemas.message import Instant
from schemas.subscription import Subscription
from services.notifier.api.context import Context
from services.notifier.api.problems import Problem
from services.notifier.asking import ask
from services.notifier.channel import way_of
from services.notifier.history import Standing, standings
from services.notifier.holdings import Holdings
from services.notifier.searching import PLACE_PATTERN

Id = Annotated[str, Path(pattern=r"^[a-z0-9-]{1,64}$", description="of the subscription")]
EventId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,128}$", description="of the event")]
Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[
    str | None, Query(pattern=PLACE_PATTERN, max_length=20_000, description="`next` of before")
]
Since = Annotated[Instant | None, Query(description="left out: from the oldest that is kept")]

LIMIT = 100


class Asked(BaseModel):
    """`command`: its number; `/subscriptions/ID/commands/NUMBER` tells how far it is."""

    command: int


def known(context: Context, name: str) -> Subscription:
    """Raises Problem when there is none."""
    found = context.endpoints.get(name)
    if found is None:
        raise Problem(404, "Not found", f"there is no subscription {name!r}")
    return found


def delivered(context: Context, name: str) -> Subscription:
    """One that has deliveries.  Raises Problem."""
    found = known(context, name)
    if (way := way_of(found)) != "delivered":
        raise Problem(
            409,
            "Conflict",
            f"events of {name} are {way}, not delivered one by one: "
            + ("recover brings them again" if way == "written" else "read them again by cursor"),
        )
    return found


def holdings(context: Context) -> Mapping[int, Holdings]:
    """Of the partitions that this copy owns."""
    return {number: one.holdings for number, one in context.owned().items()}


async def standing_everywhere(context: Context, found: Subscription) -> dict[int, Standing]:
    """In memory or on the topic.  Raises RetryLater."""
    return await standings(context.kafka, found, holdings(context))


async def order(context: Context, found: Subscription, make: Callable[[int], Command]) -> Asked:
    """Have it carried out.  Raises Misuse when too many wait, RetryLater."""
    command = await ask(
        context.kafka,
        context.store,
        found,
        context.endpoints.commands(found.id),
        make,
        owned=holdings(context),
    )
    return Asked(command=command.number)
