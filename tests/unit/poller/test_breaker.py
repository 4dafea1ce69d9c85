"""The breaker of one account."""

from __future__ import annotations

from services.poller.breaker import FAILURES_MAX, PROBE_SECONDS_MAX, Breaker


def opened(now: float, wait_seconds: float) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_MAX):
        breaker.failed(now, wait_seconds)
    return breaker


def test_few_failures_leave_it_closed() -> None:
    """One stream's bad luck does not hold up the others."""
    breaker = Breaker()
    for _ in range(FAILURES_MAX - 1):
        breaker.failed(0.0, 30.0)
    assert (breaker.state, breaker.claim(0.0)) == ("closed", 0.0)
    breaker.succeeded()
    breaker.failed(0.0, 30.0)
    assert breaker.claim(0.0) == 0.0


def test_open_it_lets_nobody_ask_before_its_time() -> None:
    """Every stream waits as long as the one that failed last."""
    breaker = opened(100.0, 30.0)
    assert (breaker.state, breaker.claim(110.0)) == ("open", 20.0)


def test_half_open_a_single_probe_decides() -> None:
    """The first to ask goes, others wait; its success closes, its failure opens again."""
    breaker = opened(100.0, 30.0)
    assert breaker.claim(130.0) == 0.0
    assert breaker.state == "half_open"
    assert breaker.claim(130.0) > 0.0
    breaker.failed(131.0, 60.0)
    assert breaker.claim(131.0) == 60.0
    assert breaker.claim(191.0) == 0.0
    breaker.succeeded()
    assert [breaker.claim(191.0) for _ in range(3)] == [0.0] * 3


def test_a_probe_that_never_came_back_is_given_up() -> None:
    """A canceled probe cannot keep the account shut for good."""
    breaker = opened(0.0, 0.0)
    assert breaker.claim(1.0) == 0.0
    assert breaker.claim(2.0) > 0.0
    assert breaker.claim(1.0 + PROBE_SECONDS_MAX) == 0.0
