"""An odd value costs itself only: in every system, and in what is known of the fulfillment."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from typing import Any

import pytest

from bus.clock import SystemClock
from bus.settings import KafkaSettings
from bus.table import Table
from bus.telemetry import DEGRADED
from schemas.raw import Provenance
from schemas.topics import FULFILLMENTS
from services.normalizer.handler import _Batch
from services.normalizer.mapper import Reading
from services.normalizer.mappers import discovered
from services.normalizer.merge import Outcome
from services.normalizer.model import Fulfillment
from services.normalizer.observation import observed
from services.normalizer.stubs import Stubs
from tests.unit.normalizer.documented import RECORDS, Documented
from tests.unit.normalizer.feed import NOON, raw_record

MAPPERS = discovered()
LONG = 123456789012345678901234567890

# System, which documented record, and where in it.
Field = tuple[str, int, str]
TEXTS: list[Field] = [
    ("zentail", 0, "packages.0.tracking"),
    ("zentail", 0, "packages.0.carrier"),
    ("shoplazza", 0, "tracking_number"),
    ("shoplazza", 0, "tracking_items.0.tracking_number"),
    ("shoplazza", 0, "tracking_company"),
    ("digital_river", 0, "trackingNumber"),
    ("digital_river", 0, "trackingCompany"),
    ("tradecloud", 0, "identifiers.trackingNumber"),
    ("panora", 0, "tracking_numbers.0"),
    ("panora", 0, "carrier"),
]
DATES: list[Field] = [
    ("zentail", 0, "packages.0.shippedTs"),
    ("zentail", 0, "orderTs"),
    ("shoplazza", 0, "created_at"),
    ("digital_river", 0, "createdTime"),
    ("tradecloud", 0, "locations.departure.atdDate"),
    ("panora", 0, "created_at"),
]
QUANTITIES: list[Field] = [
    ("zentail", 0, "packages.0.products.0.quantity"),
    ("zentail", 0, "products.0.quantity"),
    ("shoplazza", 0, "line_items.0.shipping_quantity"),
    ("digital_river", 0, "items.0.quantity"),
    ("digital_river", 0, "items.0.cancelQuantity"),
    ("tradecloud", 0, "loadCarriers.0.lines.0.supplierLine.despatchQuantity"),
    ("tradecloud", 2, "lines.0.deliverySchedule.0.quantity"),
    ("panora", 1, "items.0.quantity"),
]
ODD_QUANTITIES = ["many", -1, "1_000", "\u0661\u0662", True, {}, [2], "1e99", 0.0000001, "9" * 60]
UNSET = ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "0000-00-00 00:00:00", "1900-01-01", 0]


def changed(field: Field, value: Any) -> dict[str, Any]:
    """The documented record with this value there; None: without it."""
    source, number, path = field
    record = copy.deepcopy(RECORDS[source][number].record)
    place: Any = record
    *parts, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parts:
        place = place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return record


def seen(source: str, sample: Documented, *records: dict[str, Any]) -> list[Outcome]:
    """What each record, a minute newer than the one before, makes of the fulfillment."""
    key = "orderNumber" if "orderNumber" in sample.record else "id"
    known: Fulfillment | None = None
    outcomes = []
    for offset, record in enumerate(records):
        at = NOON + timedelta(minutes=offset)
        provenance = Provenance(
            source,
            "acme",
            sample.resource,
            "head",
            str(sample.record[key]),
            at,
            options=sample.options,
        )
        raw = raw_record(provenance.key.encode(), json.dumps(record).encode(), (), offset=offset)
        outcomes.append(observed(raw, provenance, MAPPERS, lambda known=known: known))  # type: ignore[misc]
        known = outcomes[-1].state or known
    return outcomes


def first(field: Field, value: Any) -> Outcome:
    """The record with this value, at first sight."""
    source, number, _ = field
    return seen(source, RECORDS[source][number], changed(field, value))[0]


def later(field: Field, value: Any) -> tuple[Outcome, Outcome]:
    """The documented record, and then the one with this value."""
    source, number, _ = field
    sample = RECORDS[source][number]
    known, odd = seen(source, sample, sample.record, changed(field, value))
    return known, odd


def label(field: Field) -> str:
    """As the metric spells the path."""
    return "".join("[]" if p.isdigit() else f".{p}" for p in field[2].split(".")).removeprefix(".")


def bare(state: Fulfillment | None) -> dict[str, Any]:
    """The state without when and where it was read."""
    assert state is not None
    value = json.loads(state.to_json())
    return {k: v for k, v in value.items() if k not in {"observed_at", "raw", "updated_at"}}


@pytest.mark.parametrize("field", TEXTS, ids=str)
@pytest.mark.parametrize("number", [LONG, 12, 12.0])
def test_a_number_where_a_text_belongs_is_read_as_its_digits(field: Field, number: float) -> None:
    """Whatever its length, and without the .0 of a spreadsheet; it is counted as odd."""
    outcome = first(field, number)

    assert outcome.state is not None
    assert f'"{int(number)}"' in outcome.state.to_json().decode()
    assert outcome.degraded == (label(field),)


@pytest.mark.parametrize("field", TEXTS, ids=str)
@pytest.mark.parametrize("value", [{"a": 1}, [], True], ids=str)
def test_a_text_that_cannot_be_read_keeps_what_is_known_and_tells_nothing(
    field: Field, value: Any
) -> None:
    """At first sight it is null and costs nothing else."""
    alone = first(field, value)
    assert alone.state is not None
    assert alone.degraded == (label(field),)
    known, odd = later(field, value)
    assert odd.events == ()
    assert bare(odd.state or known.state) == bare(known.state)


@pytest.mark.parametrize("field", DATES, ids=str)
@pytest.mark.parametrize("value", UNSET, ids=str)
def test_a_date_that_stands_for_not_set_is_no_date(field: Field, value: Any) -> None:
    """As if it were missing, and counted."""
    odd = first(field, value)
    missing = seen(field[0], RECORDS[field[0]][field[1]], changed(field, None))[0]

    assert odd.degraded == (label(field),)
    assert bare(odd.state) == bare(missing.state)
    assert [one.type for one in odd.events] == [one.type for one in missing.events]


@pytest.mark.parametrize("field", DATES, ids=str)
@pytest.mark.parametrize("value", ["soon", {}, True, 5], ids=str)
def test_a_date_that_cannot_be_read_keeps_what_is_known_and_tells_nothing(
    field: Field, value: Any
) -> None:
    """Neither is a departure taken back, nor its time."""
    assert first(field, value).degraded == (label(field),)
    known, odd = later(field, value)
    assert odd.events == ()
    assert bare(odd.state or known.state) == bare(known.state)


@pytest.mark.parametrize("field", QUANTITIES, ids=str)
@pytest.mark.parametrize("value", [None, *ODD_QUANTITIES], ids=repr)
def test_a_quantity_that_is_missing_or_odd_is_unknown_and_costs_nothing_else(
    field: Field, value: Any
) -> None:
    """At first sight it is null; over a known one the known one stays, and nothing is told."""
    alone = first(field, value)
    assert alone.state is not None
    missing_is_fine = field[2].endswith(("cancelQuantity", "shipping_quantity")) or (
        field[0] == "digital_river"
    )
    if value is None and missing_is_fine:
        return
    assert alone.degraded[0].startswith(label(field))
    assert '"quantity":null' in alone.state.to_json().decode()
    known, odd = later(field, value)
    assert odd.events == ()
    assert bare(odd.state or known.state) == bare(known.state)


@pytest.mark.parametrize("source", MAPPERS)
def test_a_record_as_documented_has_nothing_odd(source: str) -> None:
    """So what is counted is news to whoever looks."""
    for sample in RECORDS[source]:
        assert seen(source, sample, sample.record)[0].degraded == ()


def test_odd_values_are_counted_by_source_and_field_once_committed() -> None:
    """Whether the record is news or not."""
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    sample = RECORDS["zentail"][0]
    odd = {**sample.record, "orderTs": "soon"}
    batch = _Batch(kafka, 0, MAPPERS, Stubs(None), Table(kafka, FULFILLMENTS, 0))
    seen_as = Provenance("zentail", "acme", "orders", "head", str(odd["orderNumber"]), NOON)
    for offset in range(2):
        raw, key = json.dumps(odd).encode(), seen_as.key.encode()
        batch.take(raw_record(key, raw, seen_as.headers(), offset=offset), SystemClock())
    counter = DEGRADED.labels("zentail", "orderTs")
    before = counter._value.get()
    batch.count(2)

    assert counter._value.get() - before == 2


def test_a_reading_notes_paths_without_places_and_unknown_fields_by_part() -> None:
    """The label of a metric holds no data of a record."""
    whole = Reading()
    part = whole.part("packages", 3)
    part.text([], "carrier", of="carrier")
    whole.quantity("x", "products", 0, "quantity")

    assert whole.degraded == part.degraded == ("packages[].carrier", "products[].quantity")
    assert (whole.unknown, part.unknown) == (frozenset(), frozenset({"carrier"}))
