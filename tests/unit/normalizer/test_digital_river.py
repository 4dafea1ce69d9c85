"""The Digital River mapper: what a fulfillment shows, and what cannot be understood."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.raw import Provenance
from services.normalizer.mapper import Seen, Snapshot, Unmappable, ids
from services.normalizer.mappers.digital_river import map as map_fulfillment
from services.normalizer.merge import merge
from services.normalizer.model import Event, Fulfillment, RawRef
from tests.unit.normalizer.feed import NOON

UNTRACKED = frozenset({"announce_untracked"})


def provenance(*, seconds: float = 0, options: frozenset[str] = frozenset()) -> Provenance:
    return Provenance(
        source="digital_river",
        account="acme",
        resource="fulfillments",
        stream="head",
        upstream_id="ful_1",
        observed_at=NOON + timedelta(seconds=seconds),
        options=options,
    )


def item(quantity: Any = 1, canceled: Any = 0, sku: str = "MUG", line: str = "1") -> dict[str, Any]:
    return {"itemId": line, "skuId": sku, "quantity": quantity, "cancelQuantity": canceled}


def record(*items: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": "ful_1",
        "createdTime": "2026-03-01T11:00:00Z",
        "orderId": "2901",
        "items": list(items),
        "liveMode": False,
        **more,
    }


def mapped(value: Any, options: frozenset[str] = frozenset()) -> Snapshot:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return map_fulfillment(raw, provenance(options=options))


def only(value: Any, options: frozenset[str] = frozenset()) -> Seen:
    (found,) = mapped(value, options).packages
    return found


def told(*versions: dict[str, Any], apart_seconds: float = 1) -> list[Event]:
    """The events of a fulfillment seen in these versions, one after the other."""
    state: Fulfillment | None = None
    events: list[Event] = []
    for offset, version in enumerate(versions):
        seen = provenance(seconds=offset * apart_seconds)
        snapshot = map_fulfillment(json.dumps(version).encode(), seen)
        outcome = merge(state, snapshot, seen, RawRef(topic="raw", partition=0, offset=offset))
        state = outcome.state or state
        events += outcome.events
    return events


@pytest.mark.parametrize(
    ("more", "options", "left"),
    [
        ({}, frozenset(), False),
        ({"trackingNumber": "  "}, frozenset(), False),
        ({"trackingNumber": None, "shipmentId": ""}, frozenset(), False),
        ({"trackingCompany": "Fedex"}, frozenset(), False),
        ({"trackingUrl": "http://fedex.example/?n=1"}, frozenset(), False),
        ({"trackingNumber": "Z1"}, frozenset(), True),
        ({"shipmentId": "1000"}, frozenset(), True),
        ({"shipmentId": 1000}, frozenset(), True),
        ({}, UNTRACKED, True),
    ],
)
def test_what_was_fulfilled_left_with_a_number_or_a_shipment_id(
    more: dict[str, Any], options: frozenset[str], left: bool
) -> None:
    """A link or a carrier proves nothing; untracked goods leave only when the account says so."""
    found = mapped(record(item(), **more), options)
    assert found.packages[0].left is left
    assert (found.status, found.final) == (None, left)


@pytest.mark.parametrize("options", [frozenset(), UNTRACKED])
def test_a_cancellation_is_no_package(options: frozenset[str]) -> None:
    """Whatever else it carries: all quantities are 0."""
    found = mapped(record(item(0, 3), trackingNumber="Z1", shipmentId="1"), options)
    assert (found.packages, found.line_items) == ((), ())
    assert [(one.line_id, one.quantity) for one in found.canceled_items] == [("1", "3")]
    assert (found.status, found.final) == ("canceled", True)


def test_one_line_can_be_fulfilled_and_canceled() -> None:
    """Each quantity goes where it belongs."""
    found = mapped(record(item(2, 1), item(0, 4, "POT", "2"), item("1.50", "0", "JAR", "3")))
    (package,) = found.packages
    assert package.line_items == found.line_items
    assert [(one.sku, one.quantity) for one in found.line_items] == [("MUG", "2"), ("JAR", "1.5")]
    assert [(one.sku, one.quantity) for one in found.canceled_items] == [("MUG", "1"), ("POT", "4")]


@pytest.mark.parametrize("items", [[], [item(0, 0)]])
def test_nothing_at_all_is_neither_a_package_nor_a_cancellation(items: list[Any]) -> None:
    """It is open; more may come."""
    found = mapped(record(*items))
    assert (found.packages, found.status, found.final) == ((), None, False)


def test_a_package_is_known_by_the_fulfillments_own_id() -> None:
    """So a corrected number is a correction; carrier, url and order keep their own words."""
    more = {"trackingCompany": " Fedex ", "trackingNumber": " Z 1", "trackingUrl": "http://t/?Z1"}
    found = mapped(record(item(), **more))
    (package,) = found.packages
    assert package.upstream_ids == ids(fulfillment_id="ful_1")
    assert package.carrier is not None
    assert (package.carrier.code, package.carrier.name_raw) == ("fedex", "Fedex")
    (tracking,) = package.trackings
    assert (tracking.number, tracking.number_normalized, tracking.url) == (
        "Z 1",
        "Z1",
        "http://t/?Z1",
    )
    assert [(one.id, one.number) for one in found.orders] == [("2901", "2901")]


def test_there_is_no_version_so_the_instant_of_observation_decides() -> None:
    """createdTime never moves; taken for a version it would hide every update."""
    found = mapped(record(item()))
    assert found.updated_at is None
    assert found.created_at == datetime(2026, 3, 1, 11, tzinfo=UTC)
    numbers = ("A", "B", "A")
    types = [event.type for event in told(*(record(item(), trackingNumber=n) for n in numbers))]
    assert types[3:] == ["package.tracking_changed"] * 2


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        (None, None),
        ("2026-03-01T12:00:00.5+01:00", datetime(2026, 3, 1, 11, 0, 0, 500_000, UTC)),
        (
            {"year": 2026, "monthValue": 3, "dayOfMonth": 1, "hour": 6, "minute": 0, "second": 5}
            | {"offset": {"totalSeconds": -18_000}, "nano": 0},
            datetime(2026, 3, 1, 11, 0, 5, tzinfo=UTC),
        ),
    ],
)
def test_both_forms_of_a_time_are_read(created: Any, expected: datetime | None) -> None:
    """A text with any fraction, or the object a Java program would print."""
    assert mapped(record(item(), createdTime=created)).created_at == expected


def test_unknown_fields_and_the_details_of_a_single_read_are_no_trouble() -> None:
    """New fields come without notice; `GET /fulfillments/{id}` adds the order."""
    details = {"orderDetails": {"id": "2901", "items": []}, "subscription": {"wave": 7}}
    assert mapped(record(item(), **details)) == mapped(record(item()))


def test_metadata_are_fields_of_the_account_s_own() -> None:
    """Seed: "Key-value pairs used to store additional data"; strings, booleans, integers."""
    found = mapped(record(item(), metadata={"wave": 7, "gift": True, "coupon": "iOS"}))
    assert bytes(found.field_mappings) == b'{"coupon":"iOS","gift":true,"wave":7}'


@pytest.mark.parametrize(
    ("metadata", "echo"),
    [
        (None, False),
        ({"wave": 7}, False),
        ({"shipfeed_event_id": ""}, False),
        ({"note": "shipfeed_event_id"}, False),
        (["shipfeed_event_id"], False),
        ({"wave": 7, "shipfeed_event_id": "evt_1"}, True),
    ],
)
def test_what_was_written_back_says_so_in_its_metadata(metadata: Any, echo: bool) -> None:
    """They stay the account's own fields all the same."""
    found = mapped(record(item(), metadata=metadata))
    assert found.echo is echo
    told_of = bytes(found.field_mappings).decode()
    assert json.loads(told_of) == (metadata if isinstance(metadata, dict) else None)


