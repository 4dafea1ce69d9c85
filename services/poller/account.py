"""What the streams of one account share: client, budget, breaker, marks and the way to write."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from bus.clock import Clock
from bus.settings import KafkaSettings
from bus.table import Table
from bus.telemetry import RECORDS, REQUESTS, SEEN_UNCHANGED, SET_ASIDE
from bus.transaction import Transaction
from schemas.topics import RAW
from services.poller.answers import Answer
from services.poller.breaker import Breaker
from services.poller.budget import Budget
from services.poller.composing import Composed, Reading, compose
from services.poller.http import Http
from services.poller.marks import Marks
from services.poller.settings import PollerSettings
from services.poller.source import AccountSettings, Facts, Failure, Rate, Request, Response


class Sink(Protocol):
    """Where transactions go: a slot's Committer."""

    async def commit(self, transaction: Transaction) -> None:
        """Returns when it is durable.  Raises RetryLater."""


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
    """One credential.  Its streams judge and write one page at a time, so that none judges a
    record by a mark that another is about to replace.
    """

    def __init__(self, around: Surroundings, settings: AccountSettings, rate: Rate) -> None:
        self.settings = settings
        self.around = around
        self.unmarked = 0
        self.budget = around.budgets.setdefault(
            settings.source if rate.shared else settings.label,
            Budget(rate, around.clock.monotonic()),
        )
        self.breaker = Breaker()
        self._http = Http(around.clock, around.poller.request_timeout_seconds)
        self._marks: dict[str, Marks] = {}
        self._writing = asyncio.Lock()

    def marks(self, resource: str) -> Marks:
        """The marks of a resource, read from the table at first use."""
        if resource not in self._marks:
            settings, around = self.settings, self.around
            keep = timedelta(
                hours=settings.settle_horizon_hours, seconds=settings.settle_interval_seconds
            )
            self._marks[resource] = Marks(
                around.table,
                settings.source,
                settings.name,
                resource,
                keep=keep + timedelta(seconds=settings.lookback_seconds),
                marks_max=around.poller.marks_max,
                now=around.clock.now(),
            )
        return self._marks[resource]

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
        outcome = await self._http.get(request)
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

    async def write(self, reading: Reading) -> Composed | None:
        """Commit a page and take it in; None when it must be asked for again."""
        around, marks = self.around, self.marks(reading.facts.resource)
        async with self._writing:
            composed = compose(reading, marks, around.table, around.kafka)
            if composed is None:
                return None
            await around.sink.commit(composed.transaction)
            around.table.apply(composed.transaction.records)
            marks.committed(composed.marks.values(), composed.tombstones)
            marks.touch(composed.read, reading.requested_at)
            for upstream_id, due_at in composed.postponed.items():
                marks.postpone([upstream_id], due_at)
        self.unmarked += composed.unmarked
        SEEN_UNCHANGED.labels(self.settings.source).inc(composed.unchanged)
        RECORDS.labels("poller", RAW.name).inc(len(composed.raw))
        SET_ASIDE.labels("poller", self.settings.source).inc(len(composed.letters))
        return composed

    async def close(self) -> None:
        """Close its connections."""
        await self._http.close()
