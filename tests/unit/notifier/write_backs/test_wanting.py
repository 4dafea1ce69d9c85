"""What of an event is to be written back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.subscription import WriteBackChannel
from schemas.write_back import Wanted, is_wanted
from services.notifier.write_backs.wanting import (
    ITEMS_CANCELED,
    TRACKING_CHANGED,
    partition,
    wanted_of,
    way_of,
)
from tests.unit.notifier.write_backs.made import (
    CHANNEL,
    KEY,
    START,
    envelope,
    items,
    package,
    wanted,
)

BY_ID = WriteBackChannel(target="river", order="order_id")
BY_MAP = WriteBackChannel(target="river", order="file:/etc/orders.json")

Counts = dict[str, int]


def asked(event: Any, channel: WriteBackChannel = CHANNEL, **ids: str) -> Wanted:
    """What is wanted, where something is."""
    found = wanted_of(event, "to-river", channel, ids)
    assert found is not None
    return found


def cancellation(before: Counts, after: Counts) -> Any:
    """An event of a fulfillment whose canceled items went from one to the other."""
    told = [
        [{"sku": sku, "quantity": str(count)} for sku, count in counts.items()]
        for counts in (before, after)
    ]
    change = {"field": "canceled_items", "before": told[0], "after": told[1]}
    return envelope(ITEMS_CANCELED, changes=[change])


def test_a_package_that_left_is_wanted_with_all_it_says() -> None:
    """Its items, its first number with a carrier's own words, and its id at the source."""
    event = envelope(
        package=package(trackings=[{"url": "https://x"}, {"number": "1Z", "url": "u"}])
    )
    expected = Wanted(
        subscription="to-river",
        target="river",
        way="order_number",
        order="1001",
        event_id="evt_1",
        event_type="package.shipped",
        event_at=START,
        fulfillment=KEY,
        package_id="pkg_1",
        items=items(mug=2),
        tracking_company="UPS Ground",
        tracking_number="1Z",
        tracking_url="u",
        shipment_id="P1",
    )

    assert expected == asked(event)


@pytest.mark.parametrize(
    ("own", "shipment_id"),
    [
        ({"upstream_ids": [{"kind": "package_id", "id": "70551"}]}, "70551"),
        ({"upstream_ids": [{"kind": "package_id", "id": "1"}]}, None),
        ({"upstream_ids": [{"kind": "package_id", "id": "0"}]}, None),
        (
            {
                "upstream_ids": [
                    {"kind": "package_id", "id": "1"},
                    {"kind": "fulfillment_package_id", "id": "ShipCo #7-1"},
                ]
            },
            "ShipCo #7-1",
        ),
        ({"upstream_ids": [{"kind": "container_number", "id": "BICU1234565"}]}, None),
        ({"upstream_ids": [{"kind": "loose", "id": "loose"}]}, None),
        ({"upstream_ids": [], "upstream_id": "P1"}, "P1"),
        ({"upstream_ids": [], "upstream_id": "12"}, None),
    ],
)
def test_a_shipment_id_names_one_package_only(own: dict[str, Any], shipment_id: str | None) -> None:
    """A place in a list, and the number of a container, are not taken for one."""
    assert asked(envelope(package=package(**own))).shipment_id == shipment_id


def test_contents_that_are_not_told_stay_not_told() -> None:
    """Nothing known is not the same as nothing inside."""
    bare = package(line_items=None, carrier=None, trackings=[], upstream_id=None)
    found = asked(envelope(package=bare))

    assert found.items is None
    assert (None, None, None) == (found.tracking_company, found.tracking_number, found.shipment_id)


def test_a_quantity_that_is_not_told_leaves_open_what_is_to_be_written() -> None:
    """Neither a package nor a cancellation is written back in part."""
    unknown = {"sku": "MUG", "quantity": None}
    held = asked(envelope(package=package(line_items=[*package()["line_items"], unknown])))
    change = {"field": "canceled_items", "before": [], "after": [unknown]}
    canceled = asked(envelope("fulfillment.items_canceled", changes=[change]))

    assert held.items is None
    assert (canceled.items, canceled.canceled_in_all) == (None, None)


@pytest.mark.parametrize(
    ("of", "problem"),
    [
        (("1001", None), "the source does not say which order 1 of 2 lines are of"),
        (("1001", "1002"), "a line is of order 1002, which the event does not name"),
        ((None, None), None),
        (("1001", "1001"), None),
    ],
)
@pytest.mark.parametrize("canceled", [False, True])
def test_lines_of_an_unknown_order_are_not_written_to_the_known_one(
    of: tuple[str | None, ...], problem: str | None, *, canceled: bool
) -> None:
    """Where lines name their orders, one that names none may be of another."""
    lines = [{"sku": "MUG", "quantity": "1", "order_id": order_id} for order_id in of]
    orders = [{"id": "1001"}]
    change = {"field": "canceled_items", "before": [], "after": lines}
    found = asked(
        envelope(ITEMS_CANCELED, changes=[change], orders=orders)
        if canceled
        else envelope(package=package(line_items=lines), orders=orders)
    )

    assert (found.order, found.problem) == (None if problem else "1001", problem)


