"""One owned partition of events: its deliveries, positions, lanes, and who works on them.

One transaction moves the offsets, the positions of all live subscriptions and their deliveries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog
from aiokafka import ConsumerRecord, TopicPartition

from bus.committer import Committer
from bus.dead_letters import set_aside
from bus.errors import RetryLater
from bus.failures import Failures
from bus.settings import KafkaSettings
from bus.table import Table
from bus.telemetry import BATCH_SECONDS, RECORDS, SET_ASIDE
from bus.transaction import Record, Writer
from schemas.dead_letter import DeadLetter
from schemas.topics import ATTEMPTS, DEAD_LETTERS, DELIVERIES, EVENTS
from services.notifier.backlog import Backlog
from services.notifier.catch_up import CatchUp, sharers
from services.notifier.dispatcher import Dispatcher
from services.notifier.dropping import Dropping
from services.notifier.endpoints import Endpoints
from services.notifier.events import EventReader, Unreadable, events_of
from services.notifier.expiry import Expiry
from services.notifier.fan_out import fan_out
from services.notifier.gates import Gates
from services.notifier.holdings import Holdings
from services.notifier.letters import Bodies
from services.notifier.obeying import Obeying
from services.notifier.outlets import Outlet, Outlets
from services.notifier.settings import NotifierSettings, events_retention_seconds
from services.notifier.settlement import SERVICE, not_fanned_out

log = structlog.get_logger(__name__)


def group_of(kafka: KafkaSettings) -> str:
    """The consumer group of all copies."""
    return f"{kafka.prefix}.notifier"


OUTPUTS = (DELIVERIES, ATTEMPTS, DEAD_LETTERS)


class Partition:
    """The `Owned` of partition `number`; thrown away and built anew when its writer breaks."""

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: NotifierSettings,
        number: int,
        *,
        endpoints: Endpoints,
        gates: Gates,
        failures: Failures,
        broken: Callable[[RetryLater], None],
    ) -> None:
        self._kafka = kafka
        self._number = number
        self._endpoints = endpoints
        self._clock = gates.clock
        self._failures = failures
        self._broken = broken
        self._place = TopicPartition(kafka.topic(EVENTS), number)
        self._group = group_of(kafka)
        self._writer: Writer | None = None
        self._committer: Committer | None = None
        self._reader = EventReader(kafka, number, self._clock)
        self._bodies = Bodies(kafka, number, self._reader, self._clock)
        self.holdings = Holdings(kafka, number, settings.pending_max)
        self.outlets = Outlets(kafka, number, self._clock, self._wake)
        self._dispatcher = Dispatcher(
            self.holdings,
            self._bodies,
            endpoints,
            gates,
            schedule_seconds=settings.retry_schedule_seconds,
            broken=broken,
        )
        self._catch_up = CatchUp(
            self.holdings,
            self._reader,
            endpoints,
            self.outlets,
            clock=self._clock,
            wake=self._dispatcher.wake,
        )
        self._obeying = Obeying(self.holdings, self._bodies, endpoints, self._clock, self._wake)
        self._expiry = Expiry(
            self.holdings,
            self._reader,
            endpoints,
            self._clock,
            retention_seconds=events_retention_seconds(kafka),
        )
        self.backlog = Backlog(
            self.holdings, self._reader, endpoints, self._clock, refused=self.outlets.refused
        )
        self._dropping = Dropping(self.holdings, endpoints, self._clock)
        self._tasks: list[asyncio.Task[None]] = []
        self._stop_listening: Callable[[], None] = endpoints.listen(self._wake)

    @property
    def table(self) -> Table:
        """Its deliveries and positions."""
        return self.holdings.table

    async def open(self) -> None:
        """Fence the older owner, restore, begin to send.  Raises RetryLater."""
        await self.outlets.open(self._endpoints.all())
        self._writer = Writer.of_partition(
            self._kafka, self._group, self._place, OUTPUTS, self.outlets.places
        )
        await self._writer.start()
        self._committer = Committer(self._writer, self._broken)
        await self._reader.start()
        await self.holdings.restore(self._committer, self._group)
        self._dispatcher.start()
        work = [
            self._obeying.run(),
            self._catch_up.run(),
            self._expiry.run(self._dispatcher.set_aside),
            self.backlog.run(),
            self._dropping.run(),
        ]
        for coroutine in work:
            task = asyncio.create_task(coroutine, name=f"notifier {self._number}")
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def handle(self, records: Sequence[ConsumerRecord]) -> None:
        """Fan a batch out.  Raises RetryLater."""
        events, unreadable = events_of(records)
        self._note(records, unreadable)
        holdings, end = self.holdings, records[-1].offset + 1
        with BATCH_SECONDS.labels(SERVICE).time():
            async with holdings.lock:
                live = self._live(len(events))
                made = fan_out(
                    self._kafka,
                    self._number,
                    events,
                    end,
                    outlets=live,
                    positions={
                        found.subscription.id: holdings.position(found.subscription)
                        for found in live
                    },
                    is_pending=holdings.is_pending,
                    now=self._clock.now(),
                )
                now = self._clock.now()
                made.transaction.records.extend(
                    not_fanned_out(self._kafka, self._number, one, now) for one in made.failed
                )
                made.transaction.records.extend(self._unreadable(one) for one in unreadable)
                made.transaction.offsets = {self._place: end}
                made.transaction.group = self._group
                self._reader.keep(made.events)
                await holdings.commit_fan_out(made)
                holdings.live = end
        self.outlets.judged(live, made.held)
        SET_ASIDE.labels(SERVICE, "").inc(len(unreadable) + len(made.failed))
        RECORDS.labels(SERVICE, self._place.topic).inc(len(records))
        self._wake()

    async def close(self) -> None:
        """Nothing is in flight when it returns."""
        self._stop_listening()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.outlets.close()
        await self._dispatcher.close(self._kafka.drain_seconds_max)
        await self._bodies.close()
        await self._reader.close()
        if self._committer is None or self._writer is None:
            await self._writer.close() if self._writer is not None else None
        elif await self._committer.close():
            self.table.settle(self._writer)

    def _live(self, event_count: int) -> list[Outlet]:
        """Whom a batch of that many events goes to at once; the others are caught up."""
        holdings, sharing = self.holdings, sharers(self._endpoints)
        return [
            outlet
            for found in self._endpoints.advancing()
            if (outlet := self.outlets.ready(found)) is not None
            and not holdings.behind(found)
            and not holdings.unreadable(found.id)
            and (outlet.sink is not None or holdings.room(found.id, sharing) >= event_count)
        ]

    def _wake(self) -> None:
        self._dispatcher.wake()
        self._catch_up.wake()
        self._obeying.wake()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Its work failed: what it left half done is read anew."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        if not isinstance(error, RetryLater):
            log.error("notifier.work_failed", error=repr(error), exc_info=error)
            error = RetryLater(f"{self._place}: {error!r}")
        self._broken(error)

    def _note(self, records: Sequence[ConsumerRecord], unreadable: Sequence[Unreadable]) -> None:
        """Raises Blocked when so many records cannot be read that the fault must be ours."""
        errors = {one.record.offset: one.unforeseen for one in unreadable}
        for record in records:
            self._failures.note(record.offset, errors.get(record.offset))
        self._failures.check(len(records), [error for error in errors.values() if error])

    def _unreadable(self, found: Unreadable) -> Record:
        """A record that is no event goes aside once, whoever subscribes."""
        record = found.record
        letter = DeadLetter(
            service=SERVICE,
            reason="not a CloudEvent with the headers and JSON data that events have: "
            f"{found.unforeseen or found.error!r}",
            origin=f"{self._place.topic}/{self._number}/{record.offset}",
            at=self._clock.now(),
        )
        key = (record.key or b"").decode(errors="replace")
        value, headers = record.value or b"", record.headers
        return set_aside(self._kafka, letter, key, value, partition=self._number, headers=headers)
