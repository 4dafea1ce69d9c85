"""One stream of an account: due, sweep, page by page; stopped, degraded, tried again.

It carries out what the source, `answers` and `composing` decide, and shows its state.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

import structlog

from bus.errors import RetryLater
from bus.telemetry import POLLS, STREAM_STATE
from schemas.cursor import Cursor
from services.poller.account import Account
from services.poller.answers import DEGRADED_ATTEMPTS, Answer, answer_to, answer_to_failure
from services.poller.composing import Reading
from services.poller.schedule import next_due
from services.poller.source import (
    Failure,
    Page,
    Refused,
    Rejected,
    Request,
    Response,
    Stream,
    Sweep,
    Unreadable,
)

State = Literal["starting", "running", "degraded", "stopped", "done"]
UP: dict[State, float] = {"starting": 1, "running": 1, "degraded": 0.5, "stopped": 0, "done": 1}

log = structlog.get_logger(__name__)


class StreamTask:
    """Runs one stream.  `cursor` is what is on Kafka; nothing else is true."""

    def __init__(self, account: Account, stream: Stream, cursor: Cursor) -> None:
        self.facts = stream.facts
        self.cursor = cursor
        self.state: State = "starting"
        self.reason = ""
        self.due_at = account.around.clock.now()
        self._account = account
        self._stream = stream
        self._clock = account.around.clock
        self._limit = self.facts.page_size
        self._failures = 0

    def health(self) -> dict[str, object]:
        """For people: state, why, last success and next time."""
        succeeded_at = self.cursor.succeeded_at
        return {
            "account": self._account.settings.label,
            "stream": self.facts.name,
            "state": self.state,
            "reason": self.reason,
            "failures": self._failures,
            "succeeded_at": succeeded_at.isoformat() if succeeded_at else None,
            "due_at": self.due_at.isoformat(),
            "breaker": self._account.breaker.state,
            "unmarked": self._account.unmarked,
        }

    async def run(self) -> None:
        """Until the slot is let go, its writer is lost, or the stream has nothing more to do."""
        complaint = self._fingerprint_complaint()
        if complaint:
            self._show("stopped", complaint)
            return
        try:
            while not self.cursor.done:
                await self._sleep_until(self.due_at)
                await self._poll()
        except RetryLater as error:
            log.info("poller.stream_left", reason=str(error), **self._names())  # the slot rebuilds
            return
        self._show("done", "")

    async def _poll(self) -> None:
        started_at = self._clock.now()
        ids = self._ids(started_at)
        if ids is None:
            self.due_at = self._next_due(started_at)
            return
        try:
            stopped = await self._sweep(ids)
        except RetryLater:
            raise
        except Exception as error:
            # A bug in a source: this stream stops, visibly, and no other stream of any account.
            log.exception("poller.stream_failed", **self._names())
            stopped = f"an error of ours: {type(error).__name__}: {error}"
        outcome = "stopped" if stopped else "failed" if self._failures else "ok"
        POLLS.labels(*self._names().values(), outcome).inc()
        if stopped:
            self._show("stopped", stopped)
            self._limit = self.facts.page_size
            recheck = timedelta(seconds=self._account.around.poller.recheck_seconds)
            self.due_at = self._clock.now() + recheck
        else:
            self.due_at = self._next_due(started_at)

    async def _sweep(self, ids: list[str]) -> str:
        """A pass to its end: "", or the reason it stopped."""
        sweep = self._begin(ids)
        while True:
            request = self._stream.request(sweep, self._limit)
            outcome = await self._account.ask(self.facts, request)
            page, answer = self._decide(sweep, outcome, ids)
            self._account.heard(answer)
            if page is not None and isinstance(outcome, Response):
                if await self._write(page, request, outcome):
                    if page.sweep is None:
                        return ""
                    sweep = page.sweep
                    continue
                older = Failure("unreadable", "requested before what is known was observed")
                answer = self._answer_to_failure(older, ids)
            if answer.action == "stop":
                return answer.reason
            if answer.action == "halve":
                self._limit = self._asked(ids) // 2
                ids = ids[: self._limit]  # the others stay due
                log.warning("poller.page_halved", limit=self._limit, **self._names())
                sweep = self._begin(ids)
                continue
            await self._wait(answer, ids)
            if self.facts.ids_max:
                return ""  # another record may fare better; this one was postponed
            if self.cursor.sweep is None:
                sweep = self._begin(ids)  # so that the pass begins with its first request

    def _begin(self, ids: list[str]) -> Sweep:
        return self._stream.begin(self.cursor, self._clock.now(), ids)

    def _decide(
        self, sweep: Sweep, outcome: Response | Failure, ids: list[str]
    ) -> tuple[Page | None, Answer]:
        """The page to write, if any, and what the answer means."""
        if isinstance(outcome, Failure):
            return None, self._answer_to_failure(outcome, ids)
        meant = self.facts.meaning(outcome)
        answer = answer_to(
            meant,
            outcome.headers,
            child=bool(self.facts.ids_max),
            attempt=self._failures,
            chance=self._clock.chance(),
            now=self._clock.now(),
        )
        if meant != outcome.status:
            answer = replace(answer, reason=f"{answer.reason} (said as {outcome.status})")
        if answer.action == "set_aside" and len(ids) > 1:
            return None, Answer("halve", answer.reason)  # one of them is wrong, not all
        if answer.action == "set_aside":
            rejected = (Rejected(one, "", answer.reason, outcome.body) for one in ids)
            return Page(rejected=tuple(rejected)), answer
        if answer.action != "read":
            return None, answer
        try:
            return self._stream.read(sweep, outcome), answer
        except Unreadable as error:
            return None, self._answer_to_failure(Failure("unreadable", str(error)), ids)
        except Refused as error:
            return None, Answer("stop", str(error))

    def _answer_to_failure(self, failure: Failure, ids: list[str]) -> Answer:
        chance, limit = self._clock.chance(), self._asked(ids)
        return answer_to_failure(failure, limit=limit, attempt=self._failures, chance=chance)

    def _asked(self, ids: list[str]) -> int:
        """For how many records the request is."""
        return len(ids) or self._limit

    async def _write(self, page: Page, request: Request, response: Response) -> bool:
        """Whether it is on Kafka; False: it must be asked for again."""
        reading = Reading(page, self.facts, self.cursor, request.origin, response.requested_at)
        composed = await self._account.write(reading)
        if composed is None:
            return False
        self.cursor = composed.cursor
        self._failures = 0
        if page.sweep is None:
            self._limit = self.facts.page_size
        self._show("running", "")
        if composed.raw or composed.letters:
            log.info(
                "poller.page_committed",
                raw=len(composed.raw),
                unchanged=composed.unchanged,
                set_aside=len(composed.letters),
                **self._names(),
            )
        return True

    async def _wait(self, answer: Answer, ids: list[str]) -> None:
        self._failures += 1
        log.info(
            "poller.request_failed",
            reason=answer.reason,
            failures=self._failures,
            wait_seconds=round(answer.wait_seconds, 3),
            **self._names(),
        )
        if self._failures >= DEGRADED_ATTEMPTS:
            self._show("degraded", answer.reason)
        until = self._clock.now() + timedelta(seconds=answer.wait_seconds)
        if ids:
            self._account.marks(self.facts.resource).postpone(ids, until)
        await self._sleep_until(until)

    def _ids(self, now: datetime) -> list[str] | None:
        """What a watching stream reads now, None when nothing is due; [] for a list."""
        if not self.facts.ids_max:
            return []
        # Records first seen a moment apart would else be asked for one by one ever after.
        slack = timedelta(seconds=self.facts.interval_seconds / 2)
        marks = self._account.marks(self.facts.resource)
        return marks.due(now, self.facts.ids_max, slack) or None

    def _next_due(self, started_at: datetime) -> datetime:
        regular = next_due(started_at, self.facts.interval_seconds, self._clock.chance())
        if not self.facts.ids_max:
            return regular
        return min(regular, self._account.marks(self.facts.resource).next_due() or regular)

    def _fingerprint_complaint(self) -> str:
        if self.cursor.fingerprint == self.facts.fingerprint:
            return ""
        return (
            "the account's base_url or what the stream asks for has changed under its cursor: "
            "put it back, or set accept_new_cursor = true in this [[accounts]] table to let the "
            "stream start over (records already seen are not repeated)"
        )

    def _show(self, state: State, reason: str) -> None:
        """One log line for each change of state."""
        STREAM_STATE.labels(*self._names().values()).set(UP[state])
        if state != self.state or (reason != self.reason and state == "stopped"):
            write = log.warning if state in ("degraded", "stopped") else log.info
            write("poller.stream_state_changed", state=state, reason=reason, **self._names())
        self.state, self.reason = state, reason

    def _names(self) -> dict[str, str]:
        settings = self._account.settings
        return {"source": settings.source, "account": settings.name, "stream": self.facts.name}

    async def _sleep_until(self, instant: datetime) -> None:
        await self._clock.sleep(max(0.0, (instant - self._clock.now()).total_seconds()))
