"""One stream of an account: due, sweep, page by page; stopped, degraded, tried again.

It carries out what the source, `answers` and `composing` decide, and shows its state.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from bus.errors import RetryLater
from bus.telemetry import POLLS, PROVEN_UNTIL
from schemas.cursor import Cursor
from services.poller.account import Account, Written
from services.poller.answers import DEGRADED_ATTEMPTS, Answer, child_wait_seconds
from services.poller.composing import Reading
from services.poller.condition import Condition, State
from services.poller.outcome import Asked, understood
from services.poller.parents import UNREAD_MAX
from services.poller.refusals import Refusals, wait_seconds
from services.poller.source import Failure, Page, Rejected, Request, Response, Stream, Sweep
from services.poller.standing import gap_seconds, meaning_changed, proven_until
from services.poller.timetable import Timetable

PAGES_AHEAD = 6  # on their way to Kafka while the next one is fetched and judged
DOUBT_SECONDS = 1.1  # before the next answer, whose Date has whole seconds and must have moved on
UNREAD_SECONDS = 1.0  # between two looks at how many parents are still to be read
WAIT_SHOWN_SECONDS = 10.0  # a shorter one is over before anybody wonders
HELD = (
    "nothing is polled and nothing is written over it; start the build that wrote it, or write a "
    "record that can be read, and restart this copy"
)
PAUSED = "by an operator; shipfeed cursors resume lets it go on"

log = structlog.get_logger(__name__)


class StreamTask:
    """Runs one stream.  `cursor` is what is on Kafka, or on its way there; nothing else is true."""

    def __init__(
        self, account: Account, stream: Stream, cursor: Cursor, unreadable: str = ""
    ) -> None:
        self.facts = stream.facts
        self.cursor_unreadable = bool(unreadable)  # `cursor` is not the one on Kafka
        resources = [one for one in (self.facts.resource, self.facts.parents) if one]
        marks = [key for one in resources for key in account.marks(one).unreadable]
        if marks and not unreadable:
            unreadable = f"{len(marks)} marks cannot be read, such as {marks[0]}: {HELD}"
        self.unreadable = unreadable  # why it is not run: a poll could lose what they say
        self.cursor = cursor
        settings = account.settings
        names = (settings.source, settings.name, self.facts.name)
        self._names = dict(zip(("source", "account", "stream"), names, strict=True))
        self._condition = Condition(self._names)
        self._account = account
        self._stream = stream
        self._clock = account.around.clock
        self._timetable = Timetable(account, stream.facts)
        self._told = False  # whether the upstream had said what time it is when the pass began
        self._limit = self.facts.page_size
        self._failures = 0
        self._quiet = 0  # polls in a row that brought nothing
        self._brought = False
        self._refusals = Refusals()
        self._failed: Counter[str] = Counter()  # by id, in a row
        self._on_their_way: deque[Written] = deque()

    def health(self) -> dict[str, object]:
        """For people: state, why, last success and next time."""
        succeeded_at, proven_at = self.cursor.succeeded_at, self.proven_until
        parked = self._account.budget.parked_seconds(self._clock.monotonic())
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
            "parked_seconds": round(parked, 3),
            "unmarked": self._account.unmarked,
            "refused": self._timetable.refused_count,
        }

    @property
    def proven_until(self) -> datetime | None:
        """Up to which instant nothing is missing."""
        if not self.facts.ids_max:
            return proven_until(self.cursor)
        owed_since, now = self._timetable.owed_since, self._clock.now()
        return proven_until(self.cursor, by_id=True, oldest_due=owed_since, now=now)

    @property
    def due_at(self) -> datetime:
        """When it polls next."""
        return self._timetable.due_at

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
        """Until the slot is let go, its writer is lost, or the stream has nothing more to do.

        An order that lets a halted one go on makes the slot begin anew.
        """
        complaint = self.unreadable or meaning_changed(self.cursor, self.facts)
        if complaint or self.cursor.paused:
            halt: State = "stopped" if complaint else "paused"
            self._condition.show(halt, complaint or PAUSED)
            return
        try:
            while not self.cursor.done:
                await self._turn()
        except RetryLater as error:
            log.info("poller.stream_left", reason=str(error), **self._names)  # the slot rebuilds
            return
        self._condition.show("done", "")

    async def _turn(self) -> None:
        """The next poll, once it is due; whatever goes wrong stops the stream for all to see."""
        try:
            await self._timetable.wait()
            started_at = self._clock.now()
            ids = self._timetable.ids(started_at)
            if ids and self._refusals.doubtful:
                ids = ids[:1]  # of many that are refused together, each would have to be found
            stopped = "" if ids is None else await self._poll(ids)
            if not stopped and self.facts.ids_max:
                stopped = await self._end_pass()
            if not stopped:
                self._timetable.follow(started_at, self._quiet)
            self._measure()
        except RetryLater:
            raise
        except Exception as error:
            # A bug of ours or of a source: this stream stops, and no other stream of any account.
            log.exception("poller.stream_failed", **self._names)
            stopped = f"an error of ours: {type(error).__name__}: {error}"
        if stopped:
            POLLS.labels(*self._names.values(), "stopped").inc()
            self._condition.show("stopped", stopped)
            self._limit = self.facts.page_size
            self._timetable.rest(self._account.around.poller.recheck_seconds)

    def _measure(self) -> None:
        if self.cursor.done:
            PROVEN_UNTIL.remove(*self._names.values())
        elif (proven_at := self.proven_until) is not None:
            PROVEN_UNTIL.labels(*self._names.values()).set(proven_at.timestamp())

    async def _poll(self, ids: Sequence[str]) -> str:
        """A pass, and all of it on Kafka: "", or the reason it stopped."""
        self._brought = False
        stopped = await self._sweep(ids)
        await self._written(but=0)
        if not stopped:
            failed = self._failures or self._refusals.doubtful
            POLLS.labels(*self._names.values(), "failed" if failed else "ok").inc()
            self._quiet = 0 if self._brought else self._quiet + 1
        return stopped

    async def _sweep(self, ids: Sequence[str]) -> str:
        """A pass to its end: "", or the reason it stopped."""
        sweep = self._begin(ids)
        while True:
            await self._until_parents_are_read()
            asked = self._asked(sweep, ids)
            request = self._stream.request(sweep, self._limit)
            outcome, page, answer = await self._answer(request, asked)
            if self._behind():
                sweep = self._begin(ids)
                continue
            stopped = self._refused(page.refused, request) if page is not None else ""
            if page is not None and not stopped:
                if page.only_refused or self._write(page, request, outcome):
                    if page.sweep is None:
                        return ""
                    await self._written(but=PAGES_AHEAD)
                    sweep = page.sweep
                    continue
                older = Failure("unreadable", "requested before what is known was observed")
                answer = asked.answer_to_failure(older, self._clock.chance())
            if stopped or answer.action == "stop":
                return stopped or answer.reason
            if answer.action == "halve":
                half = asked.halved
                self._timetable.hasten(ids[len(half.ids) :])  # their turn is in this pass
                self._limit, ids = half.limit, half.ids
                log.warning("poller.page_halved", limit=half.count, **self._names)
                sweep = self._begin(ids)
                continue
            await self._wait(answer, ids)
            if self.facts.ids_max:
                return ""  # another record may fare better; this one was postponed
            if self.cursor.sweep is None:
                sweep = self._begin(ids)  # so that the pass begins with its first request

    def _asked(self, sweep: Sweep, ids: Sequence[str]) -> Asked:
        silence_seconds_max = self._account.around.poller.retry_after_seconds_max
        by_parent = bool(self.facts.parents)
        return Asked(sweep, ids, self._limit, self._failures, by_parent, silence_seconds_max)

    def _begin(self, ids: Sequence[str]) -> Sweep:
        self._told = self._account.upstream.skew is not None
        now = self._account.upstream.now(self._clock.now())
        return self._stream.begin(self.cursor, now, ids)

    async def _answer(
        self, request: Request, asked: Asked
    ) -> tuple[Response | Failure, Page | None, Answer]:
        """What came, and what it means.

        A page that tells a time far from what is known is asked for again: nothing is written by
        it before other answers have confirmed that time, or have not.
        """
        outcome, page, answer = await self._ask(request, asked)
        while page is not None and self._account.upstream.doubtful:
            told = self._account.upstream.told
            ahead = round(told.total_seconds()) if told else 0
            log.warning("poller.date_doubted", seconds_ahead=ahead, **self._names)
            await self._clock.sleep(DOUBT_SECONDS)
            outcome, page, answer = await self._ask(request, asked)
        return outcome, page, answer

    async def _ask(
        self, request: Request, asked: Asked
    ) -> tuple[Response | Failure, Page | None, Answer]:
        """One answer; the account hears of it whatever becomes of it here."""
        heard = Answer("stop")  # of an error of ours: the way is free for others all the same
        try:
            outcome = await self._account.ask(self.facts, request)
            now, chance = self._clock.now(), self._clock.chance()
            page, heard = understood(self._stream, asked, outcome, chance=chance, now=now)
            return outcome, page, heard
        finally:
            self._account.heard(heard)

    def _behind(self) -> bool:
        """Whether the upstream's clock has turned out to be behind ours since the pass began.

        Then a pass begun by ours would pass over what is written there in between, and count it
        as history.
        """
        upstream = self._account.upstream
        there = upstream.now(self._clock.now())
        if self._told or not upstream.behind:
            return False
        if self.cursor.succeeded_at is None and there < self.cursor.connected_at:
            self.cursor = self.cursor.model_copy(update={"connected_at": there})
        return True

    async def _until_parents_are_read(self) -> None:
        """A list that finds parents waits for those it has found: so many, and no more."""
        if not self.facts.feeds:
            return
        found, reader = self.facts.parents, self.facts.feeds
        marks = self._account.marks(found)
        while (unread := marks.due_count(reader, self._clock.now())) >= UNREAD_MAX:
            reason = f"for stream {reader}: {unread} {found} found are still to be read by it"
            self._condition.show("waiting", reason)
            await self._clock.sleep(UNREAD_SECONDS)

    def _refused(self, refused: Sequence[Rejected], request: Request) -> str:
        """Pass over what was asked for and refused; why the stream stops, if it does."""
        for one in refused:
            self._refusals.add(replace(one, origin=request.origin))
            refusals = self._timetable.refusals(one.upstream_id) + 1
            seconds = wait_seconds(refusals, self.facts.interval_seconds)
            self._timetable.pass_over([one.upstream_id], seconds)
            log.info(
                "poller.child_refused",
                upstream_id=one.upstream_id,
                reason=one.reason,
                refusals=refusals,
                wait_seconds=round(seconds, 3),
                **self._names,
            )
        return self._blame_upstream() if self._refusals.upstream_refuses else ""

    def _blame_upstream(self) -> str:
        """Why the stream stops when its upstream refuses everything.  What was refused is asked for
        again first thing, behind what has not been asked for yet.
        """
        reason = self._refusals.last_reason
        again = self._refusals.stopped()
        self._timetable.pass_over(again, 0)
        return f"{len(again)} asked for in a row were refused, the last one: {reason}"

    async def _end_pass(self) -> str:
        """Count what was refused once nothing is due any more; why the stream stops, if so."""
        now = self._clock.now()
        if self._timetable.ids(now) is not None:
            return ""
        refused = self._refusals.pass_ended()
        if refused is None:
            return self._blame_upstream()
        if self.state == "stopped":  # and what it was refused is due no more, by a list's doing
            self._condition.show("running", "")
        if refused:
            reading = Reading(Page(refused=refused), self.facts, self.cursor, "", now)
            self._take(self._account.write(reading))
            await self._written(but=0)
        return ""

    def _write(self, page: Page, request: Request, outcome: Response | Failure) -> bool:
        """Whether it is on its way to Kafka; False: it must be asked for again."""
        assert isinstance(outcome, Response), "a page was read from an answer"
        if self.facts.ids_max and (page.found or page.rejected or page.parents):
            read = (*(one.upstream_id for one in page.found), *(one.id for one in page.parents))
            page = replace(page, refused=self._refusals.succeeded(read))
            for one in read:
                self._failed.pop(one, None)
        asked_at, now = outcome.requested_at, self._clock.now()
        reading = Reading(page, self.facts, self.cursor, request.origin, asked_at, now)
        if not self._take(self._account.write(reading)):
            return False
        self._failures = 0
        if page.sweep is None:
            self._limit = self.facts.page_size
        return True

    def _take(self, written: Written | None) -> bool:
        """Go on from what is on its way to Kafka, if anything is."""
        if written is None:
            return False
        self._on_their_way.append(written)
        self.cursor = written.composed.cursor
        self._brought = self._brought or written.composed.brought
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

    async def _wait(self, answer: Answer, ids: Sequence[str]) -> None:
        await self._written(but=0)
        self._failures += 1
        log.info(
            "poller.request_failed",
            reason=answer.reason,
            failures=self._failures,
            wait_seconds=round(answer.wait_seconds, 3),
            retry_after=answer.retry_after,
            **self._names,
        )
        if self._failures >= DEGRADED_ATTEMPTS:
            self._condition.show("degraded", answer.reason)
        elif answer.wait_seconds >= WAIT_SHOWN_SECONDS:
            again = f"{answer.reason}; asked again in {answer.wait_seconds:.0f} s"
            self._condition.show("waiting", again)
        for one in ids:  # each by its own failures: those of the stream end when another is read
            self._failed[one] += 1
            seconds = max(answer.wait_seconds, child_wait_seconds(self._failed[one]))
            self._timetable.pass_over([one], seconds)
        await self._clock.sleep(answer.wait_seconds)
