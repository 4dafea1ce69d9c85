"""Which events tell history: facts older than the connection to the account.  Pure.

A system moves an order's last update for many reasons, so an order touched after the account was
connected can hold packages that left long before.  Their ship time says so (decision 0018).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from schemas.message import parse_instant
from schemas.raw import Provenance
from services.normalizer.mapper import DATE_LENGTH
from services.normalizer.model import Fulfillment, Package

# A ship time is a local one as often as not, and a clock may be wrong.
MARGIN = timedelta(days=1)


class Backfill(msgspec.Struct, frozen=True, gc=False):
    """`packages` are ids of those that are history, `fulfillment` says it of the whole."""

    packages: frozenset[str]
    fulfillment: bool

    def of(self, package: Package | None) -> bool:
        """Return whether an event of this package, None: of the fulfillment, tells history."""
        return self.fulfillment if package is None else package.id in self.packages


def backfill_of(stored: Fulfillment | None, after: Fulfillment, provenance: Provenance) -> Backfill:
    """Return what of a change is history: only packages that are seen for the first time can be.

    Without packages the fulfillment is what the poller says of it.
    """
    told = provenance.backfill and stored is None
    if told or not after.packages:
        return Backfill(
            frozenset([package.id for package in after.packages]) if told else NONE, told
        )
    if provenance.connected_at is None:
        return NEWS
    known = {package.id for package in stored.packages} if stored else NONE
    bound = provenance.connected_at - MARGIN
    found = frozenset(
        [
            package.id
            for package in after.packages
            if package.shipped_at and package.id not in known and _left_before(package, bound)
        ]
    )
    return Backfill(found, len(found) == len(after.packages)) if found else NEWS


def _left_before(package: Package, bound: datetime) -> bool:
    """Return whether its ship time, of a date the end of that day, lies before the bound."""
    told = package.shipped_at or ""
    if len(told) == DATE_LENGTH:
        return parse_instant(f"{told}T00:00:00Z") < bound - timedelta(days=1)
    return parse_instant(told) < bound


NONE: frozenset[str] = frozenset()
NEWS = Backfill(NONE, fulfillment=False)