def test_what_was_written_back_stays_an_echo_whoever_changes_it() -> None:
    """A number corrected by hand at the target cannot be told from one that we gave."""
    ours = record(item(), trackingNumber="Z1", metadata={"shipfeed_event_id": "evt_1"})
    events = told(ours, {**ours, "trackingNumber": "Z2"})
    assert [event.type for event in events] == [
        "package.created",
        "package.shipped",
        "fulfillment.shipped",
        "package.tracking_changed",
    ]
    assert all(event.data.echo and event.data.fulfillment.echo for event in events)


def test_more_canceled_is_told_and_less_is_not() -> None:
    """By line and with the figures before and after; the package goes when nothing is left in."""
    events = told(
        record(item(3), trackingNumber="Z"),
        record(item(1, 2), trackingNumber="Z"),
        record(item(2, 1), trackingNumber="Z"),
        record(item(0, 3), trackingNumber="Z"),
    )
    canceled = [event for event in events if event.type == "fulfillment.items_canceled"]
    figures = [
        [[one.quantity for one in side] for side in (change.before, change.after)]
        for event in canceled
        for change in event.data.changes
    ]
    assert figures == [[[], ["2"]], [["1"], ["3"]]]
    assert [event.type for event in events][-4:] == [
        "package.removed",
        "package.shipment_retracted",
        "fulfillment.items_canceled",
        "fulfillment.canceled",
    ]
    assert len({event.id for event in events}) == len(events)


def test_a_cancellation_seen_in_the_same_instant_is_told_too() -> None:
    """Equal but different: the later record wins, also when only the canceled part differs."""
    events = told(record(item(0, 1)), record(item(0, 2)), apart_seconds=0)
    assert [event.type for event in events] == [
        "fulfillment.items_canceled",
        "fulfillment.canceled",
        "fulfillment.items_canceled",
    ]


def test_a_pure_cancellation_is_told_at_first_sight() -> None:
    """Nothing else ever shows it."""
    assert [event.type for event in told(record(item(0, 3)))] == [
        "fulfillment.items_canceled",
        "fulfillment.canceled",
    ]


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"{", "$"),
        (b"[]", "$"),
        ({"id": "ful_1", "items": []}, "$"),
        (record(item(), id="ful_2"), "$.id"),
        (record(item(), orderId=None), "$.orderId"),
        (record(item(), items="none"), "$.items"),
    ],
)
def test_what_cannot_be_understood_says_where(raw: Any, path: str) -> None:
    """Unmappable names the path in the record and a reason."""
    with pytest.raises(Unmappable) as caught:
        mapped(raw)

    assert caught.value.path == path
    assert caught.value.reason
