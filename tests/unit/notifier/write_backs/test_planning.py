"""What is to be done about a Wanted, its order as just read."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.subscription import WriteBackChannel
from schemas.write_back import Call, CallItem, Wanted, WantedItem
from services.notifier.target import TargetOrder
from services.notifier.write_backs.planning import plan
from services.notifier.write_backs.verdicts import Hold, Plan, Ready, There
from services.notifier.write_backs.wanting import ITEMS_CANCELED, TRACKING_CHANGED
from tests.unit.notifier.write_backs.made import (
    CHANNEL,
    KEY,
    at,
    fulfilled,
    items,
    order,
    wanted,
    written,
)


class Costs(NamedTuple):
    """Of a piece."""

    distributor_cost: str | None = None
    shipping_cost: str | None = None


MUGS = order(("a", "mug", 2))
TWO_LINES = order(("a", "mug", 2), ("b", "mug", 1))
RETRY = ", then `shipfeed write-backs retry evt_1`"


def planned(
    one: Wanted,
    *orders: TargetOrder,
    channel: WriteBackChannel = CHANNEL,
    costs: Any = None,
    known: Any = (),
) -> Plan:
    """The plan for it, its target having these orders."""
    return plan(one, orders, channel, costs or {}, known)


def why(made: Plan) -> str:
    """The reason of what has to be held."""
    assert isinstance(made, Hold)
    return made.reason


def call_of(made: Plan) -> Call:
    """The call of what is ready."""
    assert isinstance(made, Ready)
    return made.call


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
    costs = {"mug": Costs(distributor_cost="1.20", shipping_cost="0.30")}
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
    found = planned(wanted(), MUGS, costs={"mug": Costs(distributor_cost="1.20")})

    assert (
        "target river, order 1001: line a has costs without a currency; set channel.currency "
        "of subscription river" + RETRY == why(found)
    )


@pytest.mark.parametrize(
    ("one", "orders", "reason", "candidates"),
    [
        (wanted(), (), "there is none (order_number)", ()),
        (
            wanted(),
            (MUGS, order(id="or_2", state="blocked")),
            "2 orders have it",
            ("or_1 (accepted)", "or_2 (blocked)"),
        ),
        (wanted(items=items(cup=1)), (MUGS,), "SKU cup is on none of its lines", ("mug",)),
        (wanted(items=None), (MUGS,), "does not say what the package holds", ()),
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


@pytest.mark.parametrize("refused", [None, "all of it is fulfilled"])
def test_what_carries_the_event_is_there(refused: str | None) -> None:
    """Whatever it holds, however the order stands, and whichever of two orders has it."""
    has_it = order(fulfilled=[fulfilled("f", ("a", 9, 9), event_id="evt_1")], refused=refused)

    assert There("f") == planned(wanted(), MUGS, has_it)
    assert There("f") == planned(wanted(event_type=ITEMS_CANCELED), has_it)


def test_what_has_the_shipment_id_and_the_pieces_is_there() -> None:
    """By whomever it was made, and for whatever event: it is this package."""
    for event_id in (None, "evt_9"):
        has_it = fulfilled("f", ("a", 2, 0), shipment_id="P1", event_id=event_id)

        found = planned(wanted(), order(("a", "mug", 2), fulfilled=[has_it]))
        assert There("f", ours=False) == found


def test_what_has_the_shipment_id_but_other_pieces_is_held() -> None:
    """Nothing is added to what somebody else began; a cancellation beside it says nothing."""
    has_some = fulfilled("f", ("a", 1, 0), shipment_id="P1")
    only_canceled = fulfilled("f", ("a", 0, 1), shipment_id="P1")
    held = planned(wanted(), order(("a", "mug", 4), fulfilled=[has_some]))

    assert "f has the shipment id P1 but 1 x mug, where 2 x mug shipped; compare" in why(held)
    call_of(planned(wanted(), order(("a", "mug", 4), fulfilled=[only_canceled])))


def test_what_has_the_number_and_the_pieces_is_there() -> None:
    """However the number is spelled; other pieces are another package."""
    has_it = order(("a", "mug", 4), fulfilled=[fulfilled("f", ("a", 2, 0), tracking_number="1z-5")])

    assert There("f", ours=False) == planned(wanted(tracking_number="1Z 5"), has_it)
    call_of(planned(wanted(tracking_number="1Z 5", items=items(mug=1)), has_it))
    call_of(planned(wanted(), has_it))


def test_two_packages_of_one_number_are_both_fulfilled() -> None:
    """What was made, or found, for the first is not taken for the second."""
    first = wanted("evt_9", package_id="pkg_9", shipment_id=None, tracking_number="1Z")
    second = wanted(shipment_id=None, tracking_number="1Z")
    known = written(first, "done", fulfillment_id="f")
    for event_id in ("evt_9", None):
        made = fulfilled("f", ("a", 2, 0), tracking_number="1Z", event_id=event_id)
        both = order(("a", "mug", 4), fulfilled=[made])

        call_of(planned(second, both, known=[known]))


def test_what_was_found_for_one_package_is_not_found_for_another() -> None:
    """By its number it was taken for the first; its shipment id is the second's."""
    made = fulfilled("f", ("a", 2, 0), tracking_number="1Z", shipment_id="P1")
    first = wanted("evt_9", package_id="pkg_9", shipment_id=None, tracking_number="1Z")
    known = [written(first, "done", fulfillment_id="f", found=True)]
    found = planned(wanted(), order(("a", "mug", 4), fulfilled=[made]), known=known)

    assert "f has the shipment id P1, but counts as that of event evt_9 already" in why(found)


