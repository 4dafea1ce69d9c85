"""Whether everything that happened upstream has reached the subscriber, judged from Kafka alone."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from aiokafka.errors import KafkaError

from bus.settings import KafkaSettings
from console import reading
from schemas.cursor import Cursor
from schemas.topics import CURSORS, DELIVERIES, EVENTS, RAW

CHECK_SECONDS = 0.5


async def settled(
    kafka: KafkaSettings, ended_at: datetime, margin_seconds: float, still: list[str]
) -> None:
    """Returns once nothing is on its way; until then `still` says what is, in words.

    The caller has the deadline.
    Settled: every stream has ended a poll at least `margin_seconds` after the world stood still,
    no group has unread records and no delivery is pending.
    """
    since = ended_at + timedelta(seconds=margin_seconds)
    while True:
        try:
            found = await _unsettled(kafka, since)
        except (KafkaError, TimeoutError) as error:
            found = [f"Kafka: {error!r}"]
        still[:] = found
        if not found:
            return
        await asyncio.sleep(CHECK_SECONDS)


async def _unsettled(kafka: KafkaSettings, since: datetime) -> list[str]:
    cursors = await _cursors(kafka)
    found = [] if cursors else ["the first poll"]
    found += [
        f"a poll of {cursor.account}/{cursor.stream}"
        for cursor in cursors
        if not cursor.done and (cursor.succeeded_at is None or cursor.succeeded_at < since)
    ]
    for topic, service in ((RAW, "normalizer"), (EVENTS, "notifier")):
        count = await reading.unread(kafka, topic, f"{kafka.prefix}.{service}")
        found += [f"{count} records for the {service}"] if count else []
    deliveries = await reading.table(kafka, DELIVERIES)
    pending = sum(not key.endswith("/position") for key in deliveries)
    found += [f"{pending} deliveries"] if pending else []
    return found


async def _cursors(kafka: KafkaSettings) -> list[Cursor]:
    values = await reading.table(kafka, CURSORS)
    return [
        Cursor.model_validate_json(value)
        for key, value in values.items()
        if key.startswith("cursor/")
    ]
