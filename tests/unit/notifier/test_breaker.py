"""The breaker of one endpoint, by virtual time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.delivery import Outcome
from services.notifier.breaker import DOWN, FAILURES_MAX, WAIT_SECONDS_MIN, Breaker
from services.notifier.retries import JITTER

MAX = 300.0


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(MAX)
    for _ in range(FAILURES_MAX):
        breaker.landed("transient", at, 0.5)
    return breaker


def probed(breaker: Breaker, at: float, outcome: Outcome) -> None:
    breaker.start()
    breaker.landed(outcome, at, 0.5)


def test_failures_in_a_row_open_it_and_any_answer_between_does_not() -> None:
    """A payload that the endpoint cannot take is no outage."""
    breaker = Breaker(MAX)
    answers: list[Outcome] = ["transient"] * (FAILURES_MAX - 1)
    for outcome in [*answers, "rejected", *answers, "delivered", *answers]:
        assert breaker.wait_seconds(0.0, 3) == 0.0
        breaker.landed(outcome, 0.0, 0.5)

    assert breaker.wait_seconds(0.0, 3) == 0.0
    breaker.landed("busy", 0.0, 0.5)
    assert breaker.state == "open"


def test_two_failures_far_apart_open_it() -> None:
    """An endpoint with one event at a time would have its fifth failure hours later."""
    breaker = Breaker(MAX)
    breaker.landed("transient", 0.0, 0.5)
    breaker.landed("delivered", 10.0, 0.5)
    breaker.landed("transient", 20.0, 0.5)
    breaker.landed("transient", 20.0 + MAX / 2 - 1, 0.5)
    assert breaker.wait_seconds(20.0 + MAX / 2 - 1, 0) == 0
    breaker.landed("transient", 20.0 + MAX / 2, 0.5)

    assert breaker.state == "open"


def test_open_it_lets_one_probe_go_when_its_time_has_come() -> None:
    """And no second one while the first is on its way."""
    breaker = opened()

    assert breaker.wait_seconds(0.25, 0) == WAIT_SECONDS_MIN - 0.25
    assert breaker.wait_seconds(WAIT_SECONDS_MIN, 0) == 0.0
    breaker.start()
    assert breaker.state == "half_open"
    assert breaker.wait_seconds(100.0, 1) == math.inf


def test_tries_from_before_it_opened_decide_nothing_but_a_success_does() -> None:
    """They were begun together: their failures are the same news again."""
    breaker = opened()
    breaker.landed("transient", 0.5, 0.5)
    assert breaker.wait_seconds(WAIT_SECONDS_MIN, 1) == math.inf
    assert breaker.wait_seconds(WAIT_SECONDS_MIN, 0) == 0.0
    breaker.landed("delivered", 0.6, 0.5)

    assert breaker.state == "closed"


def test_each_probe_that_fails_doubles_the_wait_up_to_the_longest() -> None:
    """An endpoint that is down for hours is asked every five minutes, not more."""
    breaker, at, waits = opened(), 0.0, list[float]()
    for _ in range(12):
        at += (wait := breaker.wait_seconds(at, 0))
        waits.append(wait)
        probed(breaker, at, "transient")

    assert waits == [min(MAX, WAIT_SECONDS_MIN * 2**number) for number in range(12)]


@pytest.mark.parametrize("outcome", ["delivered", "rejected", "redirect", "gone"])
def test_a_probe_that_is_answered_closes_it(outcome: Outcome) -> None:
    """Whatever the answer: the endpoint is there, and the next outage begins anew."""
    breaker = opened()
    probed(breaker, 1.0, "transient")
    probed(breaker, 5.0, outcome)

    assert breaker.state == "closed"
    for _ in range(FAILURES_MAX):
        breaker.landed("blocked", 10.0, 0.5)
    assert breaker.wait_seconds(10.0, 0) == WAIT_SECONDS_MIN


def test_a_probe_that_was_given_up_says_nothing() -> None:
    """Another one may go at once."""
    breaker = opened()
    breaker.start()
    breaker.landed(None, 1.0, 0.5)

    assert breaker.state == "open"
    assert breaker.wait_seconds(1.0, 0) == 0.0


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*sorted(DOWN), "delivered", None]),
            st.floats(0, 400),
            st.floats(0, 1, exclude_max=True),
        ),
        max_size=60,
    )
)
def test_however_it_goes_a_probe_is_never_further_than_the_longest_wait(
    tries: list[tuple[Outcome | None, float, float]],
) -> None:
    """So an endpoint that is back is found within it; and open, one try at a time is all."""
    breaker, at = Breaker(MAX), 0.0
    for outcome, seconds, chance in tries:
        at += seconds
        wait_seconds = breaker.wait_seconds(at, 0)
        assert 0 <= wait_seconds <= MAX * (1 + JITTER)
        at += wait_seconds
        assert breaker.wait_seconds(at, 0) == pytest.approx(0, abs=1e-9)
        breaker.start()
        assert breaker.state != "open"
        assert (breaker.wait_seconds(at, 1) == math.inf) == (breaker.state == "half_open")
        breaker.landed(outcome, at, chance)
