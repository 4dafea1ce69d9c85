"""Starts the deliveries of one partition whose time has come, and writes what came of them.

Runs outside of any consumer loop.  Which may start is `lanes`' and `gates`' decision, what a
result means is `settlement`'s; this file only awaits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime

import structlog

from bus.errors import RetryLater
from bus.telemetry import ATTEMPTS, SET_ASIDE
from schemas.keys import split
from schemas.subscription import Subscription
from services.notifier.channel import Result
from services.notifier.endpoints import Endpoints
from services.notifier.events import Event
from services.notifier.gate import Landing
from services.notifier.gates import Gates
from services.notifier.holdings import Holdings
from services.notifier.lanes import Pending
from services.notifier.letters import Bodies
from services.notifier.settlement import SERVICE, Settlement, delivered, dropped, expire, failed
from services.notifier.waking import Waking

IDLE_SECONDS_MAX = 0.5  # how late room that nobody told of may be seen

log = structlog.get_logger(__name__)


class Dispatcher:
    """`broken` is told of what cannot be gone on from: the partition is then built anew."""

    def __init__(
        self,
        holdings: Holdings,
        bodies: Bodies,
        endpoints: Endpoints,
        gates: Gates,
        *,
        schedule_seconds: Sequence[float],
        broken: Callable[[RetryLater], None],
    ) -> None:
        self._holdings = holdings
        self._bodies = bodies
        self._endpoints = endpoints
        self._gates = gates
        self._clock = gates.clock
        self._schedule = schedule_seconds
        self._broken = broken
        self._waking = Waking()
        self._loop_task: asyncio.Task[None] | None = None
        self._tries: set[asyncio.Task[None]] = set()
        self._ends: list[Callable[[], None]] = []

    def start(self) -> None:
        """Begin to send."""
        self._reorder()
        for subscription in self._holdings.lanes.subscriptions():
            if (until := self._gates.failed_until(subscription)) is not None:
                self._bring_forward(subscription, until)
        self._ends = [
            self._endpoints.listen(self._reorder),
            self._gates.join(self.wake, self._bring_forward),
        ]
        self._loop_task = asyncio.create_task(self._run(), name="notifier dispatch")
        self._loop_task.add_done_callback(self._ended)

    def wake(self) -> None:
        """Something changed: look at the lanes again."""
        self._waking.wake()

    async def close(self, drain_seconds: float) -> None:
        """Start nothing more, give tries in flight `drain_seconds`, then cancel them.

        No request is on its way when it returns; what was canceled is tried again by the next
        owner.
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
        for end in self._ends:
            end()
        self._ends = []

    def set_aside(self, pending: Pending) -> None:
        """Move a delivery in flight, whose event is about to expire, to dead-letters."""
        self._spawn(self._expire(pending))

    def _reorder(self) -> None:
        self._holdings.lanes.let_unordered(self._endpoints.unordered())
        self.wake()

    def _bring_forward(self, subscription: str, failing_before: datetime | None = None) -> None:
        """Have what waits for a later try tried now; or only what failed before that instant."""
        holdings, clock = self._holdings, self._clock

        def failed_before(pending: Pending) -> bool:
            since = holdings.delivery(pending.key).failing_since
            return failing_before is None or (since is not None and since < failing_before)

        count = holdings.lanes.bring_forward(
            subscription,
            clock.now().timestamp(),
            chance=clock.chance(),
            wait_seconds_max=self._gates.probe_seconds_max,
            which=failed_before,
        )
        if count:
            log.info(
                "notifier.deliveries_brought_forward",
                subscription=subscription,
                partition=holdings.partition,
                count=count,
            )
            self.wake()

    async def _run(self) -> None:
        lanes, gates = self._holdings.lanes, self._gates
        while True:
            self._waking.look_again()
            moment = gates.moment()
            started, wait_seconds = lanes.due(moment.now, gates.claims(moment, self.wake))
            for pending in started:
                self._spawn(self._try(pending))
            await self._waking.rest(min(wait_seconds, IDLE_SECONDS_MAX))

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
        """From a claim to what came of it, and whatever happens both ends of the claim."""
        try:
            settlement = await self._ask(pending)
            if settlement is None:
                self._holdings.lanes.retry(pending, pending.due_at)
            else:
                await self._finish(pending, settlement)
        finally:
            self._gates.settled(pending.subscription)
            self.wake()

    async def _ask(self, pending: Pending) -> Settlement | None:
        """None: it was not asked, since its subscription went away meanwhile, or since its channel
        cannot be opened here; held until that changes.
        """
        result: Result | None = None
        landing = Landing()
        try:
            event = await self._bodies.read(pending.event_offset, pending.letter_offset)
            if event is None:
                return self._expired(pending, None)
            subscription = self._endpoints.get(pending.subscription)
            if subscription is None:
                return None
            started_at = self._clock.now()
            result = await self._gates.send(subscription, event.envelope, pending.attempts + 1)
        finally:
            landing = self._gates.landed(pending.subscription, result)
        if result is None:
            return None
        ATTEMPTS.labels(pending.subscription, result.outcome).inc()
        kafka, partition = self._holdings.kafka, self._holdings.partition
        if result.outcome == "delivered":
            return delivered(kafka, partition, pending, event, result, started_at=started_at)
        return self._failed(
            subscription, pending, event, result, started_at=started_at, landing=landing
        )

    def _failed(
        self,
        subscription: Subscription,
        pending: Pending,
        event: Event,
        result: Result,
        *,
        started_at: datetime,
        landing: Landing,
    ) -> Settlement:
        kafka, partition = self._holdings.kafka, self._holdings.partition
        if not self._holdings.is_pending(pending.key):
            return dropped(kafka, partition, pending, event, result, started_at=started_at)
        early_from = None
        if pending.planned_at is not None:
            early_from = datetime.fromtimestamp(pending.planned_at, UTC)
            pending.early_tries += not landing.probe
        settlement = failed(
            kafka,
            partition,
            self._holdings.delivery(pending.key),
            event,
            result,
            subscription=subscription,
            started_at=started_at,
            now=self._clock.now(),
            schedule_seconds=self._schedule,
            chance=self._clock.chance(),
            landing=landing,
            early_from=early_from,
        )
        log.info(
            "notifier.attempt_failed",
            subscription=subscription.id,
            id=event.envelope.id,
            number=pending.attempts + 1,
            outcome=result.outcome,
            status_code=result.status_code,
            detail=result.detail,
            next_at=settlement.due_at.isoformat() if settlement.due_at else None,
        )
        return settlement

    async def _expire(self, pending: Pending) -> None:
        event = await self._bodies.read(pending.event_offset, pending.letter_offset)
        await self._finish(pending, self._expired(pending, event))

    def _expired(self, pending: Pending, event: Event | None) -> Settlement:
        holdings = self._holdings
        if not holdings.is_pending(pending.key):
            return Settlement([], None)
        delivery = holdings.delivery(pending.key)
        return expire(holdings.kafka, holdings.partition, delivery, event, self._clock.now())

    async def _finish(self, pending: Pending, settlement: Settlement) -> None:
        holdings = self._holdings
        await holdings.commit_records(settlement.records)
        # The record decides: the delivery may have got all its tries again, or be no more.
        if settlement.due_at is not None and holdings.is_pending(pending.key):
            delivery = holdings.delivery(pending.key)
            pending.attempts = delivery.attempts
            holdings.lanes.retry(pending, delivery.due_at.timestamp())
        else:
            holdings.lanes.finish(pending)
            holdings.count()
        if settlement.set_aside is not None:
            SET_ASIDE.labels(SERVICE, split(pending.lane)[0]).inc()
            log.warning(
                "notifier.delivery_set_aside",
                subscription=pending.subscription,
                id=split(pending.key)[1],
                tries=pending.attempts,
                reason=settlement.set_aside,
            )
        self.wake()
