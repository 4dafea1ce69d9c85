"""The Zentail mapper: what an order shows, and what cannot be understood."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.raw import Provenance
from services.normalizer.mapper import Seen, Snapshot, Unmappable, ids
from services.normalizer.mappers.zentail import map as map_order
from tests.unit.normalizer.feed import NOON, Feed, box, order


def mapped(value: Any, upstream_id: str = "1") -> Snapshot:
    """The snapshot of an order, or of bytes."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return map_order(
        raw,
        Provenance(
            source="zentail",
            account="acme",
            resource="orders",
            stream="orders",
            upstream_id=upstream_id,
            observed_at=NOON,
        ),
    )


def only(value: Any) -> Seen:
    """The one package of an order."""
    (found,) = mapped(value).packages
    return found


@pytest.mark.parametrize(
    ("package", "status", "left"),
    [
        (box(shipped=0), "PENDING", True),
        (box(shipped=0), "CANCELLED", True),
        (box(tracking="1Z"), "PENDING", False),
        (box(tracking="1Z"), "PENDING_PAYMENT", False),
        (box(tracking="1Z"), "CANCELLED", False),
        (box(tracking="1Z"), "SOMETHING_NEW", False),
        (box(tracking="1Z"), "PARTIALLY_SHIPPED", True),
        (box(tracking="1Z"), "SHIPPED", True),
        (box(tracking="1Z"), "RETURN_REQUESTED", True),
        (box(tracking="1Z"), "RETURNED", True),
        (box(tracking="1Z"), "REFUNDED", False),
        (box(shipped=0), "REFUNDED", True),
        ({**box(tracking="1Z"), "shippedTs": "0001-01-01T00:00:00Z"}, "PENDING", False),
        ({**box(), "shippedTs": "soon"}, "SHIPPED", False),
        (box(tracking="  "), "SHIPPED", False),
        (box(), "SHIPPED", False),
        (box({}, tracking="1Z", shipped=0), "SHIPPED", False),
        (box({"MUG": 0}, tracking="1Z", shipped=0), "SHIPPED", False),
        ({"tracking": "1Z"}, "SHIPPED", True),
        ({**box(tracking="1Z"), "products": None}, "PARTIALLY_SHIPPED", True),
        ({"tracking": "1Z"}, "PENDING", False),
    ],
)
def test_a_package_left_with_a_ship_time_or_with_a_number_that_its_order_backs(
    package: dict[str, Any], status: str, left: bool
) -> None:
    """An empty package never left; one that does not say what is inside did as any other."""
    assert only(order(package, status=status)).left is left


@pytest.mark.parametrize(
    ("shipped", "contents", "left"),
    [
        ([0], {"MUG": 1}, False),
        ([0, 0], {"MUG": 1}, False),
        ([0, 1], {"MUG": 1}, True),
        ([0, None], {"MUG": 1}, True),
        ([None], {"MUG": 1}, True),
        (["many"], {"MUG": 1}, True),
        ([0], {"MUG": 1, "CUP": 1}, True),
        ([0], None, False),
    ],
)
def test_a_partially_shipped_order_may_say_that_none_of_a_packages_products_left(
    shipped: list[Any], contents: dict[str, int] | None, left: bool
) -> None:
    """shippedQuantity is there and 0 on every line of each of its products: a printed label."""
    lines = [{"SKU": "MUG", "quantity": 2, "shippedQuantity": count} for count in shipped]
    package = {**box(contents or {}, tracking="1Z")}
    if contents is None:
        del package["products"]
    assert only(order(package, products=lines)).left is left


@pytest.mark.parametrize("later", ["REFUNDED", "CANCELLED", "SOMETHING_NEW"])
def test_a_status_that_proves_nothing_takes_nothing_back_and_announces_nothing(later: str) -> None:
    """A package shipped by its number stays shipped; a printed label stays a label."""
    sent, label = Feed(), Feed()
    sent.see(order(box(tracking="1Z"), status="SHIPPED"))
    label.see(order(box(tracking="1Z"), status="PENDING"))

    told = sent.see(order(box(tracking="1Z"), status=later, updated=60))
    assert not [one for one in told if one.startswith("package.")]
    assert sent.live[0].status == "shipped"
    told = label.see(order(box(tracking="1Z"), status=later, updated=60))
    assert not [one for one in told if one.startswith("package.")]
    assert label.live[0].status == "pending"


