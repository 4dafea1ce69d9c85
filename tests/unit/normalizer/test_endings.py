"""How a package ends and comes back: canceled, removed, delivered, retracted, reinstated."""

from __future__ import annotations

from typing import Any

import pytest

from services.normalizer.mapper import Seen, carrier, ids
from services.normalizer.model import LineItem
from tests.unit.normalizer.feed import Feed, box, order
from tests.unit.normalizer.lives import seen_in_turn

MUG = (LineItem(sku="MUG", quantity="1"),)


def seen(status: Any, **fields: Any) -> Seen:
    """A package with an id of its own, in this status."""
    return Seen(
        **{"status": status, "upstream_ids": ids(parcel_id="p"), "line_items": MUG, **fields}
    )


@pytest.mark.parametrize(
    ("statuses", "facts"),
    [
        (["delivered"], ["created", "shipped", "delivered"]),
        (["canceled"], ["created", "canceled"]),
        (["pending", "delivered"], ["created", "shipped", "delivered"]),
        (["shipped", "delivered", "shipped", "delivered"], ["created", "shipped", "delivered"]),
        (["pending", "canceled"], ["created", "canceled"]),
        (["shipped", "canceled"], ["created", "shipped", "canceled", "shipment_retracted"]),
        (["shipped", None], ["created", "shipped", "removed", "shipment_retracted"]),
        (["pending", None], ["created", "removed"]),
        (["pending", None, "pending"], ["created", "removed", "restored"]),
        (["pending", None, "shipped"], ["created", "removed", "restored", "shipped"]),
        (
            ["shipped", None, "shipped"],
            ["created", "shipped", "removed", "shipment_retracted", "restored"],
        ),
        (
            ["delivered", "canceled", "delivered"],
            ["created", "shipped", "delivered", "canceled", "shipment_retracted", "restored"],
        ),
        (
            ["shipped", None, "pending", "shipped"],
            ["created", "shipped", "removed", "shipment_retracted", "restored"],
        ),
        (["canceled", None], ["created", "canceled"]),
        (["shipped", "pending", "shipped"], ["created", "shipped"]),
        (
            ["shipped", "canceled", "shipped", None],
            [
                *("created", "shipped", "canceled", "shipment_retracted", "restored"),
                *("removed", "shipment_retracted"),
            ],
        ),
    ],
)
def test_a_package_tells_each_turn_of_its_life_once(
    statuses: list[str | None], facts: list[str]
) -> None:
    """None: it is not there.  What has been told shipped or delivered is never told so again."""
    events, _ = seen_in_turn([(seen(one),) if one else () for one in statuses])
    told = [event for event in events if event.type.startswith("package.")]
    assert [event.type for event in told] == [f"package.{fact}" for fact in facts]
    assert len({event.id for event in told}) == len(told)
    shipped = None
    for event in told:
        shipped = event.id if event.type == "package.shipped" else shipped
        named = {"package.shipment_retracted": "retracts", "package.restored": "reinstates"}
        if event.type in named:
            assert getattr(event.data, named[event.type]) == shipped


@pytest.mark.parametrize(
    ("before", "after", "facts"),
    [
        (carrier("UPS"), carrier("UPS "), []),
        (carrier("UPS"), carrier("DHL"), ["carrier_changed"]),
        (None, carrier("DHL"), ["carrier_changed"]),
        (carrier("UPS"), None, ["carrier_changed"]),
        (carrier("Fast", "1"), carrier("Fast", "2"), ["carrier_changed"]),
    ],
)
def test_another_carrier_is_told_by_the_source_s_own_words(
    before: Any, after: Any, facts: list[str]
) -> None:
    """That our table has learned a name is told to nobody."""
    events, _ = seen_in_turn([(seen("pending", carrier=one),) for one in (before, after)])
    assert [event.type for event in events][1:] == [f"package.{fact}" for fact in facts]


@pytest.mark.parametrize(
    ("status", "before", "after", "told"),
    [
        ("shipped", "2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z", True),
        ("shipped", "2026-03-01", "2026-03-02", True),
        ("shipped", "2026-03-01", "2026-03-01T13:00:00Z", False),
        ("shipped", "2026-03-01T13:00:00Z", "2026-03-01", False),
        ("shipped", "2026-03-01", "2026-03-02T01:00:00Z", True),
        ("shipped", None, "2026-03-01T13:00:00Z", True),
        ("shipped", "2026-03-01T13:00:00Z", None, True),
        ("pending", "2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z", False),
    ],
)
def test_another_time_is_told_once_it_has_left(
    status: str, before: str | None, after: str | None, told: bool
) -> None:
    """A date that becomes an instant of that day is the same, told better."""
    events, _ = seen_in_turn([(seen(status, shipped_at=one),) for one in (before, after)])
    assert ("package.shipped_at_changed" in {event.type for event in events}) == told


def test_a_corrected_number_is_exactly_one_change_and_a_permutation_none() -> None:
    """Three packages without ids; the corrected one keeps its id and its announcement."""
    boxes = [box({"MUG": n}, tracking=f"T{n}", shipped=n) for n in (1, 2, 3)]
    feed = Feed()
    feed.see(order(*boxes))
    ids = {package.id for package in feed.state.packages}
    corrected = {**boxes[1], "tracking": "T9"}
    assert feed.see(order(boxes[2], boxes[0], boxes[1], updated=1)) == []
    assert feed.see(order(boxes[2], corrected, boxes[0], updated=2)) == ["package.tracking_changed"]
    assert {package.id for package in feed.state.packages} == ids


def test_a_canceled_quantity_of_an_order_is_told_and_no_longer_open() -> None:
    """Zentail, public: open is quantity - cancelQuantity - shippedQuantity."""
    line = {"lineItemId": "1", "SKU": "MUG", "quantity": 9}
    feed = Feed()
    feed.see(order())
    assert feed.see(order(updated=1, products=[{**line, "cancelQuantity": 2}])) == [
        "fulfillment.items_canceled"
    ]
    assert [item.quantity for item in feed.state.line_items] == ["7"]
    assert [item.quantity for item in feed.state.canceled_items] == ["2"]
    feed.see(order(updated=2, products=[{**line, "cancelQuantity": 9}]))
    assert feed.state.line_items == ()
