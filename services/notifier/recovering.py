"""What a recover would bring again: counted before anything moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bus.clock import Clock
from bus.settings import KafkaSettings
from schemas.subscription import Subscription
from schemas.topics import EVENTS
from services.notifier.events import events_of
from services.notifier.expiry import EXPIRY_MARGIN_SECONDS
from services.notifier.history import Standing
from services.notifier.match import matcher_of
from services.notifier.searching import Search, ends, since
from services.notifier.settings import events_retention_seconds


@dataclass(slots=True)
class Counted:
    """Events from there on that the subscription wants, as of now.

    `again` had been passed and are not unfinished: what recover adds to what comes anyway.
    `complete`: False when time was up first, so that there are at least so many.
    """

    matching: int = 0
    again: int = 0
    complete: bool = False


async def count(
    kafka: KafkaSettings,
    subscription: Subscription,
    from_offsets: Mapping[int, int],
    standings: Mapping[int, Standing],
    clock: Clock,
) -> Counted:
    """Reads every event from there on.  Raises RetryLater."""
    # A partition that is not asked about begins at its end.
    search = Search(kafka, EVENTS, clock, starts={**await ends(kafka, EVENTS), **from_offsets})
    matcher, counted = matcher_of(subscription), Counted()
    async for record in search.records():
        if record.offset < from_offsets.get(record.partition, record.offset + 1):
            continue
        known = standings[record.partition]
        for event in matcher.wanted(events_of([record])[0], 0):
            counted.matching += 1
            passed = event.offset < known.position.offset
            counted.again += passed and event.envelope.id not in known.unfinished
    counted.complete = search.complete
    return counted


async def oldest_safe(kafka: KafkaSettings, now: datetime) -> dict[int, int]:
    """By partition, the first event that is not about to be forgotten.  Raises RetryLater."""
    kept = timedelta(seconds=events_retention_seconds(kafka) - EXPIRY_MARGIN_SECONDS)
    return await since(kafka, EVENTS, int((now - kept).timestamp() * 1000))


async def beginning(
    kafka: KafkaSettings, at: datetime | None, now: datetime
) -> tuple[dict[int, int], bool]:
    """As `bounded`, from an instant on; None: from the oldest that is safe.  Raises RetryLater."""
    oldest = await oldest_safe(kafka, now)
    wished = oldest if at is None else await since(kafka, EVENTS, int(at.timestamp() * 1000))
    return bounded(wished, oldest)


def bounded(
    wished: Mapping[int, int], oldest_safe: Mapping[int, int]
) -> tuple[dict[int, int], bool]:
    """Where a recover may begin: what is about to be forgotten would be set aside at once.

    Returns whether that is later than what was wished for somewhere.
    """
    offsets = {number: max(first, oldest_safe[number]) for number, first in wished.items()}
    return offsets, offsets != dict(wished)
