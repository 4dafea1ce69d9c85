"""The Panora mapper: what a fulfillment shows, and what cannot be understood."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from schemas.raw import Provenance
from services.normalizer.mapper import Seen, Snapshot, Unmappable
from services.normalizer.mappers.panora import map as map_fulfillment
from services.normalizer.model import Fulfillment, OrderRef
from services.normalizer.observation import observed, provenance_of, restored
from tests.unit.normalizer.feed import MAPPERS, NOON, raw_record

ID = "801f9ede-c698-4e66-a7fc-48d19eebaa4f"
ORDER_ID = "6a6d2b3e-0c55-4b61-9b1a-cc8f3f3f7d10"
LINE = {"id": 91, "sku": "MUG-1", "title": "Mug", "quantity": 2}


def fulfillment(
    *numbers: Any, status: Any = "success", lines: Any = (LINE,), **more: Any
) -> dict[str, Any]:
    """A fulfillment under these tracking numbers."""
    return {
        "id": ID,
        "remote_id": "id_1",
        "order_id": ORDER_ID,
        "carrier": "DHL",
        "tracking_numbers": list(numbers),
        "tracking_urls": [f"https://t.example/{number}" for number in numbers],
        "items": {},
        "field_mappings": {"fav_dish": "broccoli"},
        "remote_data": {"status": status, "line_items": list(lines)},
        "created_at": "2024-10-01T12:00:00Z",
        "modified_at": "2024-10-01T12:00:00Z",
        **more,
    }


def provenance(seconds: float = 0) -> Provenance:
    """Where it was read, so many seconds after noon."""
    return Provenance(
        source="panora",
        account="acme",
        resource="fulfillments",
        stream="head",
        upstream_id=ID,
        observed_at=NOON + timedelta(seconds=seconds),
    )


def mapped(value: Any) -> Snapshot:
    """The snapshot of a fulfillment, or of bytes."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return map_fulfillment(raw, provenance())


def only(value: Any) -> Seen:
    """The one package of a fulfillment."""
    (found,) = mapped(value).packages
    return found


def record(value: Any, offset: int) -> ConsumerRecord[bytes, bytes]:
    """It as a raw record, each a second after the one before."""
    place = provenance(offset)
    body = json.dumps(value).encode()
    return raw_record(place.key.encode(), body, place.headers(), offset=offset)


def returned(known: Fulfillment | None) -> Fulfillment | None:
    """It."""
    return known


def told(*values: dict[str, Any]) -> list[list[str]]:
    """The types of the events that each of these observations makes, one after the other."""
    states: list[bytes] = []
    types = []
    for offset, value in enumerate(values):
        seen = record(value, offset)
        _, place = provenance_of(seen)
        known = restored("it", states[-1] if states else None)
        outcome = observed(seen, place, MAPPERS, partial(returned, known))
        states += [outcome.state.to_json()] if outcome.state else []
        types.append([event.type for event in outcome.events])
    return types


def test_the_seeds_own_example_is_a_shipped_package() -> None:
    """The seed's response, word for word: remote_data without a status, items an object."""
    found = mapped(
        {
            "carrier": "DHL",
            "tracking_urls": ["https://tracing-url.sf.com"],
            "tracking_numbers": ["track_1029_191919"],
            "items": {},
            "order_id": ID,
            "field_mappings": {"fav_dish": "broccoli", "fav_color": "red"},
            "id": ID,
            "remote_id": "id_1",
            "remote_data": {"fav_dish": "broccoli", "fav_color": "red"},
            "created_at": "2024-10-01T12:00:00Z",
            "modified_at": "2024-10-01T12:00:00Z",
        }
    )
    (package,) = found.packages
    assert package.left
    assert package.line_items is None
    assert package.carrier is not None
    assert package.carrier.code == "dhl"
    assert [(one.number, one.url) for one in package.trackings] == [
        ("track_1029_191919", "https://tracing-url.sf.com")
    ]
    assert [order.id for order in found.orders] == [ID]
    assert found.created_at == datetime(2024, 10, 1, 12, tzinfo=UTC)
    assert found.updated_at is None


