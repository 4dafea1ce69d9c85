"""What is to be done about a Wanted, its order as just read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.subscription import WriteBackChannel
from schemas.write_back import Call, CallItem, Wanted, WantedItem
from services.notifier.write_backs.files import ItemCosts
from services.notifier.write_backs.verdicts import Hold, Ready
from services.notifier.write_backs.wanting import ITEMS_CANCELED
from tests.unit.notifier.write_backs.made import (
    KEY,
    RETRY,
    call_of,
    fulfilled,
    items,
    order,
    planned,
    wanted,
    why,
)

MUGS = order(("a", "mug", 2))
TWO_LINES = order(("a", "mug", 2), ("b", "mug", 1))


def test_a_package_becomes_a_call_with_all_it_says() -> None:
    """The order by the target's id, each line with its pieces, and the event's id."""
    numbers = {"tracking_company": "UPS", "tracking_number": "1Z", "tracking_url": "https://u"}
    found = planned(
        wanted(items=items(mug=2, pen=1), **numbers),
        order(("a", "mug", 2), ("b", "pen", 5)),
        channel=WriteBackChannel(target="river", partner_id="acme"),
    )

    assert call_of(found) == Call(
        kind="fulfill",
        order_id="or_1",
        event_id="evt_1",
        items=(CallItem(line_id="a", quantity=2), CallItem(line_id="b", quantity=1)),
        shipment_id="P1",
        partner_id="acme",
        **numbers,
    )


def test_costs_go_along_in_their_currency() -> None:
    """Only of the SKUs that have any; without any there is no currency either."""
    channel = WriteBackChannel(target="river", currency="USD")
    costs = {"mug": ItemCosts(distributor_cost="1.20", shipping_cost="0.30")}
    both = order(("a", "mug", 2), ("b", "pen", 5))
    with_costs = call_of(
        planned(wanted(items=items(mug=2, pen=1)), both, channel=channel, costs=costs)
    )
    without = call_of(planned(wanted(items=items(pen=1)), both, channel=channel, costs=costs))

    assert with_costs.items == (
        CallItem(line_id="a", quantity=2, distributor_cost="1.20", shipping_cost="0.30"),
        CallItem(line_id="b", quantity=1),
    )
    assert (with_costs.currency, without.currency) == ("USD", None)


def test_costs_without_a_currency_are_held() -> None:
    """It says which setting is missing."""
    found = planned(wanted(), MUGS, costs={"mug": ItemCosts(distributor_cost="1.20")})

    assert (
        "target river, order 1001: line a has costs without a currency; set channel.currency "
        "of subscription river" + RETRY == why(found)
    )


@pytest.mark.parametrize(
    ("one", "orders", "reason", "candidates"),
    [
        (wanted(), (), "no order there has this number", ()),
        (
            wanted(),
            (MUGS, order(id="or_2", state="blocked")),
            "2 orders have it",
            ("or_1 (accepted)", "or_2 (blocked)"),
        ),
        (wanted(items=items(cup=1)), (MUGS,), "SKU cup is on none of its lines", ("mug",)),
        (wanted(items=None), (MUGS,), "what, or how much of it, the package holds", ()),
        (
            wanted(event_type=ITEMS_CANCELED, package_id=None, items=None),
            (MUGS,),
            "what, or how much of it, was canceled",
            (),
        ),
        (
            wanted(items=(*items(mug=1), WantedItem(quantity="1"))),
            (MUGS,),
            "no SKU for 1 of it",
            (),
        ),
        (wanted(items=items(mug="0.5")), (MUGS,), "SKU mug: 0.5 is no whole number", ()),
        (wanted(items=(WantedItem(quantity="2"),)), (MUGS,), "no SKU for 2 of it", ()),
        (
            wanted(items=(WantedItem(sku="mug", quantity="2", unit="KGM"),)),
            (MUGS,),
            "SKU mug: 2 KGM is no number of pieces",
            (),
        ),
        (wanted(items=items(mug=0)), (MUGS,), "no piece of anything", ()),
        (
            wanted(items=items(mug=3)),
            (order(("a", "mug", 4), fulfilled=[fulfilled("f", ("a", 1, 1))]),),
            "SKU mug: 3 wanted, more than the 2 left: line a: 4 ordered, 1 fulfilled, 1 canceled",
            (),
        ),
        (
            wanted(items=items(mug=1)),
            (TWO_LINES,),
            "SKU mug: 1 wanted, of which of 2 lines (line a: 2 left, line b: 1 left) is open",
            ("line a: 2 left", "line b: 1 left"),
        ),
    ],
)
def test_what_is_unclear_or_too_much_is_held(
    one: Wanted, orders: Any, reason: str, candidates: Any
) -> None:
    """With the value that is in the way, what to do, and between what."""
    found = planned(one, *orders)

    assert isinstance(found, Hold)
    assert reason in found.reason
    assert found.reason.endswith(RETRY)
    assert candidates == found.candidates


def test_an_order_that_takes_nothing_is_held_in_the_words_of_the_target() -> None:
    """It is worth a retry only when that has changed."""
    found = planned(wanted(), order(("a", "mug", 2), state="in_review", refused="fraud review"))

    assert "or_1 is in_review: fraud review; once it takes fulfillments, `ship" in why(found)


def test_an_event_without_an_order_is_held_with_its_problem() -> None:
    """Whatever the target has; the candidates are the event's."""
    one = wanted(order=None, problem="the event names 2 orders", candidates=("7", "8"))
    found = planned(one, MUGS)

    assert f"for {KEY}: the event names 2 orders; have subscription river find" in why(found)
    assert isinstance(found, Hold)
    assert found.candidates == ("7", "8")


