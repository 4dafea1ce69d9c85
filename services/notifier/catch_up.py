"""Brings subscriptions that are behind up to the live offset, at a bounded rate.

New, late-seen, enabled again, held back by backpressure: all are "position behind".  A subscription
is either behind or live, never both, so its lanes see events in order and each event once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from bus.clock import Clock
from schemas.subscription import Subscription
from services.notifier.channel import way_of
from services.notifier.endpoints import Endpoints
from services.notifier.events import CHUNK_RECORDS_MAX, Event, EventReader
from services.notifier.fan_out import fan_out
from services.notifier.holdings import Holdings
from services.notifier.outlets import Outlet, Outlets
from services.notifier.settlement import not_fanned_out
from services.notifier.waking import Waking

CHUNK_PAUSE_SECONDS = 0.05  # between chunks: at most 10,000 events/s in one partition
IDLE_SECONDS_MAX = 0.5  # how late room, or Kafka being back, may be seen

log = structlog.get_logger(__name__)


class CatchUp:
    """Works on one partition; `wake` is called when deliveries were added."""

    def __init__(
        self,
        holdings: Holdings,
        reader: EventReader,
        endpoints: Endpoints,
        outlets: Outlets,
        *,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._holdings = holdings
        self._reader = reader
        self._endpoints = endpoints
        self._outlets = outlets
        self._clock = clock
        self._wake = wake
        self._waking = Waking()

    def wake(self) -> None:
        """Something changed: somebody may be behind."""
        self._waking.wake()

    async def run(self) -> None:
        """Until canceled.  Raises RetryLater when a write failed."""
        while True:
            self._waking.look_again()
            moved = False
            for subscription in self._endpoints.advancing():
                moved |= await self._advance(subscription)
            if moved:
                await self._clock.sleep(CHUNK_PAUSE_SECONDS)
                continue
            await self._waking.rest(IDLE_SECONDS_MAX)

    async def _advance(self, subscription: Subscription) -> bool:
        """One chunk, if it is behind and has room.  Returns whether its position moved."""
        holdings, outlet = self._holdings, self._outlets.seek(subscription)
        if outlet is None or not holdings.behind(subscription):
            return False
        if holdings.unreadable(subscription.id):
            return False
        count_max = CHUNK_RECORDS_MAX
        if outlet.sink is None:  # what is written takes no room
            room = holdings.room(subscription.id, sharers(self._endpoints))
            count_max = min(count_max, room)
        if count_max <= 0:
            return False
        start = holdings.position(subscription)
        if holdings.live - start > count_max:
            events, end = await self._reader.chunk(start, count_max)
            async with holdings.lock:
                return await self._take(outlet, start, events, end)
        async with holdings.lock:
            # The last stretch: with the live side standing still it cannot run away again.
            start = holdings.position(subscription)
            events, end = await self._reader.chunk(start, count_max)
            return await self._take(outlet, start, events, end)

    async def _take(self, outlet: Outlet, start: int, events: Sequence[Event], end: int) -> bool:
        holdings, subscription = self._holdings, outlet.subscription
        if end <= start or holdings.position(subscription) != start:
            return False
        made = fan_out(
            holdings.kafka,
            holdings.partition,
            events,
            end,
            outlets=[outlet],
            positions={subscription.id: start},
            is_pending=holdings.is_pending,
            now=self._clock.now(),
        )
        made.transaction.records.extend(
            not_fanned_out(holdings.kafka, holdings.partition, one, self._clock.now())
            for one in made.failed
        )
        self._outlets.judged([outlet], made.held)
        if made.held:
            return False
        self._reader.keep(made.events)
        await holdings.commit_fan_out(made)
        self._wake()
        if not holdings.behind(subscription):
            log.info(
                "notifier.subscription_caught_up",
                subscription=subscription.id,
                partition=holdings.partition,
                offset=end,
            )
        return True


def sharers(endpoints: Endpoints) -> int:
    """How many subscriptions share the room for unfinished deliveries."""
    return sum(way_of(found) == "delivered" for found in endpoints.all())
