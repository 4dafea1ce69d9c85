"""The Shoplazza mapper: what a fulfillment shows, and what cannot be understood."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from schemas.raw import Provenance
from services.normalizer.carriers import code_of
from services.normalizer.mapper import Seen, Snapshot, Unmappable
from services.normalizer.mappers.shoplazza import map as map_fulfillment
from services.normalizer.merge import merge
from services.normalizer.model import Carrier, Event, Fulfillment, RawRef
from tests.unit.normalizer.feed import NOON

PROVENANCE = Provenance(
    source="shoplazza",
    account="acme",
    resource="fulfillments",
    stream="touched",
    upstream_id="f-1",
    observed_at=NOON + timedelta(days=1),
)


def line(**more: Any) -> dict[str, Any]:
    return {"id": "l-1", "sku": "MUG", "quantity": 3, "shipping_quantity": 2, **more}


def record(*lines: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": "f-1",
        "order_id": "633130-00000012",
        "status": "shipped",
        "tracking_company": "燕文物流",
        "tracking_company_code": "DJ-11343",
        "tracking_number": "YT 2412-345",
        "tracking_url": "https://track.example.com/1",
        "created_at": "2026-03-01T11:00:00Z",
        "updated_at": "2026-03-01T11:00:00-04:00",
        "line_items": list(lines or (line(),)),
        **more,
    }


def mapped(value: Any) -> Snapshot:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return map_fulfillment(raw, PROVENANCE)


def only(value: Any) -> Seen:
    (found,) = mapped(value).packages
    return found


def told(*versions: dict[str, Any]) -> tuple[list[Event], Fulfillment]:
    """The events of a fulfillment seen in these versions, one second apart, and its last state."""
    state: Fulfillment | None = None
    events: list[Event] = []
    for offset, version in enumerate(versions):
        stamp = (NOON + timedelta(seconds=offset)).isoformat()
        snapshot = mapped({**version, "updated_at": stamp})
        outcome = merge(state, snapshot, PROVENANCE, RawRef(topic="r", partition=0, offset=offset))
        state = outcome.state or state
        events += outcome.events
    assert state is not None
    return events, state


@pytest.mark.parametrize(
    ("word", "status", "whole"),
    [
        ("shipped", "shipped", None),
        ("finished", "delivered", None),
        ("waiting", "pending", None),
        ("pending", "pending", None),
        (" Waiting ", "pending", None),
        ("cancelled", "canceled", "canceled"),
        ("canceled", "canceled", "canceled"),
        ("on_hold", "pending", None),
        ("", "pending", None),
        (None, "pending", None),
    ],
)
def test_the_status_alone_says_whether_it_left(word: Any, status: str, whole: str | None) -> None:
    """A number proves nothing; a word that is not known stays as it is and proves nothing."""
    found = mapped(record(status=word))
    assert (found.packages[0].status, found.status) == (status, whole)
    assert (found.status_raw, found.packages[0].status_raw) == (word or None, word or None)
    assert found.final is (status in ("delivered", "canceled"))


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("finished",), "shipped"),
        (("waiting", "finished"), "shipped"),
        (("shipped", "finished"), "delivered"),
        (("shipped", "finished", "finished"), "delivered"),
        (("finished", "cancelled"), "canceled"),
    ],
)
def test_finished_is_delivered_only_after_shipped(words: tuple[str, ...], status: str) -> None:
    """It is one shipment, whatever words it goes through."""
    events, state = told(*(record(status=word) for word in words))
    assert state.packages[0].status == status
    assert [event.type for event in events].count("package.shipped") == 1


def test_a_fulfillment_is_one_package_known_by_its_own_id() -> None:
    """A corrected number is a correction; a cancellation afterwards takes the shipment back."""
    events, _ = told(record(), record(tracking_number="YT9"), record(status="cancelled"))
    assert [event.type for event in events] == [
        "package.created",
        "package.shipped",
        "fulfillment.shipped",
        "package.tracking_changed",
        "package.tracking_changed",
        "package.canceled",
        "package.shipment_retracted",
        "fulfillment.canceled",
    ]


def test_what_the_record_says_of_order_carrier_and_time() -> None:
    """Seed: carrier in Chinese beside a code of Shoplazza's own; versions may have offsets."""
    found = mapped(record())
    (package,) = found.packages
    assert [order.id for order in found.orders] == ["633130-00000012"]
    assert found.updated_at == NOON + timedelta(hours=3)
    assert found.created_at == NOON - timedelta(hours=1)
    assert package.carrier == Carrier("yanwen", "燕文物流", "DJ-11343")
    assert only(record(tracking_company="", tracking_company_code="")).carrier is None
    assert only(record(tracking_company_code=3306)).carrier == Carrier("yanwen", "燕文物流", "3306")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("顺丰速运", "sf_express"),
        ("中国邮政", "china_post"),
        ("联邦快递", "fedex"),
        ("隔壁老王", None),
    ],
)
def test_carriers_are_known_by_their_chinese_names(name: str, code: str | None) -> None:
    """Those that are facts; no other is guessed."""
    assert code_of(name) == code


