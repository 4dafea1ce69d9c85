"""One stream of an account: due, sweep, page by page; stopped, degraded, tried again.

It carries out what the source, `answers` and `composing` decide, and shows its state.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

import structlog

from bus.errors import RetryLater
from bus.telemetry import POLLS, PROVEN_UNTIL
from schemas.cursor import Cursor
from services.poller.account import Account, Written
from services.poller.answers import DEGRADED_ATTEMPTS, Answer
from services.poller.composing import Reading
from services.poller.condition import Condition, State
from services.poller.marks import Marks
from services.poller.outcome import Asked, understood
from services.poller.parents import UNREAD_MAX
from services.poller.schedule import adapted_seconds, next_due
from services.poller.source import Failure, Page, Request, Response, Stream, Sweep
from services.poller.standing import gap_seconds, meaning_changed, proven_until

PAGES_AHEAD = 6  # on their way to Kafka while the next one is fetched and judged
UNREAD_SECONDS = 1.0  # between two looks at how many parents are still to be read

log = structlog.get_logger(__name__)


class StreamTask:
    """Runs one stream.  `cursor` is what is on Kafka, or on its way there; nothing else is true."""

    def __init__(self, account: Account, stream: Stream, cursor: Cursor) -> None:
        self.facts = stream.facts
        self.cursor = cursor
        self.due_at = account.around.clock.now()
        settings = account.settings
        names = (settings.source, settings.name, self.facts.name)
        self._names = dict(zip(("source", "account", "stream"), names, strict=True))
        self._condition = Condition(self._names)
        self._account = account
        self._stream = stream
        self._clock = account.around.clock
        self._limit = self.facts.page_size
        self._failures = 0
        self._quiet = 0  # polls in a row that brought nothing
        self._brought = False
        self._on_their_way: deque[Written] = deque()

    def health(self) -> dict[str, object]:
        """For people: state, why, last success and next time."""
        succeeded_at, proven_at = self.cursor.succeeded_at, self.proven_until
        return {
            "account": self._account.settings.label,
            "stream": self.facts.name,
            "state": self.state,
            "reason": self.reason,
            "failures": self._failures,
            "succeeded_at": succeeded_at.isoformat() if succeeded_at else None,
            "proven_until": proven_at.isoformat() if proven_at else None,
            "gap_seconds": gap_seconds(self.cursor, proven_at, self._clock.now()),
            "due_at": self.due_at.isoformat(),
            "breaker": self._account.breaker.state,
            "unmarked": self._account.unmarked,
        }

    @property
    def proven_until(self) -> datetime | None:
        """Up to which instant nothing is missing."""
        if not self.facts.ids_max:
            return proven_until(self.cursor)
        oldest_due, now = self._due_marks.next_due(self.facts.name), self._clock.now()
        return proven_until(self.cursor, by_id=True, oldest_due=oldest_due, now=now)

    @property
    def state(self) -> State:
        """See condition.State."""
        return self._condition.state

    @property
    def reason(self) -> str:
        """Why it is so."""
        return self._condition.reason

    def leave(self) -> None:
        """Another copy may run it next."""
        self._condition.leave()

    async def run(self) -> None:
        """Until the slot is let go, its writer is lost, or the stream has nothing more to do."""
        complaint = meaning_changed(self.cursor, self.facts)
        if complaint:
            self._condition.show("stopped", complaint)
            return
        try:
            while self.cursor.paused:
                await self._stand_by()
            while not self.cursor.done:
                await self._until_due()
                await self._poll()
                self._measure()
        except RetryLater as error:
            log.info("poller.stream_left", reason=str(error), **self._names)  # the slot rebuilds
            return
        self._condition.show("done", "")

    def _measure(self) -> None:
        if self.cursor.done:
            PROVEN_UNTIL.remove(*self._names.values())
        elif (proven_at := self.proven_until) is not None:
            PROVEN_UNTIL.labels(*self._names.values()).set(proven_at.timestamp())

    async def _stand_by(self) -> None:
        """Paused: nothing is asked; the cursor is kept, or nobody would notice a `resume`."""
        self._condition.show("paused", "by an operator; shipfeed cursors resume lets it go on")
        await self._clock.sleep(self.facts.interval_seconds)
        await self._account.keep(self.cursor)

    async def _poll(self) -> None:
        started_at = self._clock.now()
        self._brought = False
        ids = self._ids(started_at)
        if ids is None:
            self.due_at = self._next_due(started_at)
            return
        try:
            stopped = await self._sweep(ids)
            await self._written(but=0)
        except RetryLater:
            raise
        except Exception as error:
            # A bug in a source: this stream stops, visibly, and no other stream of any account.
            log.exception("poller.stream_failed", **self._names)
            stopped = f"an error of ours: {type(error).__name__}: {error}"
        outcome = "stopped" if stopped else "failed" if self._failures else "ok"
        POLLS.labels(*self._names.values(), outcome).inc()
        if stopped:
            self._condition.show("stopped", stopped)
            self._limit = self.facts.page_size
            recheck = timedelta(seconds=self._account.around.poller.recheck_seconds)
            self.due_at = self._clock.now() + recheck
        else:
            self._quiet = 0 if self._brought else self._quiet + 1
            self.due_at = self._next_due(started_at)

    async def _sweep(self, ids: list[str]) -> str:
        """A pass to its end: "", or the reason it stopped."""
        sweep = self._begin(ids)
        while True:
            await self._until_parents_are_read()
            request = self._stream.request(sweep, self._limit)
            told = self._account.upstream.skew
            outcome = await self._account.ask(self.facts, request)
            if self._behind(told):
                sweep = self._begin(ids)
                continue
            by_parent = bool(self.facts.parents)
            asked = Asked(sweep, ids, self._limit, self._failures, by_parent)
            now, chance = self._clock.now(), self._clock.chance()
            page, answer = understood(self._stream, asked, outcome, chance=chance, now=now)
            self._account.heard(answer)
            if page is not None and isinstance(outcome, Response):
                if self._write(page, request, outcome):
                    if page.sweep is None:
                        return ""
                    await self._written(but=PAGES_AHEAD)
                    sweep = page.sweep
                    continue
                older = Failure("unreadable", "requested before what is known was observed")
                answer = asked.answer_to_failure(older, chance)
            if answer.action == "stop":
                return answer.reason
            if answer.action == "halve":
                self._limit = asked.count // 2
                ids = ids[: self._limit]  # the others stay due
                log.warning("poller.page_halved", limit=self._limit, **self._names)
                sweep = self._begin(ids)
                continue
            await self._wait(answer, ids)
            if self.facts.ids_max:
                return ""  # another record may fare better; this one was postponed
            if self.cursor.sweep is None:
                sweep = self._begin(ids)  # so that the pass begins with its first request

    def _begin(self, ids: list[str]) -> Sweep:
        now = self._account.upstream.now(self._clock.now())
        return self._stream.begin(self.cursor, now, ids)

    def _behind(self, told: timedelta | None) -> bool:
        """Whether the upstream's clock has turned out to be behind ours by this answer.

        Then a pass begun by ours would pass over what is written there in between, and count it
        as history.
        """
        upstream = self._account.upstream
        there = upstream.now(self._clock.now())
        if told is not None or not upstream.behind:
            return False
        if self.cursor.succeeded_at is None and there < self.cursor.connected_at:
            self.cursor = self.cursor.model_copy(update={"connected_at": there})
        return True

    async def _until_parents_are_read(self) -> None:
        """A list that finds parents waits for those it has found: so many, and no more."""
        if not self.facts.feeds:
            return
        parents = self._account.marks(self.facts.parents)
        while parents.due_count(self.facts.feeds, self._clock.now()) >= UNREAD_MAX:
            await self._clock.sleep(UNREAD_SECONDS)

    def _write(self, page: Page, request: Request, response: Response) -> bool:
        """Whether it is on its way to Kafka; False: it must be asked for again."""
        asked_at, now = response.requested_at, self._clock.now()
        reading = Reading(page, self.facts, self.cursor, request.origin, asked_at, now)
        written = self._account.write(reading)
        if written is None:
            return False
        self._on_their_way.append(written)
        self.cursor = written.composed.cursor
        self._failures = 0
        self._brought = self._brought or written.composed.brought
        if page.sweep is None:
            self._limit = self.facts.page_size
        return True

    async def _written(self, *, but: int) -> None:
        """Wait until all pages are on Kafka, or all but so many."""
        while len(self._on_their_way) > but:
            written = self._on_their_way.popleft()
            await written.durable
            self._condition.show("running", "")
            composed = written.composed
            if composed.raw or composed.letters:
                log.info(
                    "poller.page_committed",
                    raw=len(composed.raw),
                    unchanged=composed.unchanged,
                    set_aside=len(composed.letters),
                    **self._names,
                )

    async def _wait(self, answer: Answer, ids: list[str]) -> None:
        await self._written(but=0)
        self._failures += 1
        log.info(
            "poller.request_failed",
            reason=answer.reason,
            failures=self._failures,
            wait_seconds=round(answer.wait_seconds, 3),
            **self._names,
        )
        if self._failures >= DEGRADED_ATTEMPTS:
            self._condition.show("degraded", answer.reason)
        until = self._clock.now() + timedelta(seconds=answer.wait_seconds)
        if ids:
            self._due_marks.postpone(ids, until)
        await self._sleep_until(until)

    def _ids(self, now: datetime) -> list[str] | None:
        """What a watching stream reads now, None when nothing is due; [] for a list."""
        if not self.facts.ids_max:
            return []
        # Records first seen a moment apart would else be asked for one by one ever after.
        slack = timedelta(seconds=self.facts.interval_seconds / 2)
        return self._due_marks.due(self.facts.name, now, self.facts.ids_max, slack) or None

    @property
    def _due_marks(self) -> Marks:
        """Where a stream that reads by id finds what is due."""
        return self._account.marks(self.facts.parents or self.facts.resource)

    def _next_due(self, started_at: datetime) -> datetime:
        facts = self.facts
        interval = adapted_seconds(facts.interval_seconds, facts.interval_seconds_max, self._quiet)
        regular = next_due(started_at, interval, self._clock.chance())
        if not facts.ids_max:
            return regular
        return min(regular, self._due_marks.next_due(facts.name) or regular)

    async def _until_due(self) -> None:
        """Sleep; what is marked for this stream to read meanwhile wakes it."""
        while True:
            if self.facts.ids_max and self.state != "stopped":
                self.due_at = min(
                    self.due_at, self._due_marks.next_due(self.facts.name) or self.due_at
                )
            seconds = (self.due_at - self._clock.now()).total_seconds()
            if not self.facts.ids_max:
                await self._clock.sleep(max(0.0, seconds))
                return
            if seconds <= 0 or not await self._account.marked(self.facts.name, seconds):
                return

    async def _sleep_until(self, instant: datetime) -> None:
        await self._clock.sleep(max(0.0, (instant - self._clock.now()).total_seconds()))
