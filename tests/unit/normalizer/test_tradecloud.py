"""The Tradecloud mapper: what a shipment or an order shows, and what cannot be understood."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from services.normalizer.mapper import Unmappable, ids
from services.normalizer.mappers.tradecloud import map as map_record
from services.normalizer.merge import merge
from services.normalizer.model import Event, Fulfillment, RawRef
from tests.unit.normalizer.feed import at
from tests.unit.normalizer.tradecloud_shapes import (
    BUYER,
    box,
    line,
    mapped,
    order,
    order_line,
    provenance,
    shipment,
)


def told(*versions: dict[str, Any], options: frozenset[str] = BUYER) -> list[Event]:
    """The events of a shipment in these versions, a minute apart."""
    state: Fulfillment | None = None
    events: list[Event] = []
    seen = provenance("shipments", options)
    for offset, version in enumerate(versions):
        stamped = {**version, "meta": {"lastUpdatedAt": at(60 * offset)}}
        snapshot = map_record(json.dumps(stamped).encode(), seen)
        outcome = merge(state, snapshot, seen, RawRef(topic="raw", partition=0, offset=offset))
        state = outcome.state or state
        events += outcome.events
    return events


@pytest.mark.parametrize(
    ("record", "statuses", "status"),
    [
        (shipment(box(line())), ["shipped"], None),
        (shipment(box(line()), departed=None), ["pending"], None),
        (shipment(box(line()), departed=" "), ["pending"], None),
        (shipment(box(line()), locations=None), ["pending"], None),
        (shipment(box(line(count=0))), ["pending"], None),
        (shipment(box(line(count=0.001))), ["shipped"], None),
        (shipment(box()), ["pending"], None),
        (shipment(box(line()), box(line(2, 0), sscc="2")), ["shipped", "pending"], None),
        (shipment(box(line()), status={"processStatus": "Rejected"}), ["canceled"], "canceled"),
        (shipment(box(line()), status=None, processStatus="Rejected"), ["canceled"], "canceled"),
        (shipment(box(line()), status={"processStatus": "Cancelled"}), ["canceled"], "canceled"),
        (shipment(box(line()), status={"processStatus": "Approved"}), ["shipped"], None),
        (shipment(), [], None),
    ],
)
def test_what_has_departed_with_something_in_it_and_is_not_called_off_has_left(
    record: dict[str, Any], statuses: list[str], status: str | None
) -> None:
    """An issued or approved advice alone is no departure."""
    found = mapped("shipments", record)
    assert [package.status for package in found.packages] == statuses
    assert found.status == status
    assert found.final == (bool(statuses) and "pending" not in statuses)


@pytest.mark.parametrize(
    ("carrier", "expected"),
    [
        ({"packageSSCC": "(00)387123450000000017"}, {"sscc": "387123450000000017"}),
        ({"packageSSCC": "00387123450000000017"}, {"sscc": "387123450000000017"}),
        ({"packageSSCC": "3 8712345 000000001 7"}, {"sscc": "387123450000000017"}),
        ({"packageSSCC": 387123450000000017}, {"sscc": "387123450000000017"}),
        (
            {"packageSSCC": "odd", "containerNumber": "BICU1234565"},
            {"sscc": "odd", "container_number": "BICU1234565"},
        ),
        (
            {"packageSSCC": " ", "containerNumber": "BICU1234565"},
            {"container_number": "BICU1234565"},
        ),
        ({}, {}),
    ],
)
def test_a_load_carrier_is_known_by_its_sscc_and_its_container(
    carrier: dict[str, Any], expected: dict[str, str]
) -> None:
    """An SSCC is 18 digits, however it is printed."""
    (package,) = mapped("shipments", shipment({**carrier, "lines": [line()]})).packages
    assert package.upstream_ids == ids(**expected)


def test_pallets_in_one_container_are_told_apart_by_what_is_on_them() -> None:
    """A swap tells nothing; when one is taken off, that one is retracted."""
    one, other = ({"containerNumber": "BICU1234565", "lines": [line(n)]} for n in (1, 2))
    first = told(shipment(one, other))
    swapped = told(shipment(one, other), shipment(other, one))
    removed = told(shipment(one, other), shipment(other))[len(first) :]

    assert len(swapped) == len(first)
    assert [event.type for event in removed] == ["package.removed", "package.shipment_retracted"]
    (package,) = {
        event.data.package.id: event.data.package for event in removed if event.data.package
    }.values()
    assert [item.sku for item in package.line_items or ()] == ["B-1"]


def test_a_container_that_gets_its_sscc_later_has_shipped_once() -> None:
    """The SSCC is another namespace, and the container still the same."""
    plain = {"containerNumber": "BICU1234565", "lines": [line()]}
    labeled = {**plain, "packageSSCC": "387123450000000017"}
    types = [event.type for event in told(shipment(plain), shipment(labeled))]

    assert types == ["package.created", "package.shipped", "fulfillment.shipped"]


def test_lines_that_are_not_packed_are_a_package_of_their_own() -> None:
    """Public: lines live inside load carriers and, if unpacked, beside them."""
    found = mapped("shipments", shipment(box(line(1)), loose=[line(2)]))
    sscc, loose = [package.upstream_ids for package in found.packages]
    assert (sscc, loose) == (ids(sscc="387123450000000017"), ids(loose="loose"))
    assert [item.sku for item in found.line_items] == ["B-1", "B-2"]
    assert {package.trackings[0].number_normalized for package in found.packages} == {"T1"}


def test_a_shipment_may_belong_to_several_orders_each_named_by_its_lines() -> None:
    """Once each, in the order they come."""
    lines = [line(1), line(2, purchaseOrderNumber="PO-2"), line(3)]
    found = mapped("shipments", shipment(box(*lines)))
    assert [one.id for one in found.orders] == ["PO-1", "PO-2"]
    assert [item.order_id for item in found.line_items] == ["PO-1", "PO-2", "PO-1"]


def test_quantities_are_decimals_and_never_floats() -> None:
    """Read from the digits of the record; lines have their advice's own number."""
    raw = json.dumps(shipment(box(line(1, "?"), line(2, 12.50)))).replace('"?"', "0.100000")
    items = mapped("shipments", raw.encode()).line_items
    assert [(item.line_id, item.quantity) for item in items] == [
        ("DA-1/01", "0.1"),
        ("DA-1/02", "12.5"),
    ]


