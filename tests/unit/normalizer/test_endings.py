"""How a package ends and comes back: canceled, removed, delivered, retracted, reinstated."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from schemas.raw import Provenance
from services.normalizer.mapper import Seen, Snapshot, carrier, ids, tracking
from services.normalizer.merge import merge
from services.normalizer.model import LineItem, OrderRef, RawRef
from tests.unit.normalizer.feed import NOON, Feed, box, order
from tests.unit.normalizer.lives import seen_in_turn

SHIPPED_AT = "2026-03-01T12:00:00Z"
AT_FIRST = {
    "package.created",
    "package.shipped",
    "fulfillment.shipped",
    "fulfillment.partially_shipped",
}
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
            ["created", "shipped", "removed", "shipment_retracted", "restored", "restored"],
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
            package = event.data.package
            assert package is not None
            waits = event.type == "package.restored" and package.status == "pending"
            assert getattr(event.data, named[event.type]) == (None if waits else shipped)


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


RETRACTED = ["package.shipment_retracted"]
RESTORED = ["package.restored"]


@pytest.mark.parametrize(
    ("after", "types"),
    [
        pytest.param({"shipped_at": None}, RETRACTED, id="its ship time is gone"),
        pytest.param({"status_raw": "packed"}, RETRACTED, id="its status went back"),
        pytest.param({}, [], id="our rule changed"),
        pytest.param({"status_raw": None}, [], id="its status is not told any more"),
        pytest.param({"trackings": ()}, ["package.tracking_changed"], id="its number is gone"),
        pytest.param({"unknown": frozenset({"status"})}, [], id="the record says nothing of it"),
        pytest.param(
            {"shipped_at": None, "unknown": frozenset({"shipped_at", "status"})},
            [],
            id="its ship time cannot be read",
        ),
    ],
)
def test_only_the_record_itself_takes_a_departure_back(
    after: dict[str, Any], types: list[str]
) -> None:
    """Where it does, the announcement is retracted, and holds again once the package has left."""
    evidence = {"shipped_at": SHIPPED_AT, "status_raw": "sent", "trackings": tracking("T1")}
    before, withdrawn = seen("shipped", **evidence), seen("pending", **{**evidence, **after})

    events, state = seen_in_turn([(before,), (withdrawn,), (before,)])

    told = [event.type for event in events if event.type not in AT_FIRST]
    assert told == [*types, *(RESTORED if types == RETRACTED else types)]
    (package,) = state.packages
    assert package.status == "shipped"
    for event in events:
        if event.type in RETRACTED + RESTORED:
            names = getattr(event.data, "retracts", None) or getattr(event.data, "reinstates", None)
            assert names == package.shipped_event_id
            assert event.data.changes[0].field == "status"


def test_a_departure_that_was_withdrawn_is_not_taken_back_again_when_the_package_goes() -> None:
    """Nor does it hold again when the package comes back without having left."""
    there, back = seen("shipped", status_raw="sent"), seen("pending", status_raw="packed")

    events, _ = seen_in_turn([(there,), (back,), (), (back,), (there,)])

    assert [event.type for event in events if event.type not in AT_FIRST] == [
        "package.shipment_retracted",
        "package.removed",
        "package.restored",
        "package.restored",
    ]
    reinstated = [
        getattr(event.data, "reinstates", None) for event in events if event.type in RESTORED
    ]
    assert reinstated == [None, events[1].id]


def test_where_there_is_no_status_a_tracking_number_that_is_gone_takes_it_back() -> None:
    """It was all that proved the departure (Digital River)."""
    there, back = seen("shipped", trackings=tracking("T1")), seen("pending")

    events, _ = seen_in_turn([(there,), (back,), (there,)])

    told = [event.type for event in events if event.type not in AT_FIRST]
    assert told == ["package.tracking_changed", *RETRACTED, *RESTORED, "package.tracking_changed"]


def test_a_time_that_goes_with_its_departure_is_told_by_the_same_event() -> None:
    """Whoever keeps what events say knows the ship time as it is."""
    feed = Feed()
    feed.see(order(box({"MUG": 1}, shipped=0)))
    retracted = feed.outcome(order(box({"MUG": 1}), status="PENDING", updated=1)).events
    restored = feed.outcome(order(box({"MUG": 1}, shipped=5), updated=2)).events

    changes = [
        [(one.field, one.before is None, one.after is None) for one in event.data.changes]
        for event in (retracted[0], restored[0])
    ]
    assert [event.type for event in (retracted[0], restored[0])] == RETRACTED + RESTORED
    assert changes == [
        [("status", False, False), ("shipped_at", False, True)],
        [("status", False, False), ("shipped_at", True, False)],
    ]


@pytest.mark.parametrize("now", [(), ("pending",), ("canceled",)])
def test_a_remap_takes_no_departure_back(now: tuple[Any, ...]) -> None:
    """The record is the same; our reading of it has changed, and what is announced stays."""
    first = Provenance("acme", "a", "shipments", "head", "1", NOON)
    place = RawRef("t.raw", 0, 0)
    shown = Snapshot("shipment", (OrderRef("1"),), None, packages=(seen("shipped"),))
    stored = merge(None, shown, first, place).state
    again = replace(first, remap_of="t.raw/0/0")
    packages = tuple(seen(status, status_raw="other") for status in now)
    snapshot = Snapshot("shipment", (OrderRef("1"),), None, packages=packages)

    outcome = merge(stored, snapshot, again, RawRef("t.raw", 0, 1))

    kept = outcome.state or stored
    assert kept is not None
    assert [one.status for one in kept.packages] == ["shipped"]
    assert outcome.events == ()
