"""Orders and packages of the simulated world, in no upstream's shape.

States are immutable; a change makes a new state. How they come about is testbed/timeline.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

OrderStatus = Literal[
    "placed", "partially_shipped", "shipped", "return_requested", "refunded", "canceled"
]
# (SKU, quantity) sorted by SKU, every quantity above zero; () is an empty box.
Contents = tuple[tuple[str, int], ...]

STATUSES_THAT_PROVE_SHIPPING: frozenset[OrderStatus] = frozenset(
    {"partially_shipped", "shipped", "return_requested", "refunded"}
)


def contents_of(units: Iterable[str]) -> Contents:
    """Count single units, given as one SKU each, into the contents of a package."""
    return tuple(sorted(Counter(units).items()))


def units_of(contents: Contents) -> list[str]:
    """The reverse of contents_of: one SKU per unit, sorted."""
    return [sku for sku, quantity in contents for _ in range(quantity)]


@dataclass(frozen=True)
class Line:
    """One product line; `sku` may be unknown, then `requested_sku` names the product."""

    line_id: str
    sku: str | None
    requested_sku: str
    quantity: int

    @property
    def product(self) -> str:
        """What a package calls this line: its SKU, or the requested one."""
        return self.sku or self.requested_sku


@dataclass(frozen=True)
class Package:
    """One parcel. `truth_id` is its hidden identity: no upstream ever shows it.

    `own_id` is what an upstream with ids of packages calls it now, and `listed` how often it lists
    it; most upstreams have neither.
    """

    truth_id: str
    number: int
    contents: Contents
    carrier: str
    service_level: str
    tracking: str | None = None
    shipped_at: datetime | None = None
    own_id: int | None = None
    listed: int = 1

    @property
    def accounts_for_units(self) -> bool:
        """Whether its units count as shipped."""
        return bool(self.contents) and bool(self.shipped_at or self.tracking)


@dataclass(frozen=True)
class Order:
    """One sale at one instant: its lines and the packages it has, in array order.

    `numbered_by_place`: an upstream with ids of packages gives them their places in the array.
    """

    number: int
    placed_at: datetime
    updated_at: datetime
    status: OrderStatus
    lines: tuple[Line, ...]
    packages: tuple[Package, ...] = ()
    numbered_by_place: bool = False

    def shipped_units(self) -> Counter[str]:
        """Units per product in packages that count as sent."""
        units: Counter[str] = Counter()
        for package in self.packages:
            if package.accounts_for_units:
                units.update(dict(package.contents))
        return units

    def with_packages(self, packages: Iterable[Package]) -> Order:
        """Change the packages; the status follows from the units they account for."""
        changed = replace(self, packages=tuple(packages))
        shipped = changed.shipped_units().total()
        status: OrderStatus = "placed"
        if shipped:
            ordered = sum(line.quantity for line in self.lines)
            status = "shipped" if shipped >= ordered else "partially_shipped"
        return replace(changed, status=status)

    def with_package(self, package: Package) -> Order:
        """Replace the state of the package with the same hidden identity."""
        return self.with_packages(
            package if old.truth_id == package.truth_id else old for old in self.packages
        )

    def package(self, truth_id: str) -> Package:
        """The package behind a hidden id; raises StopIteration."""
        return next(package for package in self.packages if package.truth_id == truth_id)


def is_shipped(order: Order, package: Package) -> bool:
    """Shipped evidence: something inside, and a ship time or a number the order's status backs."""
    units = sum(quantity for _, quantity in package.contents)
    backed = bool(package.tracking) and order.status in STATUSES_THAT_PROVE_SHIPPING
    return units > 0 and (package.shipped_at is not None or backed)


def is_provable(source: str, order: Order, package: Package) -> bool:
    """Whether this state alone shows whether the package left: Zentail's REFUNDED does not say."""
    return source != "zentail" or order.status != "refunded" or package.shipped_at is not None
