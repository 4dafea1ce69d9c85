"""What the streams of one account share: client, budget, breaker, marks and the way to write."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from bus.clock import Clock
from bus.settings import KafkaSettings
from bus.table import Table
from bus.telemetry import RECORDS, REQUESTS, SEEN_UNCHANGED, SET_ASIDE
from bus.transaction import Transaction
from schemas.cursor import Cursor, cursor_key
from schemas.topics import RAW
from services.poller.answers import Answer
from services.poller.breaker import Breaker
from services.poller.budget import Budget
from services.poller.composing import Composed, Reading, compose
from services.poller.http import Http
from services.poller.marks import Marks
from services.poller.session import Session
from services.poller.settings import PollerSettings
from services.poller.source import (
    AccountSettings,
    Facts,
    Failure,
    Login,
    Rate,
    Request,
    Response,
)
from services.poller.upstream_clock import UpstreamClock, undated

# What is watched is read again within a day and must not be forgotten before.
WATCHED_KEEP = timedelta(hours=25)


class Sink(Protocol):
    """Where transactions go: a slot's Committer."""

    def submit(self, transaction: Transaction) -> Awaitable[None]:
        """Queue it at once; what is returned ends when it is durable.  Raises RetryLater."""


@dataclass(frozen=True, slots=True)
class Written:
    """A page that is on its way to Kafka; `durable` ends when it is there.  Raises RetryLater."""

    composed: Composed
    durable: Awaitable[None]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a slot hands to its accounts; `budgets` by who shares them."""

    kafka: KafkaSettings
    poller: PollerSettings
    clock: Clock
    table: Table
    sink: Sink
    budgets: dict[str, Budget] = field(default_factory=dict)


class Account:
    """One credential.  A page is judged, queued and taken in without a pause, so that no stream
    judges a record by a mark that another is about to replace.

    Memory is ahead of Kafka by what is queued.  Of that all is written in order, or nothing from
    the first failure on, and then the slot throws its accounts away.
    """

    def __init__(
        self,
        around: Surroundings,
        settings: AccountSettings,
        rate: Rate,
        login: Login | None = None,
    ) -> None:
        self.settings = settings
        self.around = around
        self.unmarked = 0
        self.upstream = UpstreamClock()
        self.budget = around.budgets.setdefault(
            settings.source if rate.shared else settings.label,
            Budget(rate, around.clock.monotonic()),
        )
        self.breaker = Breaker()
        self._session = Session(Http(around.clock, around.poller.request_timeout_seconds), login)
        self._unchanged = SEEN_UNCHANGED.labels(settings.source)
        self._records = RECORDS.labels("poller", RAW.name)
        self._set_aside = SET_ASIDE.labels("poller", settings.source)
        self._marks: dict[str, Marks] = {}
        self._woken: dict[str, asyncio.Event] = {}
        self._turn = asyncio.Lock() if rate.in_turn else nullcontext()

    def marks(self, resource: str) -> Marks:
        """The marks of a resource, read from the table at first use."""
        if resource not in self._marks:
            settings, around = self.settings, self.around
            keep = timedelta(
                hours=settings.settle_horizon_hours, seconds=settings.settle_interval_seconds
            )
            if settings.watched:
                keep = max(keep, WATCHED_KEEP)
            self._marks[resource] = Marks(
                around.table,
                settings.source,
                settings.name,
                resource,
                keep=keep + timedelta(seconds=settings.lookback_seconds),
                marks_max=around.poller.marks_max,
                now=around.clock.now(),
                ahead=self._ahead(),
            )
        return self._marks[resource]

    def _ahead(self) -> timedelta:
        """How far the clock of the copy before this one was ahead of ours, at the least: due times
        were set by it.
        """
        folder, table = cursor_key(self.settings.source, self.settings.name, ""), self.around.table
        stored = [value for key, value in table.below(folder) if key not in table.unreadable]
        cursors = map(Cursor.model_validate_json, stored)
        now = self.around.clock.now()
        times = (cursor.succeeded_at or now for cursor in cursors)
        return max((*times, now)) - now

    async def ask(self, facts: Facts, request: Request) -> Response | Failure:
        """The answer, when budget and breaker let the request go."""
        clock, name = self.around.clock, f"{self.settings.name}/{facts.name}"
        while wait := self.breaker.claim(clock.monotonic()):
            await clock.sleep(wait)
        try:
            while wait := self.budget.claim(name, facts.weight, clock.monotonic()):
                await clock.sleep(wait)
        finally:
            self.budget.leave(name)
        async with self._turn:
            outcome = await self._session.send(request)
        if isinstance(outcome, Response):
            if not self.upstream.heard(outcome.headers, clock.now()):
                outcome = undated(outcome)
            self.budget.told(outcome.headers, clock.monotonic(), clock.now())
        status = str(outcome.status) if isinstance(outcome, Response) else outcome.kind
        REQUESTS.labels(self.settings.source, self.settings.name, status).inc()
        return outcome

    def heard(self, answer: Answer) -> None:
        """Let budget and breaker know what an answer meant."""
        now = self.around.clock.monotonic()
        if answer.park:
            self.budget.park(now + answer.wait_seconds)
        if answer.action == "retry" and not answer.park:
            self.breaker.failed(now, answer.wait_seconds)
        else:
            self.breaker.succeeded()

    def write(self, reading: Reading) -> Written | None:
        """Queue a page and take it in; None when it must be asked for again.  Raises RetryLater."""
        around, facts = self.around, reading.facts
        marks = self.marks(facts.resource)
        parents = self.marks(facts.parents) if facts.parents else None
        composed = compose(reading, marks, around.table, around.kafka, parents)
        if composed is None:
            return None
        durable = around.sink.submit(composed.transaction)
        around.table.apply(composed.position)
        marks.committed(composed.marks.values(), composed.tombstones)
        if parents is not None:
            parents.committed(composed.parents.values(), composed.tombstones)
        for one in (marks,) if parents is None else (marks, parents):
            one.touch(composed.read, reading.requested_at)
            for upstream_id, due_at in composed.postponed.items():
                one.postpone([upstream_id], due_at)
        for mark in (*composed.marks.values(), *composed.parents.values()):
            self._wake(mark.due_stream)
        self.unmarked += composed.unmarked
        self._unchanged.inc(composed.unchanged)
        self._records.inc(len(composed.raw))
        self._set_aside.inc(len(composed.letters))
        return Written(composed, durable)

    async def marked(self, stream: str, seconds: float) -> bool:
        """Wait, at most so long, until something is marked for a stream to read."""
        event = self._woken.setdefault(stream, asyncio.Event())
        event.clear()
        waits = (
            asyncio.create_task(self.around.clock.sleep(seconds)),
            asyncio.create_task(event.wait()),
        )
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return event.is_set()

    def _wake(self, stream: str | None) -> None:
        if stream in self._woken:
            self._woken[stream].set()

    async def close(self) -> None:
        """Close its connections."""
        await self._session.close()