@pytest.mark.parametrize(
    ("channel", "orders", "expected"),
    [
        (CHANNEL, [{"id": "77", "number": "1001"}], "1001"),
        (CHANNEL, [{"id": "77"}], "77"),
        (CHANNEL, [{"id": "77"}, {"id": "77"}], "77"),
        (BY_ID, [{"id": "77", "number": "1001"}], "77"),
        (BY_MAP, [{"id": "77", "number": "1001"}], "or_5"),
    ],
)
def test_the_order_is_asked_for_as_the_channel_says(
    channel: WriteBackChannel, orders: Any, expected: str
) -> None:
    """By number, by id, or by what a map makes of the number."""
    found = asked(envelope(orders=orders, package=package()), channel, **{"1001": "or_5"})

    assert expected == found.order
    assert ("order_number" if channel is CHANNEL else "order_id") == found.way == way_of(channel)
    assert found.problem is None


@pytest.mark.parametrize(
    ("channel", "orders", "problem", "candidates"),
    [
        (CHANNEL, [], "the event names no order", ()),
        (CHANNEL, [{"id": "7"}, {"id": "8", "number": "b"}], "names 2 orders", ("7", "b")),
        (BY_MAP, [{"id": "9"}], "order 9 is not in the map file:/etc/orders.json", ("9",)),
    ],
)
def test_an_order_that_is_not_told_is_not_guessed(
    channel: WriteBackChannel, orders: Any, problem: str, candidates: Any
) -> None:
    """The problem says what is missing, and it is filed under the fulfillment."""
    found = asked(envelope(orders=orders, package=package()), channel, **{"1001": "or_5"})

    assert found.order is None
    assert problem in (found.problem or "")
    assert candidates == found.candidates
    assert found.folder == "river/" + KEY.replace("/", "%2F") + "/"


def test_a_number_of_a_package_that_has_not_left_is_not_wanted() -> None:
    """Its package.shipped tells the number; once that was told, another number is wanted."""
    waiting = envelope(TRACKING_CHANGED, package=package(shipped_event_id=None))
    left = envelope(TRACKING_CHANGED, package=package())

    assert wanted_of(waiting, "to-river", CHANNEL) is None
    assert asked(left).tracking_number == "1Z 5"


def test_any_other_event_is_refused_by_name() -> None:
    """What is taken back at the source is taken back nowhere else."""
    with pytest.raises(ValueError, match=r"package\.shipment_retracted is none of package\.shipp"):
        wanted_of(envelope("package.shipment_retracted", package=package()), "x", CHANNEL)


def test_a_first_look_at_canceled_items_wants_all_of_them() -> None:
    """There is no before."""
    change = {"field": "canceled_items", "before": None, "after": [{"sku": "mug", "quantity": "3"}]}
    found = asked(envelope(ITEMS_CANCELED, changes=[change]))

    assert (items(mug=3), items(mug=3)) == (found.items, found.canceled_in_all)
    assert found.package_id is None


def test_what_moves_between_lines_is_not_canceled_more() -> None:
    """Of the same product two are canceled before and after, on other lines."""
    before = [{"sku": "mug", "line_id": "a", "quantity": "2"}, {"sku": "pen", "quantity": "1"}]
    after = [{"sku": "mug", "line_id": "b", "quantity": "2"}, {"sku": "pen", "quantity": "1.5"}]
    change = {"field": "canceled_items", "before": before, "after": after}
    found = asked(envelope(ITEMS_CANCELED, changes=[change]))

    assert items(pen="0.5") == found.items


counts = st.dictionaries(st.sampled_from(["mug", "pen", "cap"]), st.integers(0, 5))


@given(counts, counts)
def test_what_was_added_and_what_was_before_make_what_is_canceled(
    before: Counts, after: Counts
) -> None:
    """Of each product: never less than nothing, and never anything that was not canceled."""
    found = asked(cancellation(before, after))
    added = {item.sku: Decimal(item.quantity) for item in found.items or ()}
    in_all = {item.sku: Decimal(item.quantity) for item in found.canceled_in_all or ()}

    assert {sku: count for sku, count in after.items() if count} == in_all
    for sku, count in added.items():
        assert sku is not None
        assert count == in_all[sku] - before.get(sku, 0) > 0
    assert all(count <= before.get(sku, 0) for sku, count in after.items() if sku not in added)


@given(st.text(max_size=20), st.text(max_size=20), st.integers(1, 64))
def test_all_of_one_order_meet_in_one_partition(order: str, event_id: str, count: int) -> None:
    """Whatever the order and the event are called."""
    one, other = wanted(event_id, order=order), wanted("evt_2", TRACKING_CHANGED, order=order)

    assert 0 <= partition(one, count) == partition(other, count) < count
    assert is_wanted(one.key)
    assert one.key.startswith(one.folder)