@pytest.mark.parametrize(("role", "sku"), [("buyer", "B-1"), ("supplier", "S-1")])
def test_a_product_has_our_own_number(role: str, sku: str) -> None:
    """By the role of the account; the other side's where ours is not told."""
    raw = json.dumps(shipment(box(line()))).encode()
    options = frozenset({f"role:{role}"})
    assert map_record(raw, provenance("shipments", options)).line_items[0].sku == sku
    bare = shipment(box(line(item={"supplierItemNumber": "S-1"})))
    assert mapped("shipments", bare).line_items[0].sku == "S-1"


def test_the_version_is_the_last_update_and_a_local_date_stays_a_date() -> None:
    """Public: only lastUpdatedAt has a zone."""
    found = mapped("shipments", shipment(box(line())))
    assert found.updated_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert (found.packages[0].shipped_at, found.created_at) == ("2026-03-01", None)


@pytest.mark.parametrize(
    ("lines", "process", "status"),
    [
        ([], "Issued", "open"),
        ([order_line(1, "Open"), order_line(2, "ReadyToShip")], "Confirmed", "open"),
        ([order_line(1, "Open", (3, "Shipped"), (2, "Open"))], "Confirmed", "partially_shipped"),
        ([order_line(1, "Shipped"), order_line(2)], "Confirmed", "partially_shipped"),
        ([order_line(1, "Shipped"), order_line(2, "Delivered")], "Completed", "shipped"),
        ([order_line(1, "Delivered")], "Completed", "delivered"),
        ([order_line(1, "Shipped"), order_line(2, "Cancelled")], "Confirmed", "shipped"),
        ([order_line(1, processStatus="Cancelled")], "Confirmed", "canceled"),
        ([order_line(1, "Shipped")], "Cancelled", "canceled"),
        ([order_line(1, processStatus="Rejected")], "Rejected", "open"),
    ],
)
def test_an_orders_status_follows_from_the_logistics_status_of_its_lines(
    lines: list[Any], process: str, status: str
) -> None:
    """Canceled lines do not count; a part that left shows in its delivery only."""
    found = mapped("orders", order(*lines, process=process))
    assert (found.scope, found.status, found.packages) == ("order", status, ())
    assert found.final == (status in ("shipped", "delivered", "canceled"))


