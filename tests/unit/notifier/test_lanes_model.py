"""Lanes against a plain model: any mix of additions, tries, ends, retries and changes of order."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from services.notifier.lanes import Lanes, Pending
from tests.soak import sized

SUBSCRIPTIONS = ("erp", "crm")
NAMES = st.sampled_from(SUBSCRIPTIONS)


class LanesMachine(RuleBasedStateMachine):
    """The model is a list of what is unfinished; what may start is said again from the rules."""

    in_flight: Bundle[Pending] = Bundle("in_flight")

    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes()
        self.now = 0.0
        self.unordered: frozenset[str] = frozenset()
        self.unfinished: dict[str, Pending] = {}
        self.begun: set[str] = set()
        self.finished: Counter[str] = Counter()
        self.added: Counter[str] = Counter()

    @rule(offset=st.integers(0, 30), lane=st.sampled_from("ab"), name=NAMES, wait=st.integers(0, 3))
    def add(self, offset: int, lane: str, name: str, wait: int) -> None:
        """Any event, older than what waits or newer; one that is pending is not begun again."""
        key = f"{name}/{lane}{offset}"
        if key in self.unfinished:
            return
        one = Pending(key, name, lane, offset, float(offset), self.now + wait)
        self.lanes.add(one)
        self.unfinished[key] = one
        self.added[key] += 1

    @rule(target=in_flight, name=NAMES, seconds=st.integers(0, 3))
    def start(self, name: str, seconds: int) -> Pending:
        """One more of a subscription; it must be the first due of those whose turn it is."""
        self.now += seconds
        left = {name: 1}

        def claim(subscription: str, due_seconds: float) -> float:
            if due_seconds:
                return due_seconds
            left[subscription] = left.get(subscription, 0) - 1
            return 0.0 if left[subscription] >= 0 else 1.0

        expected = [one for one in self._turn(name) if one.due_at <= self.now]
        begun, _ = self.lanes.due(self.now, claim)
        assert len(begun) == bool(expected)
        for one in begun:
            assert one in expected
            assert one.due_at == min(other.due_at for other in expected)
            self.begun.add(one.key)
            return one
        return Pending("", name, "", 0, 0.0, 0.0)  # nothing was due: ends that do nothing

    @rule(one=consumes(in_flight))
    def finish(self, one: Pending) -> None:
        """Delivered or set aside."""
        if one.key in self.begun:
            self.lanes.finish(one)
            self.begun.discard(one.key)
            del self.unfinished[one.key]
            self.finished[one.key] += 1

    @rule(one=consumes(in_flight), wait=st.integers(0, 5))
    def retry(self, one: Pending, wait: int) -> None:
        """Failed, to be tried later."""
        if one.key in self.begun:
            self.begun.discard(one.key)
            self.lanes.retry(one, self.now + wait)

    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        """Somebody asks for a try now."""
        if self.unfinished:
            key = data.draw(st.sampled_from(sorted(self.unfinished)))
            self.lanes.renew(self.unfinished[key], self.now)

    @rule(names=st.frozensets(NAMES))
    def reorder(self, names: frozenset[str]) -> None:
        """Subscriptions are changed."""
        self.unordered = names
        self.lanes.let_unordered(names)

    @invariant()
    def nothing_is_lost_or_twice(self) -> None:
        """Each addition is unfinished or finished, once."""
        kept = Counter(one.key for one in self.lanes)
        assert kept == Counter(self.unfinished.keys())
        assert self.added == kept + self.finished
        assert len(self.lanes) == len(self.unfinished)
        assert {one.key for one in self.lanes if one.in_flight} == self.begun

    def teardown(self) -> None:
        """All that is left ends, each lane in the order of events."""
        self.lanes.let_unordered(frozenset())
        for key in self.begun:
            self.lanes.retry(self.unfinished[key], self.now)
        self.now += 10
        last: dict[tuple[str, str], int] = {}
        while begun := self.lanes.due(self.now, lambda _, due_seconds: due_seconds)[0]:
            lanes = [(one.subscription, one.lane) for one in begun]
            assert len(lanes) == len(set(lanes))
            for one in begun:
                assert last.get((one.subscription, one.lane), -1) < one.event_offset
                last[one.subscription, one.lane] = one.event_offset
                self.lanes.finish(one)
                del self.unfinished[one.key]
        assert not self.unfinished

    def _turn(self, name: str) -> list[Pending]:
        """Whose turn it is: in an ordered lane the oldest, when none of it is in flight."""
        own = [one for one in self.unfinished.values() if one.subscription == name]
        waiting = [one for one in own if one.key not in self.begun]
        if name in self.unordered:
            return waiting
        busy = {one.lane for one in own if one.key in self.begun}
        oldest: dict[str, Pending] = {}
        for one in sorted(waiting, key=lambda found: found.event_offset):
            oldest.setdefault(one.lane, one)
        return [one for lane, one in oldest.items() if lane not in busy]


def test_lanes_behave_as_the_model_says() -> None:
    """One in flight in each ordered lane, in order, nothing lost, nothing twice."""
    steps = settings(max_examples=sized(37, 150), stateful_step_count=40, deadline=None)
    run_state_machine_as_test(LanesMachine, settings=steps)
