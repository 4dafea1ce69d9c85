"""Any mix of events, answers, crashes and time: once, never too much, and all of it ends."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from schemas.write_back import Wanted, WriteBack
from services.notifier.target import Line, Part
from services.notifier.write_backs.finding import has_number
from services.notifier.write_backs.wanting import ITEMS_CANCELED, SHIPPED, TRACKING_CHANGED
from tests.soak import sized
from tests.unit.notifier.write_backs.made import items, wanted
from tests.unit.notifier.write_backs.world import FATES, KINDLY, Chances, World

EVENTS_MAX = 6  # so that what happens to them counts for more than how many they are

SKUS = st.sampled_from(["pen", "mug"])
NUMBERS = st.sampled_from(["1Z 1", "1Z 2", None])
LATE = [
    Chances(fate="late", late_seconds=late, intent_seconds=intent, crash=crash)
    for late, intent in ((60, 0), (900, 10))
    for crash in (None, "answered")
]
ANSWERED = [Chances(fate=fate, crash=crash) for fate in FATES for crash in (None, "answered")]
OTHERWISE = [
    Chances(crash="read"),
    Chances(crash="intended"),
    Chances(unread="busy"),
    Chances(unread="unauthorized"),
    Chances(unread="unknown"),
    Chances(read_seconds=40, answer_seconds=40),
]
CHANCES = (
    st.just(KINDLY) | st.sampled_from(LATE) | st.sampled_from(ANSWERED) | st.sampled_from(OTHERWISE)
)


class WriteBacks(RuleBasedStateMachine):
    """One order with a SKU on two lines and another on one."""

    @initialize(ordered=st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(3, 9)))
    def begin(self, ordered: tuple[int, int, int]) -> None:
        """Nothing was fulfilled of it yet."""
        names = zip("abc", ("mug", "mug", "pen"), ordered, strict=True)
        self.world = World(tuple(Line(*one) for one in names))
        self.canceled: Counter[str] = Counter()

    @precondition(lambda self: len(self.world.told) < EVENTS_MAX)
    @rule(sku=SKUS, count=st.integers(1, 2), number=NUMBERS, has_id=st.booleans())
    def ship(self, sku: str, count: int, number: str | None, has_id: bool) -> None:
        """A package leaves, all packages being of one record."""
        name = f"pkg_{len(self.world.told)}"
        self._tell(
            SHIPPED,
            package_id=name,
            items=items(**{sku: count}),
            tracking_number=number,
            shipment_id=name if has_id else None,
        )

    @precondition(lambda self: self._told(SHIPPED) and len(self.world.told) < EVENTS_MAX)
    @rule(data=st.data(), number=NUMBERS)
    def change_number(self, data: st.DataObject, number: str | None) -> None:
        """A package gets another number."""
        package = data.draw(st.sampled_from(self._told(SHIPPED)))
        self._tell(TRACKING_CHANGED, package_id=package.package_id, tracking_number=number)

    @precondition(lambda self: len(self.world.told) < EVENTS_MAX)
    @rule(sku=SKUS, count=st.integers(1, 3), back=st.integers(0, 1))
    def cancel(self, sku: str, count: int, back: int) -> None:
        """More is canceled than before, of which some may have been taken back."""
        self.canceled[sku] = max(0, self.canceled[sku] - back) + count
        in_all = items(**self.canceled)
        gone = items(**{sku: count})
        self._tell(ITEMS_CANCELED, package_id=None, items=gone, canceled_in_all=in_all)

    @rule(chances=st.lists(CHANCES, min_size=1, max_size=8))
    def work(self, chances: list[Chances]) -> None:
        """What is next, with whatever happens to it."""
        for one in chances:
            self.world.step(one)

    @rule(chances=CHANCES)
    def suffer(self, chances: Chances) -> None:
        """The same misfortune several times over."""
        for _ in range(10):
            self.world.step(chances)

    @rule(seconds=st.integers(1, 2000))
    def wait(self, seconds: int) -> None:
        """Time passes, and nobody does anything."""
        self.world.wait(seconds)

    @rule()
    def crash(self) -> None:
        """Nobody is at work, and what is written stays as it is."""
        before = dict(self.world.written)
        self.world.crash()
        assert before == self.world.written

    @precondition(lambda self: self.world.told)
    @rule(data=st.data())
    def tell_again(self, data: st.DataObject) -> None:
        """Only what is held is tried again."""
        before = dict(self.world.written)
        held = [one.wanted for one in before.values() if one.state == "held"]
        one = data.draw(st.sampled_from(held or list(self.world.told.values())))
        self.world.take_in(one)
        assert all(
            before[key].state == "held" or before[key] == after
            for key, after in self.world.written.items()
        )

    @precondition(lambda self: self._told(SHIPPED))
    @rule(data=st.data())
    def fulfill_by_hand(self, data: st.DataObject) -> None:
        """Somebody fulfills a package at the target, as far as one of its lines has it left."""
        one = data.draw(st.sampled_from(self._told(SHIPPED)))
        item = (one.items or ())[0]
        for line in self.world.target.lines:
            if line.sku == item.sku and 0 < int(item.quantity) <= self.world.target.left(line):
                part = Part(line.id, int(item.quantity), 0)
                self.world.target.make((part,), None, one.shipment_id, one.tracking_number)
                return

    @invariant()
    def no_event_has_two_fulfillments(self) -> None:
        """Whatever was called how often."""
        made = Counter(one.event_id for one in self.world.target.fulfilled if one.event_id)
        assert all(count == 1 for count in made.values())

    @invariant()
    def no_line_has_more_than_was_ordered(self) -> None:
        """Fulfilled, canceled, or on its way."""
        assert all(self.world.target.left(line) >= 0 for line in self.world.target.lines)

    @invariant()
    def at_most_one_is_unknown(self) -> None:
        """And nothing is left as if it were being called."""
        states = Counter(one.state for one in self.world.written.values())
        assert (states["sending"], states["unknown"]) in {(0, 0), (0, 1)}

    def teardown(self) -> None:
        """With a kind target all of it ends, and what was made is what is told."""
        if not hasattr(self, "world"):
            return
        self.world.settle()
        self.no_event_has_two_fulfillments()
        self.no_line_has_more_than_was_ordered()
        assert not self.world.target.late
        self._all_is_told()
        self._numbers_are_the_last()

    def _all_is_told(self) -> None:
        ended = {one.wanted.event_id: one for one in self.world.written.values()}
        there = {one.id: one for one in self.world.target.fulfilled}
        assert {one.state for one in ended.values()} <= {"done", "held"}
        for one in there.values():
            assert one.event_id is None or ended[one.event_id].state == "done"
        done = [one for one in ended.values() if one.state == "done"]
        assert all(one.fulfillment_id in there for one in done)
        made = [one.fulfillment_id for one in done if one.wanted.event_type != TRACKING_CHANGED]
        assert len(made) == len(set(made)), "two packages are one fulfillment"

    def _numbers_are_the_last(self) -> None:
        """Of each package the last number that is done is the one that is shown."""
        last: dict[str | None, WriteBack] = {}
        for one in sorted(self.world.written.values(), key=lambda one: one.wanted.event_at):
            if one.state == "done" and one.wanted.event_type == TRACKING_CHANGED:
                last[one.fulfillment_id] = one
        for shown in self.world.target.fulfilled:
            if shown.id in last:
                assert has_number(shown, last[shown.id].wanted)

    def _tell(self, event_type: str, **fields: object) -> None:
        self.world.wait(1)
        event_id = f"evt_{len(self.world.told)}"
        given = {"shipment_id": None, "items": None, "event_at": self.world.now, **fields}
        self.world.take_in(wanted(event_id, event_type, **given))

    def _told(self, event_type: str) -> list[Wanted]:
        return [one for one in self.world.told.values() if one.event_type == event_type]


def test_any_mix_of_events_answers_and_crashes() -> None:
    """Never twice, never too much, and it always ends."""
    run_state_machine_as_test(
        WriteBacks,
        settings=settings(max_examples=sized(62, 250), stateful_step_count=50, deadline=None),
    )
