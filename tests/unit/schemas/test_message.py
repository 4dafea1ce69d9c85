"""Quantities, instants, versions and the canonical spelling."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cursor import Mark
from schemas.message import canonical_json, iso, parse_instant, quantity


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [(3, "3"), ("3.0", "3"), ("0.50", "0.5"), (Decimal(10), "10"), ("0", "0"), ("1e2", "100")],
)
def test_a_quantity_has_one_spelling(given_value: object, expected: str) -> None:
    """Equal amounts compare equal as text."""
    assert expected == quantity(given_value)


@pytest.mark.parametrize("bad", [1.5, True, None, "x", "-1", "NaN", "1e99", "0.1234567"])
def test_what_is_no_quantity_is_refused(bad: object) -> None:
    """Floats above all: 0.1 + 0.2 is nobody's count."""
    with pytest.raises(ValueError, match="quantity"):
        quantity(bad)


@given(st.decimals(min_value=0, max_value=10**9, places=6))
def test_a_quantity_keeps_its_value(number: Decimal) -> None:
    """Normalizing loses nothing, and doing it twice changes nothing."""
    text = quantity(number)

    assert Decimal(text) == number
    assert quantity(text) == text


def test_an_instant_is_utc_and_keeps_its_fraction() -> None:
    """Offsets are folded in, fractions kept."""
    assert "2024-10-22T12:31:07.482000Z" == iso(parse_instant("2024-10-22T14:31:07.482+02:00"))


def test_an_instant_without_a_zone_is_refused() -> None:
    """A bare local time is not an instant."""
    with pytest.raises(ValueError, match="time zone"):
        parse_instant("2024-10-22T14:31:07")


def test_a_newer_major_is_refused_by_name() -> None:
    """An old copy must not misread what a newer one wrote."""
    values = {
        "schema_version": "2.0",
        "source": "zentail",
        "account": "acme",
        "resource": "orders",
        "upstream_id": "1",
        "content": "",
        "observed_at": datetime(2026, 1, 1, tzinfo=UTC),
    }

    with pytest.raises(ValueError, match=r"Mark has schema_version '2\.0'"):
        Mark.model_validate(values)
    assert (
        "1.7" == Mark.model_validate({**values, "schema_version": "1.7", "new": 1}).schema_version
    )


def test_canonical_json_does_not_depend_on_key_order() -> None:
    """What is hashed is content, not spelling."""
    assert canonical_json({"b": 1, "a": "é"}) == canonical_json({"a": "é", "b": 1})
