"""Digital River as a target against a simulated one: what is written, under every fault there is.

After each of them one reading tells whether it was carried out, by the event's id.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from schemas.write_back import CallItem
from services.notifier.target import (
    Answer,
    Fulfilled,
    Outcome,
    Part,
    TargetOrder,
    Unread,
    WriteTarget,
)
from testbed.faults import CATALOGUE
from testbed.simulators.digital_river import DigitalRiverSimulator
from tests.systems.writing import CALL, ORDER, SECRET, UPDATE, target_at
from tests.unit.testbed.upstream import HandClock

LATE_SECONDS = 60.0  # on the simulator's clock, which is moved by hand


class River:
    """A target that leads to the simulator with one open order of three mugs and a pot."""

    def __init__(self, target: WriteTarget, simulator: DigitalRiverSimulator) -> None:
        self.target = target
        self.simulator = simulator

    async def order(self) -> TargetOrder:
        """The order as it is now."""
        (order,) = await self.target.orders("PO-1", "order_number")
        return order

    @property
    def paid(self) -> list[tuple[str, int]]:
        """Captured and released pieces, in order."""
        return [
            (one["kind"], sum(item["quantity"] for item in one["items"]))
            for one in self.simulator.captures
        ]


def simulated(clock: HandClock) -> DigitalRiverSimulator:
    """It never throttles."""
    simulator = DigitalRiverSimulator(
        clock=clock, token=SECRET, requests_per_second=1_000, burst=1_000
    )
    simulator.put_order(ORDER)
    return simulator


@pytest.fixture
async def river() -> AsyncIterator[River]:
    """Without faults."""
    simulator = simulated(HandClock())
    async with simulator.serve() as url, target_at(url) as target:
        yield River(target, simulator)


async def test_what_was_written_is_read_as_it_was_meant(river: River) -> None:
    """By number and by id; captured once."""
    answer = await river.target.call(CALL)
    order = await river.order()

    assert answer == Answer("done", answer.fulfillment_id)
    assert order.fulfilled == (
        Fulfilled(str(answer.fulfillment_id), (Part("1", 2, 0),), "evt_1", "shp_1", "Z1"),
    )
    assert await river.target.orders("29", "order_id") == [order]
    assert river.paid == [("capture", 2)]
    assert river.target.sent == len(river.simulator.requests) == 5


async def test_more_than_a_page_is_read_whole(river: River) -> None:
    """A hundred at a time, across pages."""
    given = {"orderId": "29", "items": [{"itemId": "1", "quantity": 0, "cancelQuantity": 0}]}
    for number in range(205):
        river.simulator.put({"id": f"ful_{number}", "createdTime": "2026-01-05T08:00:00Z", **given})

    assert len({one.id for one in (await river.order()).fulfilled}) == 205
    lists = [one for one in river.simulator.requests if one["path"].endswith("/fulfillments")]
    assert [one["query"].get("startingAfter") for one in lists] == [None, "ful_105", "ful_5"]


async def test_another_tracking_number_leaves_what_it_is_known_by(river: River) -> None:
    """The event's id, its parts, its shipment; nothing is captured again."""
    made = (await river.target.call(CALL)).fulfillment_id
    answer = await river.target.call(UPDATE.model_copy(update={"fulfillment_id": made}))
    (found,) = (await river.order()).fulfilled

    assert answer == Answer("done", made)
    assert found == Fulfilled(str(made), (Part("1", 2, 0),), "evt_1", "shp_1", "Z2")
    assert river.paid == [("capture", 2)]


async def test_a_fulfilled_order_is_in_conflict_and_read_whole(river: River) -> None:
    """What was canceled counts as what was sent does."""
    rest = (CallItem(line_id="1", cancel_quantity=1), CallItem(line_id="2", quantity=1))
    await river.target.call(CALL)
    await river.target.call(CALL.model_copy(update={"event_id": "evt_2", "items": rest}))
    again = await river.target.call(CALL)
    order = await river.order()

    assert (again.outcome, again.fulfillment_id) == ("conflict", None)
    assert "409 conflict; order_fulfilled orderId" in str(again.detail)
    assert (order.state, [one.event_id for one in order.fulfilled]) == (
        "fulfilled",
        ["evt_2", "evt_1"],
    )
    assert order.refused is not None
    assert river.paid == [("capture", 2), ("capture", 1), ("release", 1)]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"order_id": "30"}, "invalid_parameter orderId"),
    ({"items": (CallItem(line_id="9", quantity=1),)}, "invalid_parameter itemId"),
    ({"items": (CallItem(line_id="1", quantity=4),)}, "invalid_quantity_amount quantity"),
    (
        {"items": (CallItem(line_id="1", quantity=1, shipping_cost="1.20"),)},
        "missing_parameter currency",
    ),
    ({"currency": "dollars"}, "invalid_parameter currency"),
]