@pytest.mark.parametrize(
    ("shown", "quantity"),
    [
        ({}, "2"),
        ({"shipping_quantity": 0}, "0"),
        ({"shipping_quantity": None}, "3"),
        ({"shipping_quantity": "1.50"}, "1.5"),
        ({"shipping_quantity": 2.0}, "2"),
    ],
)
def test_what_was_sent_of_a_line(shown: dict[str, Any], quantity: str) -> None:
    """Seed: `shipping_quantity` "Quantity shipped for this line item"; else `quantity`."""
    (item,) = mapped(record(line(**shown))).line_items
    assert (item.quantity, item.sku, item.line_id) == (quantity, "MUG", "l-1")


def test_prices_weights_and_images_are_nobodys_business_here() -> None:
    """Strings, numbers, null, objects: they stay on raw."""
    odd = line(price=81, weight="1.10", image={"src": "//cdn"}, custom_properties=None, total="x")
    assert mapped(record(odd)).line_items == mapped(record()).line_items


def test_contents_that_are_not_told_are_not_empty() -> None:
    """Null is not []."""
    assert only(record(line_items=None)).line_items is None
    assert only(record(line_items=[])).line_items == ()


@pytest.mark.parametrize(
    ("more", "trackings"),
    [
        ({}, [("YT 2412-345", "https://track.example.com/1")]),
        ({"tracking_url": "//t.example/1"}, [("YT 2412-345", "https://t.example/1")]),
        ({"tracking_number": "", "tracking_url": ""}, []),
        ({"tracking_number": " ", "tracking_url": "//t"}, [(None, "https://t")]),
        (
            {
                "tracking_items": [
                    {"tracking_number": "YT2412345", "tracking_company": "x"},
                    {"tracking_number": "YT2", "tracking_url": "//t/2"},
                    {"tracking_number": None},
                ]
            },
            [("YT 2412-345", "https://track.example.com/1"), ("YT2", "https://t/2")],
        ),
        (
            {"tracking_number": "", "tracking_items": [{"tracking_number": "A"}]},
            [("A", None)],
        ),
    ],
)
def test_all_numbers_of_a_fulfillment_are_of_its_one_package(
    more: dict[str, Any], trackings: list[Any]
) -> None:
    """Each once; a link without a scheme gets one, a link alone stands only where no number is."""
    found = only(record(**more)).trackings
    assert [(one.number, one.url) for one in found] == trackings


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (record(id="f-2"), "$.id"),
        ({**record(), "order_id": None}, "$.order_id"),
        (record(updated_at="soon"), "$.updated_at"),
        (record(updated_at=None, created_at=None), "$.updated_at"),
        (b"[]", "$"),
        (b"\xff", "$"),
    ],
)
def test_what_cannot_be_understood_says_where(value: Any, path: str) -> None:
    """One bad record is set aside; its neighbors go on."""
    with pytest.raises(Unmappable) as raised:
        mapped(value)
    assert raised.value.path == path
