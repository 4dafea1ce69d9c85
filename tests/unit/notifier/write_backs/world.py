"""A target with one order, and an owner that works on it: all in memory, time moved by hand.

The target guards nothing: it carries out whatever is called, so that what must not be called is
seen.  The owner forgets, when it crashes, all that was not written.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, get_args

from schemas.write_back import Call, Wanted, WriteBack
from services.notifier.target import Answer, Fulfilled, Line, Part, TargetOrder, Unread
from services.notifier.write_backs.planning import plan
from services.notifier.write_backs.standing import taken_in
from services.notifier.write_backs.steps import (
    Read,
    Wait,
    after_answer,
    after_read,
    after_unread,
    interrupted,
    next_of,
)
from tests.unit.notifier.write_backs.made import CHANNEL, START, written

UNKNOWN_WAIT_SECONDS = 900.0
STEPS_MAX = 2000

Crash = Literal["read", "intended", "answered"]
Fate = Literal[
    "done", "lost after", "late", "lost before", "busy", "unsent", "unauthorized", "conflict",
    "refused",
]  # fmt: skip
FATES: tuple[Fate, ...] = get_args(Fate)
ANSWERS: dict[Fate, Answer] = {
    "busy": Answer("busy", retry_after_seconds=120),
    "unsent": Answer("unsent"),
    "unauthorized": Answer("unauthorized"),
    "conflict": Answer("conflict"),
    "refused": Answer("refused"),
}


@dataclass(frozen=True)
class Chances:
    """How one step goes.  Seconds: from the read to the plan, to the call, to its answer; and how
    much later than its call a late one is carried out.
    """

    unread: Literal["busy", "unauthorized", "unknown"] | None = None
    crash: Crash | None = None
    fate: Fate = "done"
    read_seconds: int = 0
    intent_seconds: int = 0
    answer_seconds: int = 0
    late_seconds: int = 0


KINDLY = Chances()


@dataclass
class Target:
    """An order of so many lines, what was fulfilled of it, and what is still on its way."""

    lines: tuple[Line, ...]
    fulfilled: list[Fulfilled] = field(default_factory=list)
    late: list[tuple[datetime, Call]] = field(default_factory=list)
    made: int = 0

    def order(self) -> TargetOrder:
        """As it is shown now."""
        return TargetOrder("or_1", "accepted", self.lines, tuple(self.fulfilled))

    def pass_to(self, now: datetime) -> None:
        """Carry out what was late until now."""
        due = [call for at, call in self.late if at <= now]
        self.late = [one for one in self.late if one[0] > now]
        for call in due:
            self.carry_out(call)

    def carry_out(self, call: Call) -> str:
        """Without a question; the fulfillment's id."""
        if call.kind == "update":
            for index, one in enumerate(self.fulfilled):
                if one.id == call.fulfillment_id:
                    self.fulfilled[index] = replace(one, tracking_number=call.tracking_number)
            return call.fulfillment_id or ""
        parts = [Part(one.line_id, one.quantity, one.cancel_quantity) for one in call.items]
        given = call.event_id, call.shipment_id, call.tracking_number
        return self.make(tuple(parts), *given)

    def make(
        self,
        parts: tuple[Part, ...],
        event_id: str | None,
        shipment: str | None,
        number: str | None,
    ) -> str:
        """One more fulfillment."""
        self.made += 1
        self.fulfilled.append(Fulfilled(f"ful_{self.made}", parts, event_id, shipment, number))
        return self.fulfilled[-1].id

    def left(self, line: Line) -> int:
        """Of a line, when all that is on its way has come."""
        done = [
            part.quantity + part.canceled
            for one in self.fulfilled
            for part in one.parts
            if part.line_id == line.id
        ]
        coming = [
            one.quantity + one.cancel_quantity
            for _, call in self.late
            for one in call.items
            if one.line_id == line.id
        ]
        return line.ordered - sum(done) - sum(coming)


class World:
    """`written`: what stands on Kafka, by key; `told`: every event, by its id."""

    def __init__(self, lines: tuple[Line, ...]) -> None:
        self.now = START
        self.target = Target(lines)
        self.written: dict[str, WriteBack] = {}
        self.told: dict[str, Wanted] = {}
        self.calls: list[Call] = []

    def take_in(self, wanted: Wanted) -> None:
        """What is held is tried again; of anything else that is known nothing changes."""
        self.told[wanted.event_id] = wanted
        key = written(wanted).key
        after = taken_in(wanted, self.written.get(key), len(self.written), self.now)
        if after is not None:
            self.written[key] = after

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)
        self.target.pass_to(self.now)

    def crash(self) -> None:
        """What is not written is forgotten."""
        self.written = {key: interrupted(one, self.now) for key, one in self.written.items()}

    def step(self, chances: Chances) -> bool:
        """The next one, or time until it is due; false: there is none."""
        step = next_of(self.written.values(), self.now)
        if isinstance(step, Wait):
            self.wait((step.until - self.now).total_seconds())
        elif isinstance(step, Read):
            self._read(step.write_back, chances)
        return step is not None

    def settle(self) -> None:
        """All that can be done is, without a fault."""
        self.crash()
        steps = 0
        while self.step(KINDLY):
            steps += 1
            assert steps < STEPS_MAX, "it goes on for ever"

    def _read(self, one: WriteBack, chances: Chances) -> None:
        if chances.unread is not None:
            self._write(after_unread(one, Unread("no", chances.unread, 60), self.now, 0.5))
            return
        shown = self.target.order()
        self.wait(chances.read_seconds)
        known = [other for other in self.written.values() if other.key != one.key]
        made = plan(one.wanted, [shown], CHANNEL, {}, known)
        after = after_read(one, made, self.now, UNKNOWN_WAIT_SECONDS)
        if chances.crash == "read":
            self.crash()
            return
        self._write(after)
        if after.state == "sending":
            self._call(after, chances)

    def _call(self, one: WriteBack, chances: Chances) -> None:
        if chances.crash == "intended":
            self.crash()
            return
        self.wait(chances.intent_seconds)
        assert one.call is not None
        answer = self._answered(one.call, chances)
        self.wait(chances.answer_seconds)
        if chances.crash == "answered":
            self.crash()
            return
        self._write(after_answer(one, answer, self.now, 0.5))

    def _answered(self, call: Call, chances: Chances) -> Answer:
        assert not self.target.late, "one call at a time, and none while another may come"
        self.calls.append(call)
        fate = chances.fate
        if fate in ("done", "lost after"):
            made = self.target.carry_out(call)
            return Answer("done", made) if fate == "done" else Answer("unknown")
        if fate == "late":
            late_seconds = min(chances.late_seconds, UNKNOWN_WAIT_SECONDS)
            self.target.late.append((self.now + timedelta(seconds=late_seconds), call))
        return ANSWERS.get(fate, Answer("unknown"))

    def _write(self, one: WriteBack) -> None:
        self.written[one.key] = one
