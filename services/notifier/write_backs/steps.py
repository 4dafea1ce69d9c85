"""How a WriteBack goes on: what is its order's next step, and what comes of it.  Pure.

Time and chance are arguments.  Each step takes a WriteBack and gives the one to be written; the
call is made only after the one that is `sending` stands on Kafka.

- An order has one step at a time.  What is `unknown` goes first, since it may still be carried
  out, and nothing of the order is sent until it is known; then what waits, as the events came.
  What is held stands aside, so a tracking number that comes after it finds its package not written
  and is held as well: retry the package first, then that.
- Of one observation the package goes before its tracking number, whichever was taken in first: with
  the package sent, the target has that number.
- An update that ends `unknown` is no different: it is read for until the target shows the number,
  else sent again as any other.  Another number of the package waits behind it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.write_back import State, WriteBack
from services.notifier.retries import RETRY_AFTER_SECONDS_MAX
from services.notifier.target import Answer, Unread
from services.notifier.write_backs.verdicts import Hold, Plan, There, again, place_of
from services.notifier.write_backs.wanting import SHIPPED, TRACKING_CHANGED

INTENT_SECONDS_MAX = 10.0  # from the intent of a call to the call
CALLS_MAX = 3  # that may have been carried out and are not to be seen
WAIT_SECONDS_MIN = 1.0
WAIT_SECONDS_MAX = 300.0
LOOK_SECONDS_MAX = 60.0  # between reads of what is unknown
EMPTY_READS = 2  # after which it was not carried out
EMPTY_READS_APART_SECONDS = 30.0  # more than passes between an intent and its call
UNAUTHORIZED_WAIT_SECONDS = 900.0
PACKAGE_WAIT_SECONDS = 10.0
"""For the package itself, which is right behind a tracking number of the same observation."""


@dataclass(frozen=True, slots=True)
class Read:
    """Read its order at the target now, plan, and go on with `after_read`."""

    write_back: WriteBack


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is due before `until`."""

    until: datetime


def next_of(write_backs: Iterable[WriteBack], now: datetime) -> Read | Wait | None:
    """The next step of one order, all of whose WriteBacks these are.

    None: nothing is left to do, or a call is being made, whose answer comes first.
    """
    known = list(write_backs)
    if any(one.state == "sending" for one in known):
        return None
    open_ones = [one for one in known if one.state in ("unknown", "waiting")]
    if not open_ones:
        return None
    first = min(open_ones, key=_turn)
    due_at = _due_at(first, known)
    return Read(first) if due_at <= now else Wait(due_at)


def after_read(
    write_back: WriteBack, plan: Plan, now: datetime, unknown_wait_seconds: float
) -> WriteBack:
    """What is to be written once its order was read and `plan` made of it.

    `sending` then: to be called as soon as it stands on Kafka.
    """
    if write_back.state == "unknown" and not (isinstance(plan, There) and plan.ours):
        return _not_seen(write_back, plan, now, unknown_wait_seconds)
    return _planned(write_back, plan, now)


def after_answer(write_back: WriteBack, answer: Answer, now: datetime, chance: float) -> WriteBack:
    """What is to be written once the call of one that is `sending` was answered.

    `chance` in [0, 1) spreads what is tried again.
    """
    called, detail = write_back.call, answer.detail
    assert write_back.state == "sending"
    assert called is not None
    match answer.outcome:
        case "done" if found := answer.fulfillment_id or called.fulfillment_id:
            return _ended(write_back, now, "done", fulfillment_id=found, found=False)
        case "done" | "unknown":
            reason = f"whether it was carried out is not known: {detail or 'no answer'}"
            due_at = _after(now, WAIT_SECONDS_MIN)
            return _with(write_back, now, state="unknown", reason=reason, due_at=due_at)
        case "conflict":
            reason = f"{place_of(write_back.wanted)}: it says that this is done already: {detail}"
            return _with(write_back, now, state="waiting", reason=reason, due_at=now)
        case "refused":
            why = f"{place_of(write_back.wanted)}: the call was refused: {detail}"
            return _held(write_back, f"{why}; correct what it names", now)
        case _:
            return _again(write_back, answer, now, chance)


def after_unread(write_back: WriteBack, unread: Unread, now: datetime, chance: float) -> WriteBack:
    """What is to be written once its order could not be read.

    What waits is held when its order is not to be read as it is asked for; what is unknown never
    is: it may have been carried out, so it is looked for again, however long that takes.
    """
    reason = f"{place_of(write_back.wanted)} could not be read: {unread}"
    if write_back.state == "unknown":
        reason = f"whether it was carried out is not known, and {reason}"
    elif unread.outcome == "refused":
        return _held(write_back, f"{reason}; correct that", now)
    return _later(write_back, unread, reason, now, chance)


def interrupted(write_back: WriteBack, now: datetime) -> WriteBack:
    """As it is found by who owns it from now on: whether its call was made is not known."""
    if write_back.state != "sending":
        return write_back
    reason = "whether it was carried out is not known: who sent it has stopped"
    return _with(write_back, now, state="unknown", reason=reason, due_at=now)


