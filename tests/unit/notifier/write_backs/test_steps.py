"""How a WriteBack goes on, one step at a time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.write_back import Call, State, WriteBack
from services.notifier.target import Answer, Outcome, Unread
from services.notifier.write_backs.steps import (
    CALLS_MAX,
    Read,
    Wait,
    after_answer,
    after_read,
    after_unread,
    interrupted,
    next_of,
)
from services.notifier.write_backs.verdicts import Hold, Ready, There
from services.notifier.write_backs.wanting import TRACKING_CHANGED
from tests.unit.notifier.write_backs.made import START, at, wanted, written

WAIT_SECONDS = 900.0
CALL = Call(kind="fulfill", order_id="or_1", event_id="evt_1")
RETRY = "then `shipfeed write-backs retry evt_1`"


def sent(state: State = "sending", **fields: Any) -> WriteBack:
    """One that was called at the start."""
    given = {"call": CALL, "calls": 1, "sent_at": START, **fields}
    return written(wanted(), state, **given)


def read(one: WriteBack, plan: Any, seconds: float) -> WriteBack:
    """Its order was read so long after the start."""
    return after_read(one, plan, at(seconds), WAIT_SECONDS)


def seconds(instant: datetime) -> float:
    """Since the start."""
    return (instant - START).total_seconds()


def test_what_is_ready_is_written_down_before_it_is_called() -> None:
    """With the call, its number and its time."""
    found = read(written(wanted(), reason="busy", failures=3), Ready(CALL), 5)

    assert ("sending", CALL, 1, at(5)) == (found.state, found.call, found.calls, found.sent_at)
    assert (found.reason, found.updated_at) == (None, at(5))


def test_what_is_there_is_done_and_what_is_in_the_way_is_held() -> None:
    """Nothing is called for either."""
    done = read(written(wanted()), There("f", ours=False), 5)
    held = read(written(wanted()), Hold("which line?", ("a", "b")), 5)

    assert ("done", "f", True, 0) == (done.state, done.fulfillment_id, done.found, done.calls)
    assert ("held", "which line?", ("a", "b")) == (held.state, held.reason, held.candidates)


def test_what_was_answered_is_done() -> None:
    """As the fulfillment that the target made; it was not only seen there."""
    found = after_answer(sent(), Answer("done", "f"), at(2), 0.5)

    assert ("done", "f", False, None) == (
        found.state,
        found.fulfillment_id,
        found.found,
        found.reason,
    )


def test_an_update_needs_no_id_in_its_answer() -> None:
    """It has one; a fulfillment that the answer does not name is looked up."""
    update = Call(kind="update", order_id="or_1", fulfillment_id="f", event_id="evt_1")

    assert after_answer(sent(call=update), Answer("done"), at(2), 0.5).fulfillment_id == "f"
    assert after_answer(sent(), Answer("done"), at(2), 0.5).state == "unknown"


def test_a_refused_call_is_held_in_the_words_of_the_target() -> None:
    """They say what to correct."""
    found = after_answer(sent(), Answer("refused", detail="400 bad currency"), at(2), 0.5)

    assert found.state == "held"
    expected = "target river, order 1001: the call was refused: 400 bad currency; correct what it "
    assert f"{expected}names, {RETRY}" == found.reason


@pytest.mark.parametrize(
    ("outcome", "retry_after", "failures", "least", "most"),
    [
        ("busy", None, 0, 1, 2),
        ("unsent", None, 3, 1, 16),
        ("busy", None, 40, 1, 300),
        ("busy", 120.0, 0, 120, 120),
        ("busy", 1e9, 0, 24 * 3600, 24 * 3600),
        ("unauthorized", None, 0, 900, 900),
    ],
)
def test_what_was_surely_not_carried_out_waits_and_counts_no_call(
    outcome: Outcome, retry_after: float | None, failures: int, least: float, most: float
) -> None:
    """Full jitter, what the target asks for in full, and long where the key is not taken."""
    answer = Answer(outcome, detail="said", retry_after_seconds=retry_after)
    first, last = (
        after_answer(sent(failures=failures), answer, START, chance) for chance in (0.0, 1.0)
    )

    assert ("waiting", None, 0, failures + 1) == (
        first.state,
        first.call,
        first.calls,
        first.failures,
    )
    assert (least, most) == (seconds(first.due_at), seconds(last.due_at))
    assert f"target river, order 1001: {outcome}: said" == first.reason


def test_a_conflict_is_compared_and_never_sent_again() -> None:
    """Read at once: there, it is done; not there, it is held, whatever the order has room for."""
    asked = after_answer(sent(), Answer("conflict", detail="409"), at(2), 0.5)
    unread = after_unread(asked, Unread("busy", "busy"), at(3), 0.5)

    assert ("waiting", at(2)) == (asked.state, asked.due_at)
    assert read(asked, There("f"), 2).state == "done"
    for one in (asked, unread):
        held = read(one, Ready(CALL), 9)
        assert held.state == "held"
        assert "answered as done already, but the order has room for it" in (held.reason or "")
        assert "but which line?" in (read(one, Hold("which line?"), 9).reason or "")


def test_what_is_unknown_is_read_with_growing_pauses_until_the_wait_is_over() -> None:
    """Twice as late each time, a minute apart at most; then two reads that do not show it."""
    one = after_answer(sent(), Answer("unknown", detail="reset"), START, 0.5)
    dues = []
    while one.state == "unknown":
        dues.append(seconds(one.due_at))
        one = read(one, Ready(CALL), dues[-1])

    assert [1, 2, 4, 8, 16, 32, 64, 124] == dues[:8]
    assert [900, 930] == dues[-2:]
    assert ("sending", 2, at(930), 0) == (one.state, one.calls, one.sent_at, one.empty_reads)


@pytest.mark.parametrize("second", [1, 899, 900, 930])
def test_what_is_unknown_is_done_as_soon_as_it_is_seen(second: float) -> None:
    """It is ours: nothing is on its way any more."""
    one = sent("unknown", empty_reads=1 if second == 930 else 0)

    assert read(one, There("f"), second).state == "done"


def test_what_somebody_else_made_does_not_end_the_wait() -> None:
    """Our own call may still be carried out, and what comes after must not be sent before."""
    one = sent("unknown")

    assert read(one, There("f", ours=False), 899).state == "unknown"
    last = read(one, There("f", ours=False), 900)
    assert "done" == read(last, There("f", ours=False), 930).state


def test_what_is_in_the_way_of_something_unknown_is_told_after_the_wait() -> None:
    """What is held is surely not on its way."""
    one = read(sent("unknown"), Hold("which line?"), 899)
    last = read(read(one, Hold("which line?"), 900), Hold("which line?"), 930)

    assert ("unknown", "held", "which line?") == (one.state, last.state, last.reason)


def test_a_few_calls_that_are_never_seen_are_enough() -> None:
    """Somebody has to look whether the target shows what it does."""
    found = read(sent("unknown", calls=CALLS_MAX, empty_reads=1), Ready(CALL), 931)

    assert "held" == found.state
    assert "3 calls were made and none of them can be seen there; compare" in (found.reason or "")


def test_whoever_takes_over_knows_no_more_than_that_it_was_to_be_called() -> None:
    """It is read at once; anything else stays as it is."""
    found = interrupted(sent(), at(7))

    assert ("unknown", START, at(7)) == (found.state, found.sent_at, found.due_at)
    for state in ("waiting", "unknown", "done", "held"):
        assert sent(state) == interrupted(sent(state), at(7))


def test_an_order_that_cannot_be_read_is_read_again() -> None:
    """As after a call; what will never be read as it is asked for is held, unless it is unknown."""
    busy = after_unread(written(wanted()), Unread("429", "busy", 60), START, 0.5)
    refused = after_unread(written(wanted()), Unread("400 no such way", "refused"), START, 0.5)
    unknown = after_unread(sent("unknown"), Unread("400 no such way", "refused"), START, 0.5)

    assert ("waiting", 60, 1) == (busy.state, seconds(busy.due_at), busy.failures)
    assert "held" == refused.state
    assert "order 1001 could not be read: 400 no such way; correct" in (refused.reason or "")
    assert ("unknown", 900) == (unknown.state, seconds(unknown.due_at))
    assert (unknown.call, unknown.sent_at) == (CALL, START)


def test_an_order_does_one_thing_at_a_time_as_the_events_came() -> None:
    """While one is called nothing is next; what is held or done holds up nobody."""
    first = written(wanted("evt_1", event_at=at(1)), place=9)
    second = written(wanted("evt_2", event_at=at(2)), place=1, due_at=START)
    over = [written(wanted("evt_0"), "held"), written(wanted("evt_3"), "done")]

    assert Read(first) == next_of([second, *over, first], START)
    assert next_of([second, first, sent()], START) is None
    assert next_of(over, START) is None
    later = first.model_copy(update={"due_at": at(5)})
    assert Wait(at(5)) == next_of([second, later], START)


def test_what_is_unknown_goes_before_all_that_waits() -> None:
    """Even what was held, came earlier, and is tried again."""
    unknown = sent("unknown", wanted=wanted("evt_2", event_at=at(2)), due_at=at(5))
    earlier = written(wanted("evt_1", event_at=at(1)))

    assert Wait(at(5)) == next_of([earlier, unknown], START)
    assert Read(unknown) == next_of([earlier, unknown], at(5))


def test_a_number_waits_a_little_for_its_package_and_goes_after_it() -> None:
    """Both are of one observation; without its package it goes on all the same."""
    number = written(wanted("evt_2", TRACKING_CHANGED), place=1)
    package = written(wanted("evt_1"), place=2)
    another = written(wanted("evt_3", package_id="pkg_2"), "done")

    assert Wait(at(10)) == next_of([number, another], START)
    assert Read(number) == next_of([number, another], at(10))
    assert Read(package) == next_of([number, package], START)
    known = package.model_copy(update={"state": "held"})
    assert Read(number) == next_of([number, known], START)


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 10**6), st.none() | st.floats(0, 1e12))
def test_every_wait_has_an_end(chance: float, failures: int, retry_after: float | None) -> None:
    """At least a second, at most a day, after any number of failures."""
    answer = Answer("busy", retry_after_seconds=retry_after)
    found = after_answer(sent(failures=failures), answer, START, chance)

    assert 1 <= seconds(found.due_at) <= max(300, min(retry_after or 0, 24 * 3600)) + 1e-6
