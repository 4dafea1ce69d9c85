"""Whether a target has a package already, whoever fulfilled it."""

from __future__ import annotations

import pytest

from services.notifier.write_backs.verdicts import There
from services.notifier.write_backs.wanting import ITEMS_CANCELED
from tests.unit.notifier.write_backs.made import (
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
