"""When a refusal counts against a child, and when the upstream is to blame."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.poller.marks import SeenMark
from services.poller.refusals import (
    IN_A_ROW_MAX,
    REFUSALS_MIN,
    SET_ASIDE_AFTER,
    WAIT_SECONDS_MAX,
    Refusals,
    counted,
    wait_seconds,
)
from services.poller.source import Rejected

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def refuse(refusals: Refusals, *numbers: int) -> None:
    """Children of these numbers are refused, one after the other."""
    for number in numbers:
        refusals.add(Rejected(str(number), "", "404", b""))


def ids(refused: tuple[Rejected, ...] | None) -> list[str] | None:
    """Whose refusals count; None where the upstream is to blame."""
    return None if refused is None else [one.upstream_id for one in refused]


def test_ten_different_children_in_a_row_blame_the_upstream() -> None:
    """Nine, or one of them ten times, do not; none of the ten counts."""
    refusals = Refusals()
    refuse(refusals, *range(IN_A_ROW_MAX - 1), 0, 0, 0)
    assert not refusals.upstream_refuses
    refuse(refusals, 99)
    assert refusals.upstream_refuses
    assert refusals.stopped() == [str(one) for one in [*range(IN_A_ROW_MAX - 1), 99]]
    assert ids(refusals.succeeded(["1"])) == []


def test_one_success_between_counts_what_was_refused_before_it() -> None:
    """And the row begins anew."""
    refusals = Refusals()
    refuse(refusals, *range(IN_A_ROW_MAX - 1))
    assert ids(refusals.succeeded(["x"])) == [str(one) for one in range(IN_A_ROW_MAX - 1)]
    refuse(refusals, *range(20, 20 + IN_A_ROW_MAX - 1))
    assert not refusals.upstream_refuses


def test_a_pass_of_three_that_are_all_refused_blames_the_upstream() -> None:
    """Two of two do not, nor three beside one that was read."""
    few, all_of_them, others_read = Refusals(), Refusals(), Refusals()
    refuse(few, 1, 2)
    assert ids(few.pass_ended()) == ["1", "2"]
    refuse(all_of_them, 1, 2, 3)
    assert all_of_them.pass_ended() is None
    others_read.succeeded(["x"])
    refuse(others_read, 1, 2, 3)
    assert ids(others_read.pass_ended()) == ["1", "2", "3"]


def test_while_the_upstream_is_to_blame_nothing_counts_until_a_child_is_read() -> None:
    """Not even in a pass of one."""
    refusals = Refusals()
    refuse(refusals, 1, 2, 3)
    assert refusals.pass_ended() is None
    refusals.stopped()
    refuse(refusals, 1)
    assert refusals.pass_ended() is None
    refusals.stopped()
    refuse(refusals, 1)
    assert ids(refusals.succeeded(["2"])) == ["1"]
    refuse(refusals, 1)
    assert ids(refusals.pass_ended()) == ["1"]


def test_children_known_to_be_refused_by_themselves_never_stop_their_reader() -> None:
    """Each was refused before another was read; one that was not makes ten in a row again."""
    refusals = Refusals()
    gone = range(IN_A_ROW_MAX)
    for number in gone:
        refuse(refusals, number)
        refusals.succeeded(["x"])
    refusals.pass_ended()
    refuse(refusals, *gone)
    assert not refusals.upstream_refuses
    assert ids(refusals.pass_ended()) == [str(one) for one in gone]
    refuse(refusals, *gone, 99)
    assert refusals.upstream_refuses


@given(st.floats(0.2, 900), st.integers(0, 3600))
def test_a_child_is_set_aside_after_an_hour_and_never_before(interval: float, late: int) -> None:
    """Asked again each time it is due, or late: at least five times over at least an hour."""
    mark, at, asked = SeenMark("1", "c", NOW, NOW, "orders"), NOW, 0
    while mark.due_at is not None:
        at, asked = mark.due_at + timedelta(seconds=late), asked + 1
        mark = counted(mark, at, interval)
    assert mark.refused_since is not None
    assert at - mark.refused_since >= SET_ASIDE_AFTER
    assert asked >= REFUSALS_MIN
    longest = max(REFUSALS_MIN, 2) * timedelta(seconds=WAIT_SECONDS_MAX + late)
    assert at - mark.refused_since <= SET_ASIDE_AFTER + longest


def test_the_wait_of_a_child_doubles_up_to_fifteen_minutes() -> None:
    """From the interval of its stream on."""
    assert [wait_seconds(n, 120) for n in (1, 2, 3, 4, 99)] == [120, 240, 480, 900, 900]