def _turn(write_back: WriteBack) -> tuple[bool, datetime, bool, int]:
    wanted = write_back.wanted
    later = wanted.event_type == TRACKING_CHANGED
    return write_back.state != "unknown", wanted.event_at, later, write_back.place


def _due_at(write_back: WriteBack, known: Iterable[WriteBack]) -> datetime:
    """When it is due; a tracking number waits a little for its package to be taken in, too."""
    wanted = write_back.wanted
    package = wanted.fulfillment, wanted.package_id
    if wanted.event_type != TRACKING_CHANGED or any(
        one.wanted.event_type == SHIPPED
        and (one.wanted.fulfillment, one.wanted.package_id) == package
        for one in known
    ):
        return write_back.due_at
    return max(write_back.due_at, _after(write_back.updated_at, PACKAGE_WAIT_SECONDS))


def _planned(write_back: WriteBack, plan: Plan, now: datetime) -> WriteBack:
    """What is surely not on its way: done, held, or to be sent."""
    if isinstance(plan, There):
        return _ended(write_back, now, "done", fulfillment_id=plan.fulfillment_id, found=True)
    if write_back.state == "waiting" and write_back.call is not None:  # after a conflict
        said = f"{place_of(write_back.wanted)}: the call was answered as done already"
        shown = plan.reason if isinstance(plan, Hold) else "the order has room for it, without it"
        return _held(write_back, f"{said}, but {shown}; compare the two", now)
    if isinstance(plan, Hold):
        return _ended(write_back, now, "held", reason=plan.reason, candidates=plan.candidates)
    if write_back.calls >= CALLS_MAX:
        why = f"{write_back.calls} calls were made and none of them can be seen there"
        return _held(write_back, f"{place_of(write_back.wanted)}: {why}; compare the two", now)
    return _with(
        write_back,
        now,
        state="sending",
        reason=None,
        call=plan.call,
        calls=write_back.calls + 1,
        sent_at=now,
        due_at=now,
        empty_reads=0,
    )


def _not_seen(
    write_back: WriteBack, plan: Plan, now: datetime, unknown_wait_seconds: float
) -> WriteBack:
    """What our call made is not seen: it may come, until the wait is over and it twice was not."""
    sent_at = write_back.sent_at
    assert sent_at is not None
    over_at = _after(sent_at, unknown_wait_seconds)
    if now < over_at:
        waited_seconds = (now - sent_at).total_seconds()
        pause_seconds = min(max(waited_seconds, WAIT_SECONDS_MIN), LOOK_SECONDS_MAX)
        due_at = min(_after(now, pause_seconds), over_at)
        return _with(write_back, now, due_at=due_at, failures=0)
    empty_reads = write_back.empty_reads + 1
    if empty_reads < EMPTY_READS:
        due_at = _after(now, EMPTY_READS_APART_SECONDS)
        return _with(write_back, now, due_at=due_at, failures=0, empty_reads=empty_reads)
    return _planned(write_back, plan, now)


def _again(write_back: WriteBack, answer: Answer, now: datetime, chance: float) -> WriteBack:
    """Surely not carried out: as if it had not been called."""
    reason = f"{place_of(write_back.wanted)}: {answer.outcome}: {answer.detail or 'no words'}"
    back = _with(write_back, now, state="waiting", call=None, sent_at=None)
    back = _with(back, now, calls=write_back.calls - 1)
    return _later(back, answer, reason, now, chance)


def _later(
    write_back: WriteBack, said: Answer | Unread, reason: str, now: datetime, chance: float
) -> WriteBack:
    """Full jitter, twice as long after each failure; as long as the target asks for, if longer."""
    most_seconds = min(WAIT_SECONDS_MAX, 2.0 ** min(write_back.failures + 1, 16))
    wait_seconds = WAIT_SECONDS_MIN + chance * (most_seconds - WAIT_SECONDS_MIN)
    if said.outcome in ("unauthorized", "refused"):
        wait_seconds = UNAUTHORIZED_WAIT_SECONDS
    wait_seconds = max(wait_seconds, min(said.retry_after_seconds or 0.0, RETRY_AFTER_SECONDS_MAX))
    failures, due_at = write_back.failures + 1, _after(now, wait_seconds)
    return _with(write_back, now, reason=reason, failures=failures, due_at=due_at)


def _held(write_back: WriteBack, why: str, now: datetime) -> WriteBack:
    return _ended(write_back, now, "held", reason=f"{why}, then {again(write_back.wanted)}")


def _ended(write_back: WriteBack, now: datetime, state: State, **fields: object) -> WriteBack:
    left = {"reason": None, "candidates": (), "failures": 0, "due_at": now}
    return _with(write_back, now, **{**left, **fields, "state": state})


def _with(write_back: WriteBack, now: datetime, **fields: object) -> WriteBack:
    return write_back.model_copy(update={**fields, "updated_at": now})


def _after(instant: datetime, seconds: float) -> datetime:
    return instant + timedelta(seconds=seconds)
