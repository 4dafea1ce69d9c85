"""How the owner of one partition hands events to each subscription: its wish and its sink.

An outlet is made once for each revision of a subscription.  A sink that cannot be written holds
up its own subscription alone: it is opened before anything is written to it, beside all else, and
again and again until that succeeds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog

from bus.clock import Clock
from bus.errors import RetryLater
from bus.settings import KafkaSettings
from schemas.subscription import Subscription
from services.notifier.channel import Sink, open_sink, way_of
from services.notifier.match import Matcher, matcher_of

OUTLETS_MAX = 10_000  # of deleted subscriptions, too: then all are made anew
RETRY_SECONDS = 1.0
RECHECK_SECONDS = 30.0  # after what somebody has to change
OPENING_MAX = 8  # sinks being opened at once

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outlet:
    """One subscription's; `sink` None: events become deliveries."""

    subscription: Subscription
    matcher: Matcher
    sink: Sink | None = None


class Outlets:
    """Those of one partition; `wake` is called when a sink came into reach."""

    def __init__(
        self, kafka: KafkaSettings, partition: int, clock: Clock, wake: Callable[[], None]
    ) -> None:
        self._kafka = kafka
        self._partition = partition
        self._clock = clock
        self._wake = wake
        self._outlets: dict[str, Outlet] = {}
        self._opening: dict[str, asyncio.Task[None]] = {}
        self._again_at: dict[str, float] = {}  # on the monotonic clock
        self._slots = asyncio.Semaphore(OPENING_MAX)
        self.refused: dict[str, str] = {}  # why a subscription's sink is not written at present

    async def open(self, subscriptions: Iterable[Subscription]) -> None:
        """Open the sinks there are; one that cannot be is left for later."""
        written = [found for found in subscriptions if way_of(found) == "written"]
        await asyncio.gather(*(self._open(found) for found in written))

    async def close(self) -> None:
        """Open nothing more."""
        for task in self._opening.values():
            task.cancel()
        await asyncio.gather(*self._opening.values(), return_exceptions=True)

    @property
    def places(self) -> list[tuple[str, int]]:
        """What is written beside our own topics: (topic, partition) pairs."""
        sinks = [found.sink for found in self._outlets.values() if found.sink is not None]
        return list(dict.fromkeys(place for sink in sinks for place in sink.places))

    def ready(self, subscription: Subscription) -> Outlet | None:
        """Its outlet; None where events are served, or cannot be written at present."""
        known = self._outlets.get(subscription.id)
        if known is not None and known.subscription is subscription:
            return known
        way = way_of(subscription)
        if way == "delivered":
            return self._keep(Outlet(subscription, matcher_of(subscription)))
        if way == "served" or known is None or known.subscription.channel != subscription.channel:
            self._outlets.pop(subscription.id, None)
            return None
        return self._keep(Outlet(subscription, matcher_of(subscription), known.sink))

    def seek(self, subscription: Subscription) -> Outlet | None:
        """As `ready`; a sink that is not open yet is opened meanwhile."""
        outlet = self.ready(subscription)
        if outlet is None and way_of(subscription) == "written":
            name, now = subscription.id, self._clock.monotonic()
            if name not in self._opening and now >= self._again_at.get(name, now):
                task = asyncio.create_task(self._open(subscription), name=f"sink of {name}")
                self._opening[name] = task
                task.add_done_callback(lambda _: self._opening.pop(name, None))
        return outlet

    async def _open(self, subscription: Subscription) -> None:
        name, wait_seconds = subscription.id, RETRY_SECONDS
        try:
            async with self._slots:
                sink = await open_sink(subscription, self._kafka, self._partition, self._clock)
        except Exception as error:
            # Whatever is wrong with a sink holds up its own subscription, never the others.
            if not isinstance(error, RetryLater):
                wait_seconds = RECHECK_SECONDS
            self._again_at[name] = self._clock.monotonic() + wait_seconds
            if self.refused.get(name) != str(error):
                self.refused[name] = str(error)
                log.warning("notifier.target_refused", subscription=name, error=str(error))
            return
        self._again_at.pop(name, None)
        self.refused.pop(name, None)
        self._keep(Outlet(subscription, matcher_of(subscription), sink))
        self._wake()

    def judged(self, outlets: Iterable[Outlet], held: Mapping[str, str]) -> None:
        """Remember which of `outlets` a fan-out held back, and why; the others go on."""
        for name in [one.subscription.id for one in outlets]:
            why = held.get(name)
            if why is None:
                self.refused.pop(name, None)
            elif self.refused.get(name) != why:
                self.refused[name] = why
                log.error("notifier.subscription_blocked", subscription=name, error=why)

    def _keep(self, outlet: Outlet) -> Outlet:
        if len(self._outlets) >= OUTLETS_MAX:
            self._outlets.clear()
        self._outlets[outlet.subscription.id] = outlet
        return outlet
