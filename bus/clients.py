"""Starting a Kafka client so that nothing stays behind, whatever happens meanwhile.

aiokafka closes a half-open connection when its start fails, not when it is canceled; a takeover
that is called off would leak one each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

START_SECONDS_MAX = 5.0  # for a start that was called off to come to its end


class Client(Protocol):
    """What aiokafka's producers and consumers have in common."""

    async def start(self) -> None:
        """Connect."""


async def started(client: Client) -> None:
    """Start it; when canceled, let the start end first, so that the caller's `stop` finds all."""
    starting = asyncio.ensure_future(client.start())
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait({starting}, timeout=START_SECONDS_MAX)
        if not starting.cancel() and not starting.cancelled():
            starting.exception()  # looked at, so that nobody warns of it
        raise


def look_at(consumer: AIOKafkaConsumer, places: Collection[TopicPartition]) -> None:
    """Assign `places` to a consumer that only asks for offsets; it fetches nothing.

    aiokafka answers the first question about a topic it was not assigned only after a retry
    backoff of 100 ms.
    """
    consumer.assign(places)
    consumer.pause(*places)
    for place in places:
        consumer.seek(place, 0)  # else it asks the broker where to begin