@pytest.mark.parametrize("status", ["PENDING", "SHIPPED", "PARTIALLY_SHIPPED"])
def test_a_ship_time_that_cannot_be_read_any_more_takes_nothing_back(status: str) -> None:
    """Unreadable is unknown: the package stays shipped at the time that is known."""
    feed = Feed()
    feed.see(order(box(shipped=0), status=status))
    before = feed.live

    assert feed.see(order({**box(), "shippedTs": "soon"}, status=status, updated=60)) == []
    assert feed.live == before


@pytest.mark.parametrize(
    ("ordered", "off", "left"),
    [(5, 2, "3"), (5, 5, None), ("5.5", 2, "3.5"), (5, 0, "5"), (5, None, "5"), (5, 7, "?")],
)
def test_what_is_open_of_a_line_is_what_is_not_canceled(ordered: Any, off: Any, left: Any) -> None:
    """More canceled than ordered leaves open how many are still to come."""
    line = {"lineItemId": "1", "SKU": "MUG", "quantity": ordered, "cancelQuantity": off}
    found = mapped(order(products=[line]))

    told = [item.quantity or "?" for item in found.line_items]
    assert told == ([] if left is None else [left])
    assert [item.quantity for item in found.canceled_items] == ([str(off)] if off else [])
    assert found.degraded == (("products[].cancelQuantity",) if left == "?" else ())


@pytest.mark.parametrize(
    ("word", "status", "final", "provisional"),
    [
        ("PENDING_PAYMENT", "open", False, False),
        ("PENDING", "open", False, False),
        ("PARTIALLY_SHIPPED", "partially_shipped", False, True),
        ("SHIPPED", "shipped", True, False),
        ("RETURN_REQUESTED", "shipped", True, False),
        ("RETURNED", "returned", True, False),
        ("REFUNDED", "returned", True, False),
        ("CANCELLED", "canceled", True, False),
        ("CANCELED", "canceled", True, False),
        ("PARTIALLY_CANCELLED", "open", False, False),
        ("SOMETHING_NEW", "unknown", False, False),
    ],
)
def test_every_status_has_a_meaning_and_keeps_its_own_word(
    word: str, status: str, final: bool, provisional: bool
) -> None:
    """Both spellings of canceled; a word nobody knows passes as unknown."""
    found = mapped(order(status=word))

    assert (found.status, found.status_raw, found.final, found.provisional) == (
        status,
        word,
        final,
        provisional,
    )


def test_a_line_without_a_sku_is_named_by_its_requested_sku() -> None:
    """SKU null falls back to requestedSku, on the line and for the package's product."""
    lines = [{"lineItemId": 882, "requestedSku": "POT", "SKU": None, "quantity": 4}]
    found = mapped(order(box({"POT": 1}), products=lines))

    assert [(item.sku, item.line_id) for item in found.line_items] == [("POT", "882")]
    assert found.packages[0].line_items is not None
    assert found.packages[0].line_items[0].line_id == "882"


def test_a_sku_on_two_lines_belongs_to_neither_for_certain() -> None:
    """A package names a SKU only; the line is told when exactly one can be meant."""
    lines = [{"lineItemId": n, "SKU": "MUG", "quantity": 1} for n in ("1", "2")]

    items = only(order(box({"MUG": 2}), products=lines)).line_items

    assert items is not None
    assert (items[0].sku, items[0].line_id, items[0].quantity) == ("MUG", None, "2")


