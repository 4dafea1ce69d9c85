"""How many pieces of which line of an order: what is wanted by SKU, what is left by line.  Pure.

A SKU that stands on several lines is put on them only where there is no choice: when what is
wanted is all that they have left, or when just one of them has anything left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal

from schemas.write_back import Wanted, WantedItem
from services.notifier.target import Fulfilled, Line, TargetOrder
from services.notifier.write_backs.verdicts import Hold, hold

PIECES = frozenset({"C62", "EA", "H87", "PCE"})
"""Units that are single pieces (UN/ECE recommendations 20 and 21: one, each, piece)."""

BY_HAND = "fulfill or cancel it there by hand"

Counts = Mapping[str, int]  # pieces by SKU


def counted(wanted: Wanted, items: Iterable[WantedItem] | None) -> dict[str, int] | Hold:
    """Pieces of each SKU that is told, none of them 0; a Hold when they cannot be counted."""
    if items is None:
        what = "was canceled" if wanted.package_id is None else "the package holds"
        return hold(wanted, f"the source does not say what, or how much of it, {what}", BY_HAND)
    counts: Counter[str] = Counter()
    for item in items:
        number = Decimal(item.quantity)
        if not number:
            continue
        if not item.sku:
            return hold(wanted, f"the source names no SKU for {item.quantity} of it", BY_HAND)
        if item.unit is not None and item.unit.upper() not in PIECES:
            why = f"SKU {item.sku}: {item.quantity} {item.unit} is no number of pieces"
            return hold(wanted, why, BY_HAND)
        if number != int(number):
            return hold(wanted, f"SKU {item.sku}: {item.quantity} is no whole number", BY_HAND)
        counts[item.sku] += int(number)
    return dict(counts)


def spread(wanted: Wanted, order: TargetOrder, counts: Counts) -> list[tuple[Line, int]] | Hold:
    """Which lines of the order the pieces are of: never more than a line has left."""
    if not counts:
        return hold(wanted, "no piece of anything is told", BY_HAND)
    found: list[tuple[Line, int]] = []
    for sku, count in counts.items():
        lines = _lines(wanted, order, sku, count)
        if isinstance(lines, Hold):
            return lines
        found += lines
    return found


def shipped_of(order: TargetOrder, fulfilled: Fulfilled) -> dict[str, int]:
    """Pieces of each SKU that a fulfillment shipped; what is on no line counts under its line."""
    skus = {line.id: line.sku for line in order.lines}
    counts: Counter[str] = Counter()
    for part in fulfilled.parts:
        counts[skus.get(part.line_id, f"line {part.line_id}")] += part.quantity
    return {sku: count for sku, count in counts.items() if count}


def told(counts: Counts) -> str:
    """Pieces of each SKU, for people."""
    return ", ".join(f"{count} x {sku}" for sku, count in counts.items()) or "nothing"


def _lines(
    wanted: Wanted, order: TargetOrder, sku: str, count: int
) -> list[tuple[Line, int]] | Hold:
    lines = [line for line in order.lines if line.sku == sku]
    if not lines:
        known = tuple(dict.fromkeys(line.sku for line in order.lines))
        to_do = "give both systems one SKU for it, or " + BY_HAND
        return hold(wanted, f"SKU {sku} is on none of its lines", to_do, known)
    left = {line: _left(order, line) for line in lines}
    total = sum(left.values())
    if count > total:
        why = f"SKU {sku}: {count} wanted, more than the {total} left: {_sums(order, lines)}"
        return hold(wanted, why, "compare what was fulfilled there with what shipped")
    some = [line for line in lines if left[line]]
    if count == total:
        return [(line, left[line]) for line in some]
    if len(some) == 1:
        return [(some[0], count)]
    between = tuple(f"line {line.id}: {left[line]} left" for line in some)
    why = f"SKU {sku}: {count} wanted, of which of {len(some)} lines ({', '.join(between)}) is open"
    return hold(wanted, why, BY_HAND, between)


def _left(order: TargetOrder, line: Line) -> int:
    return max(0, line.ordered - _sum(order, line, "quantity") - _sum(order, line, "canceled"))


def _sum(order: TargetOrder, line: Line, of: str) -> int:
    parts = (part for one in order.fulfilled for part in one.parts if part.line_id == line.id)
    return sum(getattr(part, of) for part in parts)


def _sums(order: TargetOrder, lines: Iterable[Line]) -> str:
    return "; ".join(
        f"line {line.id}: {line.ordered} ordered, {_sum(order, line, 'quantity')} fulfilled, "
        f"{_sum(order, line, 'canceled')} canceled"
        for line in lines
    )