def test_a_number_that_another_record_used_is_held() -> None:
    """Is it the same parcel told twice, or two parcels of one number?  Nobody knows."""
    elsewhere = wanted("evt_9", fulfillment="shop/acme/fulfillment/5", tracking_number="1Z")
    made = fulfilled("f", ("a", 2, 0), tracking_number="1Z", event_id="evt_9")
    both = order(("a", "mug", 4), fulfilled=[made])
    known = [written(elsewhere, "done", fulfillment_id="f")]
    one = wanted(tracking_number="1Z")

    assert "f, made for another event, has the number 1Z" in why(planned(one, both, known=known))
    assert "f, made for another event" in why(planned(one, both))


def test_a_cancellation_cancels_pieces_and_nothing_else() -> None:
    """No costs, no partner: nothing shipped."""
    one = wanted(event_type=ITEMS_CANCELED, items=items(mug=2), canceled_in_all=items(mug=2))
    found = planned(
        one.model_copy(update={"shipment_id": None}),
        MUGS,
        channel=WriteBackChannel(target="river", partner_id="acme"),
        costs={"mug": Costs(distributor_cost="1.20")},
    )

    assert call_of(found) == Call(
        kind="fulfill",
        order_id="or_1",
        event_id="evt_1",
        items=(CallItem(line_id="a", cancel_quantity=2),),
    )


def canceled(event_id: str, second: int, more: int, in_all: int) -> Wanted:
    """A cancellation of so many more, which makes so many."""
    return wanted(
        event_id,
        ITEMS_CANCELED,
        event_at=at(second),
        items=items(mug=more),
        canceled_in_all=items(mug=in_all),
    )


def test_what_was_taken_back_in_between_is_not_canceled_twice() -> None:
    """The source went from 2 to 1 and to 2 again: the second of them is canceled already."""
    known = [written(canceled("evt_0", 0, 2, 2), "done", fulfillment_id="f")]
    found = planned(canceled("evt_1", 9, 1, 2), order(("a", "mug", 9)), known=known)

    assert (
        "SKU mug: 2 canceled for earlier events and 1 more, but the source has canceled 2"
        in why(found)
    )


def test_an_earlier_cancellation_is_made_up_for() -> None:
    """What the later one says in all has room for it."""
    known = [
        written(canceled("evt_2", 9, 1, 2), "done", fulfillment_id="f"),
        written(canceled("evt_3", 5, 1, 7), "held"),
        written(wanted("evt_4"), "done", fulfillment_id="g"),
    ]
    found = planned(canceled("evt_1", 0, 1, 1), order(("a", "mug", 9)), known=known)

    assert call_of(found).items == (CallItem(line_id="a", cancel_quantity=1),)


NUMBER = wanted("evt_1", TRACKING_CHANGED, event_at=at(9), tracking_number="1Z 7")
PACKAGE = written(wanted("evt_0"), "done", fulfillment_id="f")


def shown(number: str | None, refused: str | None = None) -> TargetOrder:
    """The order, its package fulfilled under this number."""
    made = fulfilled("f", ("a", 2, 0), event_id="evt_0", tracking_number=number)
    return order(("a", "mug", 2), fulfilled=[made], refused=refused)


def test_another_number_is_for_the_fulfillment_of_its_package() -> None:
    """An order that is fulfilled takes it all the same; once it shows it, it is there."""
    one = NUMBER.model_copy(update={"tracking_company": "UPS"})
    found = planned(one, shown("1Z 5", "all of it is fulfilled"), known=[PACKAGE])

    assert call_of(found) == Call(
        kind="update",
        order_id="or_1",
        fulfillment_id="f",
        event_id="evt_1",
        tracking_company="UPS",
        tracking_number="1Z 7",
    )
    assert There("f") == planned(one, shown("1Z7"), known=[PACKAGE])


def test_an_earlier_number_does_not_replace_a_later_one() -> None:
    """What was held and is tried again is done with the one that came after it."""
    later = wanted("evt_2", TRACKING_CHANGED, event_at=at(10), tracking_number="1Z 8")
    known = [PACKAGE, written(later, "done", fulfillment_id="f")]

    assert There("f") == planned(NUMBER, shown("1Z 8"), known=known)
    later_is_held = [PACKAGE, written(later, "held")]
    assert call_of(planned(NUMBER, shown("1Z 5"), known=later_is_held)).tracking_number == "1Z 7"


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (
            [],
            "its package pkg_1 was never asked for; see that its package is fulfilled there first",
        ),
        ([written(wanted("evt_0"), "held")], "its package pkg_1 is held"),
        (
            [written(wanted("evt_0", package_id="pkg_2"), "done", fulfillment_id="f")],
            "its package pkg_1 was never asked for",
        ),
        (
            [written(wanted("evt_0"), "done", fulfillment_id="g")],
            "its package became fulfillment g, which is not there",
        ),
    ],
)
def test_a_number_needs_its_package_to_be_there(known: Any, reason: str) -> None:
    """The package first; then it is worth a retry."""
    found = why(planned(NUMBER, shown("1Z 5"), known=known))

    assert reason in found
    assert found.endswith(RETRY)


def test_a_number_that_is_gone_cannot_be_taken_back() -> None:
    """It says which one stands there."""
    gone = NUMBER.model_copy(update={"tracking_number": None})
    found = planned(gone, shown("1Z 5"), known=[PACKAGE])

    assert "no tracking number any more, fulfillment f has 1Z 5" in why(found)


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
