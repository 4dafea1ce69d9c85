"""Quantities, instants, versions and the canonical spelling."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.cursor import Mark
from schemas.message import (
    Instant,
    canonical_json,
    iso,
    parse_instant,
    quantity,
    without_lone_surrogates,
)


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        (3, "3"),
        ("3.0", "3"),
        ("0.50", "0.5"),
        (Decimal(10), "10"),
        ("0", "0"),
        ("1e2", "100"),
        (" 5 ", "5"),
        (10**30 + 1, "1000000000000000000000000000001"),
        ("1000000000000000000000000000001.50", "1000000000000000000000000000001.5"),
        (Decimal("1000000000000000000000000000000.000001"),) * 2,
    ],
)
def test_a_quantity_has_one_spelling(given_value: object, expected: str) -> None:
    """Equal amounts compare equal as text."""
    assert str(expected) == quantity(given_value)


@pytest.mark.parametrize(
    "bad",
    [
        *(
            1.5,
            True,
            None,
            "x",
            "-1",
            "NaN",
            "1e99",
            "0.1234567",
            "1_000",
            "\u0661\u0662",
            "Infinity",
        ),
        *(10**50, "9" * 300, "0." + "0" * 300 + "1", Decimal("NaN"), Decimal("1e999999"), ""),
        *("1e99999999999", "1,5", "0x10", ".", "1e"),
    ],
)
def test_what_is_no_quantity_is_refused(bad: object) -> None:
    """Floats above all: 0.1 + 0.2 is nobody's count; nothing is rounded to fit."""
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


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+02:00"])
def test_an_instant_that_its_zone_leads_out_of_the_calendar_is_refused(text: str) -> None:
    """As every other text that is no instant: by a ValueError with the text in it."""
    with pytest.raises(ValueError, match="is not an ISO 8601 instant"):
        parse_instant(text)
    with pytest.raises(ValidationError, match="leads out of the calendar"):
        TypeAdapter(Instant).validate_python(text)


def units() -> st.SearchStrategy[str]:
    """Texts full of halves of pairs, backslashes and what looks like an escape."""
    return st.lists(
        st.sampled_from(["\ud83d", "\ude00", "\U0001f600", "\\", "u", "d83d", '"', "é"])
    ).map("".join)


@given(units())
def test_lone_halves_of_surrogate_pairs_are_replaced_and_nothing_else(text: str) -> None:
    """What json.dumps wrote of them becomes readable for a strict parser, at the same length."""
    spelled = json.dumps(text).encode()
    paired = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    repaired = without_lone_surrogates(spelled)

    assert len(repaired) == len(spelled)
    assert len(msgspec.json.decode(repaired)) == len(paired)
    assert msgspec.json.decode(repaired) == paired
    if "\ufffd" not in paired:
        assert repaired == spelled


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


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_reads_as_the_library_spells_it(instant: datetime) -> None:
    """Any year, with and without a part of a second; Z stands for +00:00."""
    assert f"{instant.isoformat().removesuffix('+00:00')}Z" == iso(instant)
