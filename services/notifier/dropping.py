"""What was for subscriptions that were deleted: each partition's owner drops it."""

from __future__ import annotations

import structlog

from bus.clock import Clock
from bus.errors import RetryLater
from services.notifier.endpoints import Endpoints
from services.notifier.holdings import Holdings

INTERVAL_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Dropping:
    """Works on one partition."""

    def __init__(self, holdings: Holdings, endpoints: Endpoints, clock: Clock) -> None:
        self._holdings = holdings
        self._endpoints = endpoints
        self._clock = clock

    async def run(self) -> None:
        """Until canceled.  Raises RetryLater when a write failed."""
        while True:
            if self._deleted() and await self._certain():
                for name in self._deleted():
                    async with self._holdings.lock:
                        count = await self._holdings.drop(name)
                    log.info(
                        "notifier.deliveries_dropped",
                        subscription=name,
                        partition=self._holdings.partition,
                        count=count,
                    )
            await self._clock.sleep(INTERVAL_SECONDS)

    def _deleted(self) -> list[str]:
        """What is held for subscriptions that there are none of any more.

        One whose record cannot be read is there.
        """
        return [
            name
            for name in self._holdings.subscriptions()
            if not self._endpoints.get(name) and not self._endpoints.unreadable(name)
        ]

    async def _certain(self) -> bool:
        """Whether this copy knows what was written before now: an owner before it may have heard
        of a new subscription earlier.
        """
        try:
            await self._endpoints.current()
        except RetryLater as error:
            log.warning("notifier.subscriptions_unread", error=str(error))
            return False
        return True
