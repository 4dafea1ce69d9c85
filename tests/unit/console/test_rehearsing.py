"""What would be sent, held or left alone, before anything is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from console.rehearsing import Rehearsal
from schemas.subscription import WriteBackChannel
from schemas.write_back import Call, OrderWay, State, Wanted, WantedItem, WriteBack
from services.notifier.target import Answer, Fulfilled, Line, Part, TargetOrder
from services.notifier.write_backs.wanting import SHIPPED, TRACKING_CHANGED

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHANNEL = WriteBackChannel(target="river")
ORDER = TargetOrder("7", "accepted", (Line("l1", "mug", 3),), ())


class Shown:
    """A target of which nothing but the words of a request are asked."""

    sent = 0

    async def orders(self, order: str, way: OrderWay) -> Sequence[TargetOrder]:
        """Whoever rehearses has read them."""
        raise AssertionError(order, way)

    async def order_of(self, fulfillment_id: str) -> str | None:
        """Nothing is settled here."""
        raise AssertionError(fulfillment_id)

    async def call(self, call: Call) -> Answer:
        """A rehearsal calls nothing."""
        raise AssertionError(call)

    def request(self, call: Call) -> tuple[str, str, Mapping[str, Any]]:
        """The call's own words."""
        return call.kind, call.fulfillment_id or call.order_id, {"items": len(call.items)}

    async def close(self) -> None:
        """Nothing is open."""


def wanted(number: int, count: int = 2, *, package: int | None = None, **more: Any) -> Wanted:
    """So many mugs of order 100, in a package of the event's number."""
    values: dict[str, Any] = {
        "order": "100",
        "event_type": SHIPPED,
        "items": (WantedItem(sku="mug", quantity=str(count)),),
        "tracking_number": f"Z{number}",
    }
    return Wanted(
        subscription="dr",
        target="river",
        way="order_number",
        event_id=f"evt_{number}",
        event_at=NOON + timedelta(minutes=number),
        fulfillment="zentail/acme/orders/1",
        package_id=f"pkg_{package or number}",
        **{**values, **more},
    )


def known(wish: Wanted, state: State, **more: Any) -> WriteBack:
    return WriteBack(wanted=wish, place=0, state=state, due_at=NOON, updated_at=NOON, **more)


def rehearsal(*before: WriteBack) -> Rehearsal:
    return Rehearsal(CHANNEL, {}, Shown(), before)


def decided(asked: Rehearsal, order: TargetOrder, *wishes: Wanted) -> list[tuple[str, str]]:
    """Each outcome, and what it says or where it would go."""
    found: list[tuple[str, str]] = []
    for wish in wishes:
        if asked.unseen(wish):
            asked.saw(wish, [order])
        one = asked.decided(wish)
        found.append((one.outcome, one.says or f"{one.method} {one.path}"))
    return found


def test_what_would_be_sent_counts_for_those_after_it() -> None:
    """Two packages of two mugs are too many for an order of three."""
    (first, where), (second, why) = decided(rehearsal(), ORDER, wanted(1), wanted(2))

    assert (first, where) == ("send", "fulfill 7")
    assert second == "held"
    assert "2 fulfilled" in why


def test_another_number_is_for_the_fulfillment_that_would_be_made() -> None:
    """Told by a name that nothing has yet; once it has the number, it would be there."""
    later = wanted(2, package=1, event_type=TRACKING_CHANGED)
    again = wanted(3, package=1, event_type=TRACKING_CHANGED, tracking_number="Z2")
    found = decided(rehearsal(), ORDER, wanted(1), later, again)

    assert found == [("send", "fulfill 7"), ("send", "update NEW-1"), ("there", "NEW-1")]


def test_what_is_there_is_not_sent() -> None:
    """Whoever made it; and it counts as the package's, for what is told of that later."""
    made = Fulfilled("ful_1", (Part("l1", 2, 0),), tracking_number="Z1")
    order = TargetOrder("7", "accepted", ORDER.lines, (made,))
    later = wanted(2, package=1, event_type=TRACKING_CHANGED)

    assert decided(rehearsal(), order, wanted(1), later) == [
        ("there", "ful_1"),
        ("send", "update ful_1"),
    ]


@pytest.mark.parametrize(
    ("state", "more", "says"),
    [
        ("done", {"fulfillment_id": "ful_1"}, "ful_1"),
        ("unknown", {"reason": "no answer"}, "no answer"),
        ("waiting", {"reason": "busy"}, "busy"),
        ("sending", {}, ""),
    ],
)
def test_what_was_wanted_before_stays_as_it_is(
    state: State, more: dict[str, Any], says: str
) -> None:
    """Its order need not even be read."""
    found = rehearsal(known(wanted(1), state, **more)).settled(wanted(1))

    assert found is not None
    assert (found.outcome, found.says) == (state, says)


def test_what_is_held_is_decided_anew() -> None:
    """As it would be by its owner, who is asked for it again."""
    asked = rehearsal(known(wanted(1), "held", reason="order 100 is in review"))

    assert asked.settled(wanted(1)) is None
    assert decided(asked, ORDER, wanted(1)) == [("send", "fulfill 7")]


def test_an_event_without_an_order_is_held_and_reads_none() -> None:
    """There is nothing to ask the target for."""
    wish = wanted(1, order=None, problem="the event names no order")
    asked = rehearsal()

    assert not asked.unseen(wish)
    assert asked.decided(wish).outcome == "held"
