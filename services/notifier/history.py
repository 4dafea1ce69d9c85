"""What the topics say of one subscription, whoever owns their partitions.  Reads, and no more."""

from __future__ import annotations

import asyncio

from bus.settings import KafkaSettings
from bus.table import read_to_end
from schemas.delivery import Delivery, Position, position_key
from schemas.keys import quoted
from schemas.topics import DELIVERIES


async def positions(kafka: KafkaSettings, subscription: str) -> dict[int, Position | None]:
    """By partition; None where nothing was looked at yet.  Raises RetryLater."""
    wanted, topic = position_key(subscription), kafka.topic(DELIVERIES)
    found: dict[int, Position | None] = dict.fromkeys(range(kafka.partition_count(DELIVERIES)))

    async def look(partition: int) -> None:
        def take(key: str, value: bytes | None) -> None:
            if key == wanted:
                found[partition] = Position.model_validate_json(value) if value else None

        await read_to_end(kafka, topic, partition, take)

    await asyncio.gather(*map(look, found))
    return found


async def unfinished(kafka: KafkaSettings, subscription: str, partition: int) -> list[Delivery]:
    """Its unfinished deliveries there, in the order of their events.  Raises RetryLater."""
    folder, position = f"{quoted(subscription)}/", position_key(subscription)
    values: dict[str, bytes] = {}

    def take(key: str, value: bytes | None) -> None:
        if not key.startswith(folder) or key == position:
            return
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value

    await read_to_end(kafka, kafka.topic(DELIVERIES), partition, take)
    found = [Delivery.model_validate_json(value) for value in values.values()]
    return sorted(found, key=lambda one: one.event_offset)
