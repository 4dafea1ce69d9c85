"""Starts the deliveries of one partition whose time has come, and writes what came of them.

Runs outside of any consumer loop.  Which may start is `lanes`' decision, what a result means is
`settlement`'s; this file only awaits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime

import structlog

from bus.clock import Clock
from bus.errors import BadConfig, RetryLater
from bus.telemetry import ATTEMPTS, SET_ASIDE
from schemas.delivery import Delivery
from schemas.keys import split
from schemas.subscription import Subscription
from services.notifier.channel import Channel, Result, Surroundings, open_channel
from services.notifier.endpoints import Endpoints
from services.notifier.events import Event
from services.notifier.holdings import Holdings
from services.notifier.lanes import Pending
from services.notifier.letters import Bodies
from services.notifier.retries import paused_until
from services.notifier.settlement import SERVICE, Settlement, expire, settle

IDLE_SECONDS_MAX = 0.5  # how late an end of a pause may be seen
READ_AGAIN_SECONDS = 2.0
CLOSE_SECONDS_MAX = 5.0

log = structlog.get_logger(__name__)


class Dispatcher:
    """`broken` is told of what cannot be gone on from: the partition is then built anew."""

    def __init__(
        self,
        holdings: Holdings,
        bodies: Bodies,
        endpoints: Endpoints,
        surroundings: Surroundings,
        *,
        schedule_seconds: Sequence[float],
        broken: Callable[[RetryLater], None],
    ) -> None:
        self._holdings = holdings
        self._bodies = bodies
        self._endpoints = endpoints
        self._surroundings = surroundings
        self._schedule = schedule_seconds
        self._clock: Clock = surroundings.clock
        self._broken = broken
        self._woken = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._tries: set[asyncio.Task[None]] = set()
        self._channels: dict[str, tuple[int, Channel]] = {}
        self._retired: list[Channel] = []

    def start(self) -> None:
        """Begin to send."""
        self._loop_task = asyncio.create_task(self._run(), name="notifier dispatch")
        self._loop_task.add_done_callback(self._ended)

    def wake(self) -> None:
        """Something changed: look at the lanes again."""
        self._woken.set()

    async def close(self, drain_seconds: float) -> None:
        """Start nothing more, give tries in flight `drain_seconds`, then cancel them.

        No connection is open when it returns; what was canceled is tried again by the next owner.
        """
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.gather(self._loop_task, return_exceptions=True)
        tries = set(self._tries)
        if tries:
            _, tries = await asyncio.wait(tries, timeout=drain_seconds)
        for task in tries:
            task.cancel()
        await asyncio.gather(*tries, return_exceptions=True)
        channels = [*(channel for _, channel in self._channels.values()), *self._retired]
        self._channels, self._retired = {}, []
        closing = asyncio.gather(*(one.close() for one in channels), return_exceptions=True)
        await asyncio.wait({closing}, timeout=CLOSE_SECONDS_MAX)

    def set_aside(self, pending: Pending) -> None:
        """Move a delivery in flight, whose event is about to expire, to dead-letters."""
        self._spawn(self._expire(pending))

    async def _run(self) -> None:
        lanes, connections_max = self._holdings.lanes, self._surroundings.connections_max
        while True:
            self._woken.clear()
            now = self._clock.now()
            may_start = self._endpoints.may_start(now)
            for pending in lanes.due(now, may_start, connections_max):
                self._spawn(self._try(pending))
            next_at = lanes.next_due_at(may_start, connections_max)
            wait_seconds = IDLE_SECONDS_MAX
            if next_at is not None:
                wait_seconds = min(max(0.0, next_at - now.timestamp()), IDLE_SECONDS_MAX)
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._woken.wait()
            except TimeoutError:
                pass  # time for another look

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tries.add(task)
        task.add_done_callback(self._tries.discard)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task of ours that failed leaves memory in doubt: the partition is read anew."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        if not isinstance(error, RetryLater):
            log.error("notifier.try_failed", error=repr(error), exc_info=error)
            error = RetryLater(f"partition {self._holdings.partition}: {error!r}")
        self._broken(error)

    async def _try(self, pending: Pending) -> None:
        delivery = self._holdings.delivery(pending.key)
        try:
            event = await self._bodies.of(delivery)
        except RetryLater as error:
            log.warning("notifier.event_unread", delivery=pending.key, error=str(error))
            again = self._clock.now().timestamp() + READ_AGAIN_SECONDS
            self._holdings.lanes.retry(pending, datetime.fromtimestamp(again, UTC))
            return
        subscription = self._endpoints.get(delivery.subscription)
        if event is None:
            await self._finish(pending, delivery, self._expired(delivery, None))
        elif subscription is None:  # gone while the event was read: held until it is known again
            self._holdings.lanes.retry(pending, self._clock.now())
        else:
            await self._send(pending, delivery, subscription, event)

    async def _send(
        self, pending: Pending, delivery: Delivery, subscription: Subscription, event: Event
    ) -> None:
        started_at = self._clock.now()
        try:
            channel = self._channel(subscription)
        except BadConfig as error:
            result = Result("interrupted", detail=str(error))
        else:
            result = await channel.send(event.envelope, delivery.attempts + 1)
        now = self._clock.now()
        self._obey(subscription.id, result, now)
        settlement = settle(
            self._holdings.kafka,
            self._holdings.partition,
            delivery,
            event,
            result,
            started_at=started_at,
            now=now,
            schedule_seconds=self._schedule,
            chance=self._clock.chance(),
        )
        ATTEMPTS.labels(subscription.id, result.outcome).inc()
        if result.outcome != "delivered":
            log.info(
                "notifier.attempt_failed",
                subscription=subscription.id,
                id=delivery.event_id,
                number=delivery.attempts + 1,
                outcome=result.outcome,
                status_code=result.status_code,
                detail=result.detail,
                next_at=settlement.due_at.isoformat() if settlement.due_at else None,
            )
        await self._finish(pending, delivery, settlement)

    def _obey(self, subscription: str, result: Result, now: datetime) -> None:
        """What the answer says about the endpoint as a whole."""
        if result.outcome == "gone":
            self._endpoints.gone(subscription)
        pause = paused_until(result.outcome, result.retry_after_seconds, now)
        if pause is not None:
            self._endpoints.pause(subscription, pause)

    async def _expire(self, pending: Pending) -> None:
        delivery = self._holdings.delivery(pending.key)
        event = await self._bodies.of(delivery)
        await self._finish(pending, delivery, self._expired(delivery, event))

    def _expired(self, delivery: Delivery, event: Event | None) -> Settlement:
        return expire(
            self._holdings.kafka, self._holdings.partition, delivery, event, self._clock.now()
        )

    async def _finish(self, pending: Pending, delivery: Delivery, settlement: Settlement) -> None:
        await self._holdings.commit_records(settlement.records)
        if settlement.due_at is not None:
            self._holdings.lanes.retry(pending, settlement.due_at)
        else:
            self._holdings.lanes.finish(pending)
            self._holdings.count()
        if settlement.exhausted:
            SET_ASIDE.labels(SERVICE, split(delivery.lane)[0]).inc()
            log.warning(
                "notifier.delivery_set_aside",
                subscription=delivery.subscription,
                id=delivery.event_id,
                tries=delivery.attempts,
            )
        self.wake()

    def _channel(self, subscription: Subscription) -> Channel:
        revision, channel = self._channels.get(subscription.id, (0, None))
        if channel is None or revision != subscription.revision:
            opened = open_channel(subscription, self._surroundings)
            if channel is not None:
                self._retired.append(channel)  # tries of the older revision may still be on it
            self._channels[subscription.id] = (subscription.revision, opened)
            return opened
        return channel
