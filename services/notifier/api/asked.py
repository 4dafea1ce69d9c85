"""What routes about deliveries have in common: the subscription, and asking for a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated

from fastapi import Path, Query
from pydantic import BaseModel

from schemas.command import Command
from schemas.message import Instant
from schemas.subscription import Subscription
from schemas.topics import EVENTS, Topic
from services.notifier.api.context import Context
from services.notifier.api.problems import Problem
from services.notifier.asking import ask
from services.notifier.channel import way_of
from services.notifier.explaining import Place, locate
from services.notifier.history import Standing, standings
from services.notifier.holdings import Holdings
from services.notifier.searching import PLACE_PATTERN, read, since

WHOLE_MAX = 2**53  # what every JSON reader keeps exact; OpenAPI documents say bounds in floats

Id = Annotated[str, Path(pattern=r"^[a-z0-9-]{1,64}$", description="of the subscription")]
EventId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,128}$", description="of the event")]
Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[
    str | None, Query(pattern=PLACE_PATTERN, max_length=20_000, description="`next` of before")
]
Since = Annotated[Instant | None, Query(description="left out: from the oldest that is kept")]

PartitionNumber = Annotated[int | None, Query(ge=0, le=10_000, description="of its event")]
Offset = Annotated[int | None, Query(ge=0, le=WHOLE_MAX, description="of its event")]

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


async def located(
    context: Context, found: Subscription, event_id: str, partition: int | None, offset: int | None
) -> Place:
    """Where the event stands: as was said, else where it is found.

    Raises Problem when it is not found, RetryLater.
    """
    if partition is not None and offset is not None:
        if partition >= context.kafka.partition_count(EVENTS):
            raise Problem(422, "Invalid request", f"events has no partition {partition}")
        return Place(partition, offset)
    places = await standing_everywhere(context, found)
    place = await locate(context.kafka, found.id, event_id, places, context.clock)
    if place is None:
        raise Problem(404, "Not found", f"no topic knows the event {event_id}, or not any more")
    return place


async def start_of(
    context: Context, topic: Topic, cursor: str | None, at: datetime | None
) -> dict[int, int]:
    """Where a read begins: behind the cursor, else at the instant.  Raises Misuse, RetryLater."""
    if cursor is not None:
        return read(cursor, context.kafka, topic)
    return {} if at is None else await since(context.kafka, topic, int(at.timestamp() * 1000))
