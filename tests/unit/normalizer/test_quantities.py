"""The table of quantities that are no plain decimals."""

from __future__ import annotations

from decimal import Decimal

import pytest

from services.normalizer.mapper import Reading
from services.normalizer.quantities import nearest_quantity


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (Decimal("0.30000000000000004"), "0.3"),
        (Decimal("2.9999999999999996"), "3"),
        (Decimal("1.1000000000000001"), "1.1"),
        ("0.30000000000000004", "0.3"),
        ("2.", "2"),
        ("+2", "2"),
        ("2e0", "2"),
        (Decimal("-1E-17"), None),
        (Decimal("0.0000001"), None),
        (Decimal("0.12345678"), None),
        (Decimal("1e-12"), None),
        (Decimal("-2.9999999999999996"), None),
        (Decimal("NaN"), None),
        (Decimal("1e999"), None),
        ("9" * 61, None),
        ("1,5", None),
        ("1_000", None),
        ("\u0663", None),
        ("two", None),
        (True, None),
        ({}, None),
    ],
)
def test_a_rounding_error_is_taken_off_and_nothing_else(written: object, meant: str | None) -> None:
    """Within 1e-9 of a number of six places, never to zero, never below it."""
    assert meant == nearest_quantity(written)


def test_an_artefact_is_read_and_counted() -> None:
    """The value is odd, though it is known."""
    read = Reading()

    assert (read.quantity(Decimal("0.30000000000000004"), "quantity"), read.degraded) == (
        "0.3",
        ("quantity",),
    )
