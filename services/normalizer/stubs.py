"""A closed fulfillment shrinks to what late observations of it are known by.  Pure.

A stub keeps the key, the version and, of each package, its id, what it can be known by and the ids
of what has been announced of it (design 4).  What is observed late is paired with the stub and
tells nothing of what it knows; only a package that it does not know is told.  When a state counts
as a stub follows from instants of observation alone, so the same raw log gives the same events
whether or not the stub has been written meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from services.normalizer.evidence import numbers_of
from services.normalizer.model import NULL, Event, Fulfillment, LineItem, Package, Tracking


class Stubs:
    """`retention_days` None: nothing ever shrinks."""

    def __init__(self, retention_days: int | None) -> None:
        self.on = retention_days is not None
        self._retention = timedelta(days=retention_days or 0)

    def seen_at(self, stored: Fulfillment | None, at: datetime) -> Fulfillment | None:
        """What an observation of the instant `at` is compared with."""
        return shrunk(stored) if stored is not None and self.due(stored, at) else stored

    def due(self, stored: Fulfillment, at: datetime) -> bool:
        """Whether it has been closed for long enough at the instant `at`."""
        return (
            self.on
            and not stored.stub
            and closed(stored)
            and at - stored.observed_at > self._retention
        )


def closed(state: Fulfillment) -> bool:
    """Final by its source's word, no package waits to leave, and nothing waits to be told."""
    if state.flapping is not None and state.flapping.told is not None:
        return False
    return state.final and all(package.status != "pending" for package in state.packages)


def shrunk(state: Fulfillment) -> Fulfillment:
    """The stub of it."""
    return msgspec.structs.replace(
        state,
        stub=True,
        orders=(),
        status_raw=None,
        created_at=None,
        field_mappings=NULL,
        line_items=(),
        canceled_items=(),
        packages=tuple(_package(package) for package in state.packages),
        remote_data=NULL,
        flapping=None,
    )


def late(
    stub: Fulfillment, state: Fulfillment, events: Sequence[Event]
) -> tuple[Fulfillment, tuple[Event, ...]]:
    """What is kept and told of a newer observation of a stub; `events` are all it would tell.

    It stays a stub while it is closed and brings no package.
    """
    known = {package.id for package in stub.packages}
    told = tuple(
        one for one in events if one.data.package is not None and one.data.package.id not in known
    )
    return (shrunk(state) if closed(state) and not told else state), told


def _package(package: Package) -> Package:
    """Without what nobody compares it by (evidence.Evidence)."""
    return msgspec.structs.replace(
        package,
        status_raw=None,
        service_level=None,
        delivered_at=None,
        trackings=tuple(
            Tracking(number_normalized=number) for number in sorted(numbers_of(package.trackings))
        ),
        line_items=package.line_items and tuple(_item(one) for one in package.line_items),
    )


def _item(item: LineItem) -> LineItem:
    return LineItem(
        sku=item.sku,
        line_id=None if item.sku else item.line_id,
        order_id=item.order_id,
        quantity=item.quantity,
        unit=item.unit,
    )
