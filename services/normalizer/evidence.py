"""What can be known a package by: its ids, its numbers, what is in it, when and by whom it left.

Pure values in one spelling, so that equal evidence compares equal; which package is which is
decided in `identity`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import Protocol

from schemas.fulfillment import COMMON_KINDS
from schemas.message import EXACT
from services.normalizer.model import Carrier, LineItem, Tracking, UpstreamId

OVERLAP_NOT_TOLD = 0.5  # unknown contents neither speak for a pair nor against it
# An SSCC names one logistic unit by definition: whatever stands under it is that unit.
SSCC = "sscc"
SSCC_DIGITS = 18

# (order, product, unit) and quantity, sorted; None: the source does not say.
Contents = tuple[tuple[tuple[str, str, str], str | None], ...] | None


class Described(Protocol):
    """What a stored and a seen package have in common."""

    @property
    def upstream_ids(self) -> tuple[UpstreamId, ...]:
        """The source's own ids, at most one of each kind."""

    @property
    def carrier(self) -> Carrier | None:
        """Who carries it."""

    @property
    def trackings(self) -> tuple[Tracking, ...]:
        """Its tracking numbers."""

    @property
    def shipped_at(self) -> str | None:
        """When it left."""

    @property
    def line_items(self) -> tuple[LineItem, ...] | None:
        """What is inside."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What identity is judged by."""

    ids: frozenset[UpstreamId]
    numbers: frozenset[str]
    contents: Contents
    carrier: str | None
    shipped_at: str | None

    @classmethod
    def of(cls, package: Described, shared: Set[UpstreamId] = frozenset()) -> Evidence:
        """Return the evidence a package shows; ids that it shares with another one are none."""
        carrier = package.carrier
        return cls(
            ids=frozenset(package.upstream_ids) - shared,
            numbers=numbers_of(package.trackings),
            contents=contents_of(package.line_items),
            carrier=(carrier.code or carrier.name_raw or carrier.code_raw) if carrier else None,
            shipped_at=package.shipped_at,
        )


def kinds_of(evidence: Evidence) -> frozenset[str]:
    """Return the kinds of its ids."""
    return frozenset(one.kind for one in evidence.ids)


def shared_ids(*sides: Sequence[Described]) -> Set[UpstreamId]:
    """Return the ids that more than one package of a side carries."""
    shared: set[UpstreamId] = set()
    for packages in sides:
        if len(packages) > 1:
            told = [one for package in packages for one in package.upstream_ids]
            if len(told) > len(set(told)):
                shared |= {one for one, count in Counter(told).items() if count > 1}
    return shared


def unit_id(package: Described) -> UpstreamId | None:
    """Return its SSCC, if it has a valid one; zeros only are none."""
    for one in package.upstream_ids:
        if one.kind == SSCC and len(one.id) == SSCC_DIGITS and one.id.isdecimal():
            return one if one.id.strip("0") else None
    return None


def own_ids(package: Described) -> tuple[UpstreamId, ...]:
    """Return the ids that name this package alone; zeros stand for an id that is not set."""
    return tuple(
        [one for one in package.upstream_ids if one.kind not in COMMON_KINDS and one.id.strip("0-")]
    )


def positional_kinds(packages: Sequence[Described]) -> tuple[str, ...]:
    """Return the kinds of ids that are just the places in this list: 1, 2, 3 or 0, 1, 2."""
    if not packages:
        return ()
    kinds = []
    for first in packages[0].upstream_ids:
        if first.id not in {"0", "1"}:
            continue
        start = int(first.id)
        if all(
            UpstreamId(first.kind, str(place)) in package.upstream_ids
            for place, package in enumerate(packages, start)
        ):
            kinds.append(first.kind)
    return tuple(kinds)


def numbers_of(trackings: Iterable[Tracking]) -> frozenset[str]:
    """The tracking numbers in their normal form."""
    return frozenset(found.number_normalized for found in trackings if found.number_normalized)


def contents_of(items: Sequence[LineItem] | None, lines: frozenset[str] | None = None) -> Contents:
    """Contents in one spelling: equal contents are equal whatever the order of the items.

    With `lines` only items of those lines count.

    A product is its SKU, else its line: which line a SKU belongs to may become ambiguous later
    without anything in the box having changed.
    """
    if items is None:
        return None
    if lines is not None:
        items = [item for item in items if item.line_id in lines]
    if len(items) == 1 and items[0].quantity != "0":
        return ((_product(items[0]), items[0].quantity),)
    counts: dict[tuple[str, str, str], str | None] = {}
    for item in items:
        product, count = _product(item), item.quantity
        if product in counts:
            count = _sum(counts[product], count)
        counts[product] = count
    return tuple(sorted([pair for pair in counts.items() if pair[1] != "0"], key=itemgetter(0)))


def _sum(one: str | None, other: str | None) -> str | None:
    """The sum in its shortest spelling, however long; of an unknown one none."""
    if one is None or other is None:
        return None
    return f"{EXACT.add(Decimal(one), Decimal(other)).normalize(EXACT):f}"


def overlap(one: Contents, other: Contents) -> float:
    """Shared units by all units, 0 to 1; two empty boxes are the same.

    A product of which either does not tell how many speaks neither for the pair nor against it.
    """
    if one is None or other is None:
        return OVERLAP_NOT_TOLD
    if one == other:
        return 1.0
    unknown = {product for product, count in (*one, *other) if count is None}
    left = {product: Decimal(count) for product, count in one if count is not None}
    right = {product: Decimal(count) for product, count in other if count is not None}
    products = (left.keys() | right.keys()) - unknown
    if not products:
        return OVERLAP_NOT_TOLD
    zero = Decimal(0)
    shared = sum(min(left.get(p, zero), right.get(p, zero)) for p in products)
    return float(shared / sum(max(left.get(p, zero), right.get(p, zero)) for p in products))


def _product(item: LineItem) -> tuple[str, str, str]:
    return item.order_id or "", item.sku or item.line_id or "", item.unit or ""