def test_lines_of_one_sku_are_told_apart_where_there_is_no_choice() -> None:
    """All that is left, or only one of them has anything left."""
    all_of_it = call_of(planned(wanted(items=items(mug=3)), TWO_LINES))
    rest = order(*[("a", "mug", 2), ("b", "mug", 2)], fulfilled=[fulfilled("f", ("a", 1, 1))])
    one_left = call_of(planned(wanted(items=items(mug=1)), rest))

    assert [("a", 2), ("b", 1)] == [(item.line_id, item.quantity) for item in all_of_it.items]
    assert [("b", 1)] == [(item.line_id, item.quantity) for item in one_left.items]


SKUS = ("mug", "pen")
ORDERED = st.lists(st.tuples(st.sampled_from(SKUS), st.integers(0, 5)), min_size=1, max_size=4)
DONE = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 2), st.integers(0, 2)), max_size=4
)
WANTED = st.dictionaries(st.sampled_from(SKUS), st.integers(0, 6))


@given(ORDERED, DONE, WANTED, st.sampled_from([None, ITEMS_CANCELED]))
def test_no_line_ever_gets_more_than_it_has_left(
    ordered: list[tuple[str, int]],
    done: list[tuple[str, int, int]],
    counts: dict[str, int],
    cancels: str | None,
) -> None:
    """All that is wanted is called for, and every line has that left; or nothing is."""
    lines = [(name, sku, count) for name, (sku, count) in zip("abcd", ordered, strict=False)]
    its: dict[str, Any] = {
        "items": items(**counts),
        "canceled_in_all": items(**counts),
        "shipment_id": None,
    }
    one = wanted("evt_1", cancels, **its) if cancels else wanted(**its)
    found = planned(one, order(*lines, fulfilled=[fulfilled("f", *done)]))
    left = {
        name: count - sum(some + gone for line, some, gone in done if line == name)
        for name, _, count in lines
    }
    called: dict[str, int] = dict.fromkeys(counts, 0)
    skus = {name: sku for name, sku, _ in lines}

    assert isinstance(found, Ready | Hold)
    if isinstance(found, Hold):
        return
    for item in found.call.items:
        count = item.cancel_quantity if cancels else item.quantity
        assert 0 < count <= left[item.line_id]
        assert (item.quantity == 0) is (cancels is not None)
        called[skus[item.line_id]] += count
    assert counts == called
    assert len({item.line_id for item in found.call.items}) == len(found.call.items)
