"""Quantities as vendors write them: exact decimals, and what floating point makes of them.

`tests/unit/normalizer/test_quantities.py` is the table of it; what a quantity of ours is stands in
`schemas.message.quantity`.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal

from schemas.message import QUANTITY_SCALE_MAX, quantity

ARTEFACT_MAX = Decimal("1e-9")  # from a number of QUANTITY_SCALE_MAX places; more is another number
_ROUNDING = Context(prec=200)
_STEP = Decimal(1).scaleb(-QUANTITY_SCALE_MAX)
_LENGTH_MAX = 60  # characters
_NUMBER = re.compile(r"\s*\+?\d+(?:\.\d*)?(?:[eE][+-]?\d{1,3})?\s*", re.ASCII)


def nearest_quantity(value: object) -> str | None:
    """Return the quantity that a number with a rounding error was meant to be, else None.

    `0.30000000000000004` was 0.3, and `2.9999999999999996` was 3.  A text may have a sign, an
    exponent or no digits after its point.
    """
    if isinstance(value, str):
        if len(value) > _LENGTH_MAX or not _NUMBER.fullmatch(value):
            return None
        value = Decimal(value.strip())
    if not isinstance(value, Decimal) or not value.is_finite():
        return None
    if abs(value.adjusted()) > _LENGTH_MAX or len(value.as_tuple().digits) > _LENGTH_MAX:
        return None
    try:
        rounded = value.quantize(_STEP, context=_ROUNDING)
        close = abs(_ROUNDING.subtract(rounded, value)) <= ARTEFACT_MAX
        lost = not rounded and bool(value)  # a very small number is no zero
        return quantity(rounded) if close and not lost else None
    except (ArithmeticError, ValueError):
        return None
