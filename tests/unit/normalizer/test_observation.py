"""One record against what is known: read again, beyond merging, or beside a state nobody reads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bus.errors import Blocked, SetAside
from schemas.raw import Provenance
from services.normalizer.mapper import Seen, Snapshot
from services.normalizer.model import LineItem
from services.normalizer.observation import observed, provenance_of
from tests.unit.normalizer.feed import MAPPERS, Feed, box, order, record

A = {"MUG": 1}
SHIPPED = box(A, tracking="T1", shipped=0)


def test_raw_read_again_from_an_earlier_offset_changes_nothing() -> None:
    """Two records of one version that differ: after 11, neither 10 nor 11 is news; 12 is."""
    feed = Feed()
    one, other = (order(box(A, tracking=number, shipped=0)) for number in ("T1", "T2"))
    feed.offset = 10
    feed.see(one)
    assert feed.see(other) == ["package.tracking_changed"]
    known = feed.value

    feed.offset = 10
    again = [feed.outcome(shown) for shown in (one, other)]

    assert [(outcome.state, outcome.events, outcome.stale) for outcome in again] == [
        (None, (), False)
    ] * 2
    assert feed.value == known
    assert feed.see(one) == ["package.tracking_changed"]


def test_an_earlier_offset_of_another_topic_is_no_reading_again() -> None:
    """Offsets are compared within one partition only."""
    feed = Feed()
    feed.offset = 10
    feed.see(order(SHIPPED))

    feed.offset = 3
    changed = feed.see(order(box(A, tracking="T9", shipped=0)), topic="other.raw")

    assert changed == ["package.tracking_changed"]


class Careless:
    """A mapper that lets through what is no quantity."""

    LEAVES = MAPPERS["zentail"].LEAVES

    def map(self, raw: bytes, provenance: Provenance) -> Snapshot:
        """One package with some of it."""
        package = Seen("pending", line_items=(LineItem(sku="MUG", quantity="some"),) * 2)
        return Snapshot("shipment", (), None, packages=(package,) * 2)


def test_what_cannot_be_merged_is_set_aside_with_its_reason() -> None:
    """Whatever a mapper lets through costs its record, with the error in the reason."""
    shown = record(order(SHIPPED))
    _, provenance = provenance_of(shown)

    with pytest.raises(SetAside, match=r"cannot be merged") as found:
        observed(shown, provenance, {"zentail": Careless()}, lambda: None)

    assert found.value.path == "$"


def test_lines_whose_sum_is_beyond_any_quantity_are_merged_like_any_other() -> None:
    """Sums are for comparing only."""
    lines = [{"SKU": "MUG", "quantity": 9e40}, {"SKU": "MUG", "quantity": 9e40}]
    told = Feed().see(order({**box(shipped=0), "products": lines}))

    assert told[0] == "package.created"


@pytest.mark.parametrize("value", [b"{}", b"\xff", b"[" * 100_000 + b"]" * 100_000])
def test_a_state_that_cannot_be_read_holds_its_records_up(value: bytes) -> None:
    """It is no fault of the record: setting all of them aside would lose them."""
    feed = Feed()
    feed.value = value

    with pytest.raises(Blocked, match=r"state of it cannot be read.*packages forget it"):
        feed.see(order(SHIPPED))


@pytest.mark.parametrize(
    "name", ["shipfeed-schema", "shipfeed-source", "shipfeed-upstream-id", "shipfeed-backfill"]
)
def test_a_null_header_value_is_as_good_as_no_header(name: str) -> None:
    """Kafka allows null; the record is set aside, and its name is in the reason."""
    whole = record(order(SHIPPED))
    headers = [(key, None if key == name else value) for key, value in whole.headers]

    with pytest.raises(SetAside, match=name):
        provenance_of(replace(whole, headers=tuple(headers)))


@pytest.mark.parametrize("name", ["traceparent", "shipfeed-options", "x-foreign"])
def test_a_null_header_that_is_not_needed_costs_nothing(name: str) -> None:
    """Whoever wrote it."""
    whole = record(order(SHIPPED))
    others = [(key, value) for key, value in whole.headers if key != name]

    assert provenance_of(replace(whole, headers=(*others, (name, None))))[0]