def test_quantities_never_pass_through_a_float() -> None:
    """0.1 as a number, as text and with trailing zeros are all exactly 0.1."""
    text = json.dumps(order(box({"MUG": 1}))).replace('"quantity": 1', '"quantity": %s')
    for written in ("0.1", '"0.1"', "0.100000"):
        items = only((text % written).encode()).line_items
        assert items is not None
        assert items[0].quantity == "0.1"


@pytest.mark.parametrize(
    "text",
    ["2026-03-01T12:00:00Z", "2026-03-01T14:00:00+02:00", "2026-03-01T12:00:00.000Z"],
)
def test_instants_are_read_with_z_offset_and_fraction(text: str) -> None:
    """The guides show all three; what is kept is UTC."""
    found = mapped(order(lastUpdatedTs=text)).updated_at

    assert found == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_unknown_fields_and_a_lower_case_sku_are_no_trouble() -> None:
    """The exact v1 names are not public, so strangers pass and both spellings are read."""
    package = {**box({}), "products": [{"sku": "MUG", "quantity": 2, "color": "blue"}], "x": [1]}

    items = only(order(package, status="SHIPPED", gift={"note": None})).line_items

    assert items is not None
    assert (items[0].sku, items[0].line_id) == ("MUG", "1")


def test_a_package_has_its_own_id_and_the_warehouses() -> None:
    """packageId first, fulfillmentPackageId beside it; each only when it is told."""
    theirs = {"fulfillmentPackageId": "ShipCo #1"}
    both = ids(package_id="7", fulfillment_package_id="ShipCo #1")

    assert only(order({**box(package_id=7), **theirs})).upstream_ids == both
    assert only(order({**box(), **theirs})).upstream_ids == both[1:]
    assert only(order(box())).upstream_ids == ()


def test_a_package_that_gets_its_own_id_later_has_shipped_once() -> None:
    """The warehouse's id was there first; packageId is another namespace."""
    feed = Feed()
    theirs = {**box(shipped=0), "fulfillmentPackageId": "ShipCo #1"}

    assert "package.shipped" in feed.see(order(theirs))
    assert feed.see(order({**theirs, "packageId": 7}, updated=60)) == []
    assert len(feed.state.packages) == 1


def test_a_carrier_keeps_its_own_words_beside_our_code() -> None:
    """Free text: trimmed, mapped where known, never guessed."""
    known = only(order(box(carrier=" U.P.S. "))).carrier
    unknown = only(order(box(carrier="Bob's Bikes"))).carrier

    assert known is not None
    assert (known.code, known.name_raw) == ("ups", "U.P.S.")
    assert unknown is not None
    assert (unknown.code, unknown.name_raw) == (None, "Bob's Bikes")
    assert only(order(box(carrier=None))).carrier is None


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"{", "$"),
        (b"<html>", "$"),
        (b"[]", "$"),
        (b"[" * 100_000, "$"),
        (b'{"orderNumber":1}', "$"),
        (order(status="SHIPPED", packages="none"), "$.packages"),
        (order(box(), orderNumber=2), "$.orderNumber"),
        (order(lastUpdatedTs="yesterday"), "$.lastUpdatedTs"),
        (order(lastUpdatedTs="2026-03-01T12:00:00"), "$.lastUpdatedTs"),
        (order(lastUpdatedTs=5), "$.lastUpdatedTs"),
        (order(*[{}] * 1001), "$.packages"),
    ],
)
def test_what_cannot_be_understood_says_where(raw: Any, path: str) -> None:
    """Unmappable names the path in the record and a reason."""
    with pytest.raises(Unmappable) as caught:
        mapped(raw)

    assert caught.value.path == path
    assert caught.value.reason


def test_a_text_cut_in_the_middle_of_an_emoji_costs_no_announcement() -> None:
    """Where it is ours it ends in U+FFFD; everything else is mapped as ever."""
    whole = order(box({"MUG \ud83d": 1}, tracking="T1", shipped=0), shipTo={"name": "Ana \ud83d"})
    feed = Feed()

    assert "package.shipped" in feed.see(whole)
    (package,) = feed.state.packages
    assert package.line_items is not None
    assert package.line_items[0].sku == "MUG \ufffd"