@pytest.mark.parametrize(("wrong", "words"), WRONG)
async def test_what_is_wrong_is_refused_in_its_words(
    river: River, wrong: dict[str, Any], words: str
) -> None:
    """Code, parameter and message; nothing is captured."""
    answer = await river.target.call(CALL.model_copy(update=wrong))

    assert (answer.outcome, river.paid) == ("refused", [])
    assert words in str(answer.detail)


async def test_costs_currency_and_partner_are_taken(river: River) -> None:
    """As they were meant, the money as numbers."""
    costly = CallItem(line_id="1", quantity=1, distributor_cost="400.50", shipping_cost="10")
    more = {"items": (costly,), "currency": "EUR", "partner_id": "partner123"}
    await river.target.call(CALL.model_copy(update=more))
    (made,) = river.simulator.written()["fulfillments"]

    assert (made["currency"], made["partnerId"]) == ("EUR", "partner123")
    assert (made["items"][0]["distributorCost"], made["items"][0]["shippingCost"]) == (400.5, 10)


# Fault -> what a call that meets it leads to, and whether it was carried out in the end.
MET: dict[str, tuple[Outcome, bool]] = {
    "status": ("unknown", False),
    "rate_limited": ("busy", False),
    "rate_limited_untold": ("busy", False),
    "rate_limit_storm": ("busy", False),
    "server_error": ("unknown", False),
    "bad_gateway": ("unknown", False),
    "unavailable": ("unknown", False),
    "unauthorized": ("unauthorized", False),
    "stall": ("done", True),
    "hang": ("unknown", True),
    "reset": ("unknown", False),
    "reset_body": ("unknown", True),
    "cut_body": ("unknown", True),
    "broken_json": ("unknown", True),
    "html_200": ("unknown", False),
    "oversized": ("unknown", True),
    "gzip_bomb": ("unknown", True),
    "odd_encoding": ("unknown", True),
    "redirect": ("refused", False),
    "commit_then_reset": ("unknown", True),
    "commit_then_error": ("unknown", True),
    "late_commit": ("unknown", True),
    "slow_commit": ("unknown", True),
}
SECONDS = {"stall": 0.05, "late_commit": LATE_SECONDS, "slow_commit": LATE_SECONDS}
NEVER_ANSWERED = {"hang", "slow_commit"}


def test_every_fault_of_the_wire_and_of_writing_is_met() -> None:
    """A new one has to say what it leads to."""
    assert {one.name for one in CATALOGUE if one.place in ("wire", "write")} == MET.keys()


@pytest.mark.parametrize("name", MET)
async def test_a_reading_tells_whether_a_call_was_carried_out(name: str) -> None:
    """What is certain is told at once, the rest is unknown; at most one capture, ever."""
    clock = HandClock()
    simulator = simulated(clock)
    more = {"seconds": SECONDS[name]} if name in SECONDS else {}
    forever = {"count": None} if name in NEVER_ANSWERED else {}
    simulator.faults.add({"name": name, "method": "POST", "skip": 0, **more, **forever})
    outcomes: set[Outcome] = set()
    async with simulator.serve() as url:
        async with target_at(url, timeout_seconds=0.3 if forever else 60.0) as target:
            # On a slow machine a call may end before it has arrived.
            while not simulator.requests:
                outcomes.add((await target.call(CALL)).outcome)
        clock.pass_seconds(LATE_SECONDS + 1)
        async with target_at(url) as target:
            (order,) = await target.orders("PO-1", "order_number")

    outcome, carried_out = MET[name]
    assert outcome in outcomes <= {outcome, "unsent"}
    assert [one.event_id for one in order.fulfilled] == (["evt_1"] if carried_out else [])
    assert len(simulator.captures) == len(order.fulfilled)


async def test_how_long_it_asks_to_be_left_alone_is_told(river: River) -> None:
    """Of a call and of a reading."""
    river.simulator.faults.add({"name": "rate_limited", "count": 2})
    answer = await river.target.call(CALL)
    with pytest.raises(Unread) as raised:
        await river.order()

    assert (answer.outcome, answer.retry_after_seconds) == ("busy", 1)
    assert (raised.value.outcome, raised.value.retry_after_seconds) == ("busy", 1)


@pytest.mark.parametrize("name", sorted(MET.keys() - NEVER_ANSWERED))
async def test_no_fault_makes_a_reading_tell_less_than_there_is(river: River, name: str) -> None:
    """The order whole, or Unread."""
    made = await river.target.call(CALL)
    river.simulator.faults.add({"name": name, "method": "GET", "skip": 1})
    try:
        orders = await river.target.orders("PO-1", "order_number")
    except Unread:
        orders = []
    river.simulator.faults.clear()

    assert orders == [] or [one.id for one in orders[0].fulfilled] == [made.fulfillment_id]
    assert [one.id for one in (await river.order()).fulfilled] == [made.fulfillment_id]
