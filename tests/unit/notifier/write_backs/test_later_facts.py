"""What comes after a package left: cancellations, and other tracking numbers."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.subscription import WriteBackChannel
from schemas.write_back import Call, CallItem, Wanted
from services.notifier.target import TargetOrder
from services.notifier.write_backs.files import ItemCosts
from services.notifier.write_backs.verdicts import There
from services.notifier.write_backs.wanting import ITEMS_CANCELED, TRACKING_CHANGED
from tests.unit.notifier.write_backs.made import (
    RETRY,
    at,
    call_of,
    fulfilled,
    items,
    order,
    planned,
    wanted,
    why,
    written,
)

MUGS = order(("a", "mug", 2))


def test_a_cancellation_cancels_pieces_and_nothing_else() -> None:
    """No costs, no partner: nothing shipped."""
    one = wanted(event_type=ITEMS_CANCELED, items=items(mug=2), canceled_in_all=items(mug=2))
    found = planned(
        one.model_copy(update={"shipment_id": None}),
        MUGS,
        channel=WriteBackChannel(target="river", partner_id="acme"),
        costs={"mug": ItemCosts(distributor_cost="1.20")},
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
    earlier = wanted("evt_2", TRACKING_CHANGED, event_at=at(8), tracking_number="1Z 6")
    for other in (written(later, "held"), written(earlier, "done", fulfillment_id="f")):
        found = planned(NUMBER, shown("1Z 6"), known=[PACKAGE, other])
        assert call_of(found).tracking_number == "1Z 7"


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
