"""What each system's own record says of a departure: met late, taken back, or not told any more."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.normalizer.documented import PANORA, PROVIDER, RECORDS, Documented
from tests.unit.normalizer.test_degraded import seen

RETRACTED, RESTORED = "package.shipment_retracted", "package.restored"
ZENTAIL = {**RECORDS["zentail"][0].record, "status": "SHIPPED"}
PROVIDED = {**PANORA, "remote_data": PROVIDER}


def of(record: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The record with other values; a dotted name leads into objects and lists."""
    found: Any = {**record}
    for name, value in changes.items():
        place, (*parts, last) = found, name.split(".")
        for part in parts:
            inner = place[int(part)] if isinstance(place, list) else place[part]
            inner = list(inner) if isinstance(inner, list) else {**inner}
            place[int(part) if isinstance(place, list) else part] = inner
            place = inner
        place[last] = value
    return found  # type: ignore[no-any-return]


def turns(source: str, record: dict[str, Any], changes: dict[str, Any]) -> list[str]:
    """Which of the two events are told when the record changes and then is as it was."""
    first = RECORDS[source][0]
    sample = Documented(first.resource, record, first.options)
    outcomes = seen(source, sample, record, of(record, changes), record)
    assert "package.shipped" in [event.type for event in outcomes[0].events]
    told = [event.type for outcome in outcomes[1:] for event in outcome.events]
    assert "package.shipped" not in told
    return [one for one in told if one in (RETRACTED, RESTORED)]


@pytest.mark.parametrize(
    ("source", "record", "changes"),
    [
        ("zentail", ZENTAIL, {"status": "PENDING", "packages.0.shippedTs": None}),
        (
            "zentail",
            of(ZENTAIL, {"packages.0.shippedTs": None}),
            {"status": "PENDING"},
        ),
        ("tradecloud", RECORDS["tradecloud"][0].record, {"locations.departure.atdDate": None}),
        ("shoplazza", RECORDS["shoplazza"][0].record, {"status": "waiting"}),
        (
            "digital_river",
            RECORDS["digital_river"][0].record,
            {"trackingNumber": "", "trackingUrl": None, "shipmentId": None},
        ),
        ("panora", PROVIDED, {"remote_data.status": "pending"}),
    ],
)
def test_a_record_that_withdraws_its_evidence_takes_the_departure_back(
    source: str, record: dict[str, Any], changes: dict[str, Any]
) -> None:
    """And once it shows it again, the same announcement holds again."""
    found = turns(source, record, changes)

    assert found.count(RETRACTED) == found.count(RESTORED) == found.index(RESTORED) > 0


@pytest.mark.parametrize(
    ("source", "record", "changes"),
    [
        ("zentail", ZENTAIL, {"status": "REFUNDED"}),
        ("zentail", of(ZENTAIL, {"packages.0.shippedTs": None}), {"status": "REFUNDED"}),
        ("zentail", of(ZENTAIL, {"packages.0.shippedTs": None}), {"status": "ON_THE_MOON"}),
        ("zentail", of(ZENTAIL, {"packages.0.shippedTs": None}), {"packages.0.tracking": None}),
        ("zentail", ZENTAIL, {"packages.0.shippedTs": "soon"}),
        ("zentail", ZENTAIL, {"packages.0.products": None}),
        (
            "tradecloud",
            RECORDS["tradecloud"][0].record,
            {"locations.departure.atdDate": "a Monday"},
        ),
        ("shoplazza", RECORDS["shoplazza"][0].record, {"status": "beamed"}),
        ("shoplazza", RECORDS["shoplazza"][0].record, {"status": None}),
        ("shoplazza", RECORDS["shoplazza"][0].record, {"status": {"code": 3}}),
        ("digital_river", RECORDS["digital_river"][0].record, {"trackingNumber": ""}),
        ("digital_river", RECORDS["digital_river"][0].record, {"shipmentId": None}),
        ("panora", PROVIDED, {"remote_data": None}),
        ("panora", PROVIDED, {"remote_data.status": "beamed"}),
    ],
)
def test_a_record_that_only_says_less_takes_nothing_back(
    source: str, record: dict[str, Any], changes: dict[str, Any]
) -> None:
    """What cannot be read, is not told or is unknown is no word against what was told."""
    assert turns(source, record, changes) == []


ALL_DELIVERED = {"status": {"processStatus": "Completed", "logisticsStatus": "Delivered"}}
LEFT = ["package.created", "package.shipped", "fulfillment.shipped"]


@pytest.mark.parametrize(
    ("source", "number", "changes", "types"),
    [
        (
            "tradecloud",
            2,
            {"status": ALL_DELIVERED["status"], "lines.0.status": ALL_DELIVERED["status"]},
            ["fulfillment.shipped"],
        ),
        ("shoplazza", 0, {"status": "finished"}, LEFT),
        ("zentail", 1, {"status": "RETURNED"}, LEFT),
        ("zentail", 1, {"status": "RETURN_REQUESTED"}, LEFT),
        ("zentail", 1, {"status": "REFUNDED"}, ["package.created"]),
        ("panora", 0, {}, LEFT),
        ("digital_river", 0, {}, [*LEFT[:2], "fulfillment.items_canceled", LEFT[2]]),
    ],
)
def test_what_is_first_met_after_it_left_tells_all_that_implies(
    source: str, number: int, changes: dict[str, Any], types: list[str]
) -> None:
    """In order; money that is returned implies nothing."""
    sample = RECORDS[source][number]._replace(options=frozenset())
    (outcome,) = seen(source, sample, of(sample.record, changes))

    assert [event.type for event in outcome.events] == types