@pytest.mark.parametrize(
    ("numbers", "remote_data", "status"),
    [
        (["T"], {"status": "success"}, "shipped"),
        (["T"], {"status": "something_new"}, "shipped"),
        (["T"], {"status": None}, "shipped"),
        (["T"], {"status": 5}, "shipped"),
        (["T"], {}, "shipped"),
        (["T"], None, "shipped"),
        (["T"], "text", "shipped"),
        (["T"], {"status": "pending"}, "pending"),
        (["T"], {"status": "open"}, "pending"),
        (["T"], {"status": " OPEN "}, "pending"),
        (["T"], {"status": "cancelled"}, "canceled"),
        (["T"], {"status": "canceled"}, "canceled"),
        (["T"], {"status": "error"}, "canceled"),
        (["T"], {"status": "failure"}, "canceled"),
        ([], {"status": "success"}, "pending"),
        (None, {"status": "success"}, "pending"),
        ([None, "", "  "], {"status": "success"}, "pending"),
        ([], {"status": "cancelled"}, "canceled"),
    ],
)
def test_a_package_left_with_a_number_unless_the_provider_says_otherwise(
    numbers: Any, remote_data: Any, status: str
) -> None:
    """Shipped: a tracking number, and a status not pending, open, cancelled, error, failure."""
    value = fulfillment(tracking_numbers=numbers, remote_data=remote_data)

    assert only(value).status == status
    assert mapped(value).status == ("canceled" if status == "canceled" else None)


def test_several_numbers_are_several_packages_and_the_items_stay_on_the_fulfillment() -> None:
    """Which package holds what is not told, so the quantities are not multiplied."""
    found = mapped(fulfillment("A", "B"))

    assert [package.trackings[0].number for package in found.packages] == ["A", "B"]
    assert [package.line_items for package in found.packages] == [None, None]
    assert [(item.sku, item.quantity) for item in found.line_items] == [("MUG-1", "2")]


def test_what_was_sent_under_one_number_is_in_that_package() -> None:
    """With one package there is nothing to guess."""
    items = only(fulfillment("A")).line_items

    assert items is not None
    assert [(item.sku, item.line_id, item.description) for item in items] == [
        ("MUG-1", "91", "Mug")
    ]


@pytest.mark.parametrize(
    ("numbers", "urls", "pairs"),
    [
        (["A", "B"], ["u1"], [("A", "u1"), ("B", None)]),
        (["A"], ["u1", "u2"], [("A", "u1"), (None, "u2")]),
        ([], ["u1"], [(None, "u1")]),
        (None, ["u1", "u1", "u2"], [(None, "u1"), (None, "u2")]),
        (["A", "B"], ["u1", "u2", "u3"], [("A", "u1"), ("B", "u2")]),
        (["A", "B"], None, [("A", None), ("B", None)]),
        (["A", "B"], [], [("A", None), ("B", None)]),
        (["A", "B"], [None, "u2"], [("A", None), ("B", "u2")]),
        ([None, "B"], ["u1", "u2"], [("B", "u2"), (None, "u1")]),
        (["A", "a", " A "], ["u1", "u2"], [("A", "u1")]),
    ],
)
def test_numbers_and_urls_are_paired_by_their_place(
    numbers: Any, urls: Any, pairs: list[tuple[str, str | None]]
) -> None:
    """Arrays of unequal length, nulls, a number twice; a URL without one is of the one package."""
    found = mapped(fulfillment(tracking_numbers=numbers, tracking_urls=urls))

    shown = [(one.number, one.url) for package in found.packages for one in package.trackings]
    assert shown == pairs


