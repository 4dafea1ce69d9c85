"""Carries commands out in one partition, each in one transaction with the note that it is done.

So a command is carried out once, whenever a process dies.  While unfinished deliveries are renewed
nothing of the subscription is in flight: no try could write over what is written here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from bus.clock import Clock
from schemas.command import Command, Recover, Retry
from schemas.delivery import Delivery
from schemas.subscription import Subscription
from services.notifier.commands import (
    CarriedOut,
    everything_unfinished,
    key_of,
    recovered,
    retried,
    targets_of,
)
from services.notifier.endpoints import Endpoints
from services.notifier.events import Event
from services.notifier.holdings import Holdings
from services.notifier.letters import Bodies
from services.notifier.match import matcher_of
from services.notifier.waking import Waking

IDLE_SECONDS_MAX = 0.5  # how late room may be seen
LANDING_SECONDS = 0.02  # between looks at what is in flight, which ends within its own limits
DECODED_AT_ONCE = 500  # deliveries, before others have a turn

log = structlog.get_logger(__name__)


class Obeying:
    """Works on one partition; `wake` is called when something is due or behind."""

    def __init__(
        self,
        holdings: Holdings,
        bodies: Bodies,
        endpoints: Endpoints,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._holdings = holdings
        self._bodies = bodies
        self._endpoints = endpoints
        self._clock = clock
        self._wake = wake
        self._waking = Waking()

    def wake(self) -> None:
        """Something changed: there may be a command."""
        self._waking.wake()

    async def run(self) -> None:
        """Until canceled.  Raises RetryLater when a write failed."""
        while True:
            self._waking.look_again()
            for subscription in self._endpoints.all():
                if self._holdings.unreadable(subscription.id):
                    continue
                for command in self._endpoints.commands(subscription.id):
                    if command.number <= self._holdings.command(subscription.id):
                        continue
                    if not await self._carry_out(subscription, command):
                        break  # the next one waits for it
            await self._waking.rest(IDLE_SECONDS_MAX)

    async def _carry_out(self, subscription: Subscription, command: Command) -> bool:
        """Returns whether it is done; not while what it begins finds no room."""
        if isinstance(command, Recover):
            done = await self._recover(subscription, command)
        elif targets_of(command, self._holdings.partition) or everything_unfinished(command):
            if self._full(subscription) and self._begins(command):
                return False  # before its bodies are read, since it is asked again and again
            events = await self._events(subscription, command)
            async with self._still(subscription.id):
                # What came to its end meanwhile.
                events = await self._events(subscription, command, events)
                done = await self._retry(subscription, command, events)
        else:
            done = await self._retry(subscription, command, {})
        log.info(
            "notifier.command_carried_out",
            subscription=subscription.id,
            partition=self._holdings.partition,
            number=command.number,
            kind=command.kind,
            offset=done.position.offset,
            due_count=len(done.due),
            begun_count=len(done.begun),
        )
        for target in done.lost:
            log.warning("notifier.event_not_redelivered", reason="gone", **target.model_dump())
        for target in done.unwanted:
            log.warning("notifier.event_not_redelivered", reason="unwanted", **target.model_dump())
        self._wake()
        return True

    async def _recover(self, subscription: Subscription, command: Recover) -> CarriedOut:
        holdings = self._holdings
        async with holdings.lock:
            offset = holdings.position(subscription)
            done = CarriedOut(recovered(command, holdings.partition, offset))
            await holdings.commit_carried_out(done)
        return done

    async def _retry(
        self, subscription: Subscription, command: Retry, events: dict[str, Event]
    ) -> CarriedOut:
        holdings = self._holdings
        async with holdings.lock:
            done = retried(
                command,
                holdings.partition,
                holdings.position(subscription),
                unfinished=await self._unfinished(command),
                events=events,
                matcher=matcher_of(subscription),
                now=self._clock.now(),
            )
            await holdings.commit_carried_out(done)
        return done

    async def _unfinished(self, command: Retry) -> list[Delivery]:
        """Those that the command is about."""
        if everything_unfinished(command):
            keys = [one.key for one in self._holdings.unfinished(command.subscription)]
        else:
            targets = targets_of(command, self._holdings.partition)
            keys = list(dict.fromkeys(key_of(command.subscription, one) for one in targets))
        found: list[Delivery] = []
        for number, key in enumerate(keys, start=1):
            if self._holdings.is_pending(key):
                found.append(self._holdings.delivery(key))
            if not number % DECODED_AT_ONCE:
                await asyncio.sleep(0)
        return found

    async def _events(
        self, subscription: Subscription, command: Retry, known: dict[str, Event] | None = None
    ) -> dict[str, Event]:
        """Of targets that are finished, by id; what is gone is left out.  Raises RetryLater.

        What the position has not reached is not read: there may be no such offset yet, or ever.
        """
        found, reached = dict(known or {}), self._holdings.position(subscription)
        targets = targets_of(command, self._holdings.partition)
        for target in sorted(targets, key=lambda one: (one.letter_offset or 0, one.event_offset)):
            key = key_of(command.subscription, target)
            if target.event_id in found or self._holdings.is_pending(key):
                continue
            if target.event_offset >= reached:
                continue
            event = await self._bodies.read(target.event_offset, target.letter_offset)
            if event is not None and event.envelope.id == target.event_id:
                found[target.event_id] = event
        return found

    def _begins(self, command: Retry) -> bool:
        """Whether it names what is finished, so that there may be deliveries more."""
        return any(
            not self._holdings.is_pending(key_of(command.subscription, target))
            for target in targets_of(command, self._holdings.partition)
        )

    def _full(self, subscription: Subscription) -> bool:
        return self._holdings.room(subscription.id, len(self._endpoints.all())) <= 0

    @asynccontextmanager
    async def _still(self, subscription: str) -> AsyncIterator[None]:
        """Nothing of it is in flight inside of the block; what is, comes to its end first."""
        lanes = self._holdings.lanes
        try:
            while not lanes.halt(subscription):
                await self._clock.sleep(LANDING_SECONDS)
            yield
        finally:
            lanes.go_on(subscription)
