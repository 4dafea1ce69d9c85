"""Whether an endpoint may be asked: every reason to wait, by virtual time."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from schemas.delivery import Outcome
from services.notifier.breaker import FAILURES_MAX, WAIT_SECONDS_MIN
from services.notifier.gate import UNSETTLED_FACTOR, Gate, Landing, Moment
from tests.soak import sized


def gate_of(concurrency: int = 2, per_second: float | None = None) -> Gate:
    gate = Gate(300.0)
    gate.limit(concurrency, per_second, 0.0)
    return gate


def moment(seconds: float = 0.0) -> Moment:
    return Moment(1_000_000.0 + seconds, seconds)


def claimed(gate: Gate, seconds: float = 0.0) -> int:
    """Claim all that is let go at this moment."""
    count = 0
    while not gate.claim(moment(seconds), lambda: None):
        count += 1
    return count


def test_no_more_are_in_flight_than_may_be() -> None:
    """One that lands makes room for one."""
    gate = gate_of(2)

    assert claimed(gate) == 2
    gate.landed("delivered", 0.0, 0.5)
    assert claimed(gate) == 1


def test_tries_that_are_not_on_kafka_yet_are_bounded_too() -> None:
    """Else an endpoint that answers faster than Kafka would be asked without a record of it."""
    gate = gate_of(2)
    for _ in range(10):
        for _ in range(claimed(gate)):
            gate.landed("delivered", 0.0, 0.5)

    assert claimed(gate) == 0
    assert not gate.idle
    gate.settled()
    assert claimed(gate) == 1


def test_a_standing_or_paused_endpoint_is_not_asked_and_says_why() -> None:
    """Until its pause ends, or somebody lifts it."""
    gate = gate_of()
    gate.standing = "gone"
    assert (gate.claim(moment(), lambda: None), gate.held(moment())) == (math.inf, "gone")
    gate.standing = None
    gate.paused_until = moment(5).now
    assert (gate.claim(moment(2), lambda: None), gate.held(moment(2))) == (3.0, "paused")

    assert gate.held(moment(5)) is None
    assert claimed(gate, 5) == 2


def test_a_rate_makes_wait_as_long_as_it_takes() -> None:
    """Held for its rate, which costs no try."""
    gate = gate_of(100, per_second=4.0)

    assert claimed(gate) == 4
    assert gate.claim(moment(), lambda: None) == 0.25
    assert gate.held(moment()) == "rate"
    assert claimed(gate, 0.25) == 1


def test_an_endpoint_that_is_down_is_asked_by_one_probe() -> None:
    """However many lanes wait; with its answer all may go."""
    gate = gate_of(FAILURES_MAX)
    for _ in range(claimed(gate)):
        gate.landed("transient", 0.0, 0.5)
        gate.settled()
    assert gate.claim(moment(), lambda: None) == WAIT_SECONDS_MIN
    assert gate.held(moment()) == "breaker"
    assert claimed(gate, WAIT_SECONDS_MIN) == 1
    gate.landed("delivered", WAIT_SECONDS_MIN, 0.5)

    assert gate.held(moment(WAIT_SECONDS_MIN)) is None
    assert claimed(gate, WAIT_SECONDS_MIN) == FAILURES_MAX


def test_a_probe_need_not_be_due() -> None:
    """While the endpoint answers, what is not due waits; while it is down, somebody has to ask."""
    gate = gate_of(FAILURES_MAX)
    assert gate.claim(moment(), lambda: None, due_seconds=3600.0) == 3600.0
    for _ in range(claimed(gate)):
        gate.landed("transient", 0.0, 0.5)
        gate.settled()
    wait_seconds = gate.claim(moment(), lambda: None, due_seconds=3600.0)

    assert wait_seconds == WAIT_SECONDS_MIN
    assert gate.claim(moment(WAIT_SECONDS_MIN), lambda: None, due_seconds=3600.0) == 0
    assert gate.landed("transient", WAIT_SECONDS_MIN, 0.5) == Landing(probe=True, down=True)


def test_a_rate_does_not_spend_a_token_on_what_the_breaker_holds() -> None:
    """The probe would wait for it."""
    gate = gate_of(FAILURES_MAX, per_second=float(FAILURES_MAX + 1))
    for _ in range(claimed(gate)):
        gate.landed("transient", 0.0, 0.5)
        gate.settled()
    for _ in range(50):
        assert gate.claim(moment(0.5), lambda: None) > 0

    assert claimed(gate, WAIT_SECONDS_MIN) == 1


def test_who_was_refused_first_is_told_first_when_there_is_room() -> None:
    """Partitions share one endpoint: each gets its turn, and none that left is told."""
    gate, told = gate_of(1), list[str]()
    assert gate.claim(moment(), lambda: None) == 0
    wakes: dict[str, Any] = {name: (lambda name=name: told.append(name)) for name in "abc"}
    for name in "abca":
        assert gate.claim(moment(), wakes[name]) == math.inf
    gate.leave(wakes["b"])
    gate.landed("delivered", 0.0, 0.5)
    gate.settled()

    assert told == ["a", "c"]


def test_a_changed_endpoint_is_asked_at_once() -> None:
    """What was found about the old one is no news of the new one."""
    gate = gate_of(FAILURES_MAX)
    for _ in range(claimed(gate)):
        gate.landed("transient", 0.0, 0.5)
        gate.settled()
    gate.forget()

    assert claimed(gate) == FAILURES_MAX


class GateMachine(RuleBasedStateMachine):
    """Claims, landings and settlements in any order, with limits that change meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.concurrency = 2
        self.gate = gate_of(2, 3.0)
        self.seconds = 0.0
        self.in_flight = 0
        self.unsettled = 0

    @rule(seconds=st.floats(0, 400))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.seconds += seconds

    @rule()
    def claim(self) -> None:
        """One more try, if it may; who is refused knows when to come again, or is called."""
        called: list[None] = []
        wait_seconds = self.gate.claim(moment(self.seconds), lambda: called.append(None))
        if wait_seconds == 0:
            assert self.in_flight < self.concurrency
            assert self.unsettled < UNSETTLED_FACTOR * self.concurrency
            self.in_flight += 1
            self.unsettled += 1
        elif math.isinf(wait_seconds):
            assert self.unsettled, "somebody has to make room"

    @precondition(lambda self: self.in_flight)
    @rule(outcome=st.sampled_from(["delivered", "transient", "busy", "rejected", None]))
    def land(self, outcome: Outcome | None) -> None:
        """The endpoint answered, or not."""
        self.gate.landed(outcome, self.seconds, 0.5)
        self.in_flight -= 1

    @precondition(lambda self: self.unsettled > self.in_flight)
    @rule()
    def settle(self) -> None:
        """It is written."""
        self.gate.settled()
        self.unsettled -= 1

    @rule(concurrency=st.integers(1, 4), rate=st.none() | st.floats(0.1, 10))
    def limit(self, concurrency: int, rate: float | None) -> None:
        """Partitions come and go, subscriptions are changed."""
        self.concurrency = concurrency
        self.gate.limit(concurrency, rate, self.seconds)

    @invariant()
    def it_counts_right(self) -> None:
        """Idle when nothing is on its way."""
        assert self.gate.idle == (self.unsettled == 0)

    def teardown(self) -> None:
        """When all has ended, a try goes within the longest wait: nothing is held for ever."""
        for _ in range(self.in_flight):
            self.gate.landed(None, self.seconds, 0.5)
        for _ in range(self.unsettled):
            self.gate.settled()
        assert claimed(self.gate, self.seconds + 600) >= 1


def test_a_gate_keeps_its_limits_and_never_shuts_for_good() -> None:
    """Whatever comes in whatever order."""
    run_state_machine_as_test(
        GateMachine, settings=settings(max_examples=sized(25, 100), deadline=None)
    )