@pytest.mark.parametrize(
    ("items", "remote_data", "skus"),
    [
        ({}, {"line_items": [LINE]}, ["MUG-1"]),
        ([{"sku": "CARD", "quantity": 1}], {"line_items": [LINE]}, ["MUG-1"]),
        ([{"sku": "CARD", "quantity": 1}], {}, ["CARD"]),
        ([{"sku": "CARD", "quantity": 1}], None, ["CARD"]),
        ([{"sku": "CARD", "quantity": 1}], {"line_items": [{"quantity": "two"}]}, ["CARD"]),
        ([{"sku": "CARD", "quantity": 1}], {"line_items": {"a": 1}}, ["CARD"]),
        ([], {}, []),
        ({}, {"line_items": []}, []),
        ({}, {}, None),
        (None, None, None),
        ({"sku": "CARD"}, {"line_items": [{"sku": "MUG-1"}]}, None),
    ],
)
def test_the_providers_lines_come_before_panoras_items(
    items: Any, remote_data: Any, skus: list[str] | None
) -> None:
    """Object, array and null are all met; what the provider says in its own way is not told."""
    found = only(fulfillment("A", items=items, remote_data=remote_data)).line_items

    assert (None if found is None else [item.sku for item in found]) == skus


def test_quantities_never_pass_through_a_float() -> None:
    """0.1 as a number, as text and with trailing zeros are all exactly 0.1."""
    text = json.dumps(fulfillment("A")).replace('"quantity": 2', '"quantity": %s')
    for written in ("0.1", '"0.1"', "0.100000"):
        assert mapped((text % written).encode()).line_items[0].quantity == "0.1"


def test_every_field_but_the_id_may_be_null() -> None:
    """Seed: "string | null", "object | null" all the way down."""
    found = mapped({**dict.fromkeys(fulfillment()), "id": ID})

    assert found.orders == ()
    assert found.line_items == ()
    assert [package.status for package in found.packages] == ["pending"]
    assert mapped({"id": ID}) == found


def test_a_number_that_comes_later_ships_the_package_that_was_there() -> None:
    """Pending without a number, then with one: one package, announced once."""
    assert told(fulfillment(), fulfillment("A"), fulfillment("A")) == [
        ["package.created"],
        ["package.tracking_changed", "package.shipped", "fulfillment.shipped"],
        [],
    ]


@pytest.mark.parametrize(
    ("before", "after"), [(["A"], ["X"]), (["A", "B"], ["A", "X"]), (["A", "B"], ["X", "A"])]
)
def test_a_corrected_number_is_a_correction_not_a_new_package(
    before: list[str], after: list[str]
) -> None:
    """One number replaced, alone or beside others, in any order."""
    assert told(fulfillment(*before), fulfillment(*after))[1] == ["package.tracking_changed"]


def test_a_second_number_is_a_second_package() -> None:
    """The first keeps its identity; what is in each is not known any more."""
    _, second = told(fulfillment("A"), fulfillment("A", "B"))

    assert second == ["package.created", "package.contents_changed", "package.shipped"]


def test_a_changed_field_mapping_alone_tells_nothing() -> None:
    """It is on raw, and no fact about a package."""
    changed = fulfillment("A", field_mappings={"fav_dish": "leek"})

    assert told(fulfillment("A"), changed)[1] == []


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"{", "$"),
        (b"[]", "$"),
        (b"{}", "$"),
        (b"[" * 100_000, "$"),
        (fulfillment(id=None), "$.id"),
        (fulfillment(id="b52a8a2e-8d1f-41de-8d5a-9d3d3d1f4a77"), "$.id"),
        (fulfillment(*map(str, range(1, 1002))), "$.tracking_numbers"),
    ],
)
def test_what_cannot_be_understood_says_where(raw: Any, path: str) -> None:
    """Unmappable names the path in the record and a reason."""
    with pytest.raises(Unmappable) as caught:
        mapped(raw)

    assert caught.value.path == path
    assert caught.value.reason


def test_an_order_that_is_linked_later_is_in_the_state_and_no_news() -> None:
    """What was announced before named no order."""
    known: Fulfillment | None = None
    told: list[list[str]] = []
    for offset, order_id in enumerate((None, "o-1")):
        raw = record(fulfillment("T1") | {"order_id": order_id}, offset)
        found = observed(raw, provenance(offset), MAPPERS, lambda known=known: known)  # type: ignore[misc]
        known = found.state or known
        told.append([event.type for event in found.events])

    assert known is not None
    assert (known.orders, known.revision) == ((OrderRef("o-1"),), 2)
    assert told[1] == []