def test_canceled_lines_are_canceled_items_and_the_rest_line_items() -> None:
    """Each with the sum of its delivery schedule, or of the one that was ordered."""
    ordered = {"position": "020", "deliverySchedule": [{"quantity": 4}]}
    gone = {**order_line(2, "Cancelled"), "deliverySchedule": [], "buyerLine": ordered}
    found = mapped("orders", order(order_line(1, "Open", (3, "Open"), (2.5, "Open")), gone))
    assert [(item.line_id, item.quantity) for item in found.line_items] == [("line-1", "5.5")]
    assert [(item.line_id, item.quantity) for item in found.canceled_items] == [("line-2", "4")]


@pytest.mark.parametrize("role", ["buyer", "supplier"])
@pytest.mark.parametrize(
    "asked", ["OpenBuyerReopenRequest", "OpenSupplierProposal", "SomethingElse", None]
)
def test_only_an_open_request_of_our_own_role_is_an_echo(role: str, asked: str | None) -> None:
    """Its line keeps the schedule from before; the order is none, or nobody would hear of it."""
    record = order(order_line(1, inProgressStatus=asked), order_line(2))
    options = frozenset({f"role:{role}"})
    found = map_record(json.dumps(record).encode(), provenance("orders", options))
    ours = bool(asked) and str(asked).startswith(f"Open{role.title()}")
    assert [item.echo for item in found.line_items] == [ours, False]
    assert not found.echo


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ([], None),
        ([f"changed-after:{at(1)}"], {"line-2", "line-3"}),
        (["logisticsStatus:Shipped"], {"line-2"}),
        (["logisticsStatus:Shipped", "logisticsStatus:Produced"], {"line-2", "line-3"}),
        (["logisticsStatus:Shipped", "processStatus:Issued"], set()),
        (["deliveryLineStatus:Shipped"], {"line-1", "line-2"}),
        ([f"changed-after:{at(2)}", "processStatus:Confirmed"], {"line-3"}),
    ],
)
def test_filters_choose_the_lines_whose_changes_are_told(
    options: list[str], lines: set[str] | None
) -> None:
    """Values of one field are alternatives, fields all count; the record stays whole."""
    parts = [(3, "Shipped"), (2, "Open")]
    record = order(
        order_line(1, "Open", *parts), order_line(2, "Shipped"), order_line(3, "Produced")
    )
    found = mapped("orders", record, *options)
    assert found.announced_lines == (None if lines is None else frozenset(lines))
    assert len(found.line_items) == 3


def test_a_shipments_lines_are_filtered_by_their_meta_and_its_status() -> None:
    """A line that does not say when it changed may have."""
    record = shipment(box(line(1, meta={"lastUpdatedAt": at(1)}), line(2)), loose=[line(3)])
    after = f"changed-after:{at(5)}"
    assert mapped("shipments", record, after).announced_lines == frozenset({"DA-1/02", "DA-1/03"})
    assert mapped("shipments", record, "processStatus:Approved").announced_lines == frozenset()
    assert len(mapped("shipments", record, "processStatus:Issued").announced_lines or ()) == 3


def test_a_filter_never_hides_a_shipment() -> None:
    """It chooses changes of quantities, not facts about packages."""
    options = BUYER | {"processStatus:Approved"}
    events = told(
        shipment(box(line()), departed=None), shipment(box(line(count=2))), options=options
    )
    assert [event.type for event in events] == [
        "package.created",
        "package.shipped",
        "fulfillment.shipped",
    ]


def test_a_package_ships_once_whatever_is_corrected_later() -> None:
    """Another number, another quantity, a date taken back and set again."""
    versions = [
        shipment(box(line())),
        shipment(box(line()), identifiers={"trackingNumber": "T2"}),
        shipment(box(line(count=3)), departed=None),
        shipment(box(line(count=3))),
    ]
    types = [event.type for event in told(*versions)]
    assert types.count("package.shipped") == 1
    assert types.count("package.tracking_changed") == 2
    assert "package.removed" not in types


@pytest.mark.parametrize(
    ("resource", "record", "path"),
    [
        ("shipments", {**shipment(), "id": "two"}, "$.id"),
        ("shipments", shipment(meta={"lastUpdatedAt": "then"}), "$.lastUpdatedAt"),
        ("shipments", {**shipment(), "loadCarriers": 5}, "$.loadCarriers"),
        ("shipments", shipment(*[box()] * 1001), "$.loadCarriers"),
        ("orders", order(buyerOrder=None), "$.buyerOrder.purchaseOrderNumber"),
        ("orders", b"[]", "$"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_place(
    resource: str, record: Any, path: str
) -> None:
    """Never guessed at: the record becomes a dead letter."""
    with pytest.raises(Unmappable) as caught:
        mapped(resource, record)
    assert (caught.value.path or "").startswith(path)
