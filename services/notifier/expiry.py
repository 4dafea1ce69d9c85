"""What the events topic is about to forget: set aside in time, body and all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import takewhile

import structlog

from bus.clock import Clock
from bus.telemetry import SET_ASIDE
from schemas.subscription import Subscription
from services.notifier.channel import way_of
from services.notifier.endpoints import Endpoints
from services.notifier.events import EventReader
from services.notifier.fan_out import FanOut, delivery_of
from services.notifier.holdings import Holdings
from services.notifier.lanes import Pending
from services.notifier.match import matcher_of
from services.notifier.settlement import SERVICE, dead_letter

EXPIRY_MARGIN_SECONDS = 48 * 3600.0
EXPIRY_INTERVAL_SECONDS = 60.0
EXPIRED_LANES_MAX = 500  # heads moved aside in one round

log = structlog.get_logger(__name__)


class Expiry:
    """Moves aside what the events topic is about to forget, `EXPIRY_MARGIN_SECONDS` before."""

    def __init__(
        self,
        holdings: Holdings,
        reader: EventReader,
        endpoints: Endpoints,
        clock: Clock,
        *,
        retention_seconds: float,
    ) -> None:
        self._holdings = holdings
        self._reader = reader
        self._endpoints = endpoints
        self._clock = clock
        self._kept_seconds = retention_seconds - EXPIRY_MARGIN_SECONDS

    async def run(self, set_aside: Callable[[Pending], None]) -> None:
        """Until canceled; `set_aside(pending)` for each delivery.  Raises RetryLater."""
        while True:
            limit = self._clock.now() - timedelta(seconds=self._kept_seconds)
            for pending in self._holdings.lanes.aged(limit, EXPIRED_LANES_MAX):
                set_aside(pending)
            for subscription in self._endpoints.all():
                moved = True
                while moved:  # chunk by chunk, so that live batches come in between
                    async with self._holdings.lock:
                        moved = await self._pass(subscription, limit)
            await self._clock.sleep(EXPIRY_INTERVAL_SECONDS)

    async def _pass(self, subscription: Subscription, limit: datetime) -> bool:
        """One chunk of what a standing position has not passed goes to dead-letters.

        Returns whether the position moved, so that there may be more.
        """
        holdings = self._holdings
        if way_of(subscription) == "served" or not holdings.behind(subscription):
            return False
        if not holdings.position_known(subscription.id):
            return False
        position = holdings.position(subscription)
        start = max(position, await self._reader.first())
        if position < start:
            log.warning(
                "notifier.events_lost",
                subscription=subscription.id,
                partition=holdings.partition,
                position=position,
                log_start=start,
                count_max=start - position,  # transaction markers take offsets too
            )
        events, after = await self._reader.chunk(start)
        old = list(takewhile(lambda event: event.at <= limit, events))
        # Where nothing can be read there is nothing to keep either.
        end = after if len(old) == len(events) else events[len(old)].offset
        if end <= position:
            return False
        made, now = FanOut(positions={subscription.id: end}), self._clock.now()
        for event in matcher_of(subscription).wanted(old, start):
            delivery = delivery_of(subscription.id, event, now)
            letter = dead_letter(
                holdings.kafka, holdings.partition, delivery, event, reason="expired", now=now
            )
            made.transaction.records.append(letter)
            SET_ASIDE.labels(SERVICE, event.key.partition("/")[0]).inc()
        await holdings.commit_fan_out(made)
        if old:
            log.warning(
                "notifier.events_expired",
                subscription=subscription.id,
                partition=holdings.partition,
                count=len(old),
            )
        return True
