"""Where a subscription stands in each partition, whoever owns it.  Reads, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bus.errors import RetryLater
from bus.settings import KafkaSettings
from bus.table import read_to_end, why_unreadable
from schemas.delivery import Delivery, Position, position_key
from schemas.keys import quoted
from schemas.subscription import Subscription
from schemas.topics import DELIVERIES
from services.notifier.holdings import Holdings

DECODED_AT_ONCE = 500  # before others have a turn


@dataclass(frozen=True, slots=True)
class Standing:
    """`unfinished` deliveries by event id, in the order of their events."""

    position: Position
    unfinished: dict[str, Delivery] = field(default_factory=dict)


async def standing(
    kafka: KafkaSettings,
    subscription: Subscription,
    partition: int,
    owned: Mapping[int, Holdings],
) -> Standing:
    """From memory where this copy owns the partition, else from the topic.  Raises RetryLater."""
    holdings = owned.get(partition)
    if holdings is not None and not holdings.unreadable(subscription.id):
        keys = [one.key for one in holdings.unfinished(subscription.id)]
        values = [value for key in keys if (value := holdings.value(key)) is not None]
        offset, command = holdings.position(subscription), holdings.command(subscription.id)
        position = Position(subscription=subscription.id, offset=offset, command=command)
        return Standing(position, await _decoded(values))
    folder = f"{quoted(subscription.id)}/"
    found: dict[str, bytes] = {}

    def take(key: str, value: bytes | None) -> None:
        if value is None:
            found.pop(key, None)
        elif key.startswith(folder):
            found[key] = value

    await read_to_end(kafka, kafka.topic(DELIVERIES), partition, take)
    known = found.pop(position_key(subscription.id), None)
    first = subscription.start_offsets.get(partition, 0)
    try:
        stored = Position.model_validate_json(known) if known else None
        deliveries = await _decoded(found.values())
    except ValueError as error:
        raise RetryLater(
            f"{kafka.topic(DELIVERIES)}/{partition}: a record of {subscription.id} cannot be read: "
            f"{why_unreadable(error)}; /health of the notifiers names it"
        ) from error
    return Standing(stored or Position(subscription=subscription.id, offset=first), deliveries)


async def standings(
    kafka: KafkaSettings, subscription: Subscription, owned: Mapping[int, Holdings]
) -> dict[int, Standing]:
    """Of every partition.  Raises RetryLater."""
    numbers = range(kafka.partition_count(DELIVERIES))
    found = await asyncio.gather(
        *(standing(kafka, subscription, number, owned) for number in numbers)
    )
    return dict(zip(numbers, found, strict=True))


async def _decoded(values: Iterable[bytes]) -> dict[str, Delivery]:
    found: list[Delivery] = []
    for count, value in enumerate(values, start=1):
        found.append(Delivery.model_validate_json(value))
        if not count % DECODED_AT_ONCE:
            await asyncio.sleep(0)
    return {one.event_id: one for one in sorted(found, key=lambda one: one.event_offset)}
