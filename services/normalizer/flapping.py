"""Content that goes back and forth while no version orders it: when a change is told.  Pure.

Two replicas that answer in turn show A, B, A, B.  The change to B and the return to A are told.
The same change once more within `HORIZON` is not: the state shows what was read last, and what was
told last is kept beside it.  The difference is told once the same has been read for `AGREED`, or a
newer version says which is right (decision 0019).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256

import msgspec

from schemas.fulfillment import FulfillmentStatus
from services.normalizer.model import (
    Earlier,
    Flapping,
    Fulfillment,
    LastTold,
    LineItem,
    Package,
)

HORIZON = timedelta(hours=48)
AGREED = timedelta(hours=1)
EARLIER_MAX = 8  # changes that are remembered
DIGITS = 16  # hexadecimal, of a content

_encode = msgspec.json.Encoder().encode


def last_told(stored: Fulfillment) -> Fulfillment:
    """Return the state as it was told last: what the next change is told against."""
    told = stored.flapping.told if stored.flapping else None
    if told is None:
        return stored
    return msgspec.structs.replace(
        stored,
        status=told.status,
        status_raw=told.status_raw,
        canceled_items=told.canceled_items,
        packages=told.packages,
    )


def after(
    stored: Fulfillment,
    status: FulfillmentStatus,
    canceled_items: Sequence[LineItem],
    packages: Sequence[Package],
    at: datetime,
    *,
    same: bool,
) -> tuple[Flapping | None, bool]:
    """Return what is remembered after an observation that no version orders, and whether it tells.

    `same`: it shows what was read last.
    """
    known = stored.flapping
    if known is not None and known.told is not None:
        if not same:
            moved = msgspec.structs.replace(known.told, since=at)
            return msgspec.structs.replace(known, told=moved), False
        agreed = at - known.told.since >= AGREED
        return (Flapping(known.earlier), True) if agreed else (known, False)
    if same:
        return known, True
    earlier = [one for one in known.earlier if at - one.at <= HORIZON] if known else []
    change = Earlier(
        _content(stored.status, stored.canceled_items, stored.packages),
        _content(status, canceled_items, packages),
        at,
    )
    again = any((one.before, one.after) == (change.before, change.after) for one in earlier)
    remembered = (*earlier[1 - EARLIER_MAX :], change)
    if not again:
        return Flapping(remembered), True
    told = LastTold(
        status=stored.status,
        status_raw=stored.status_raw,
        canceled_items=stored.canceled_items,
        packages=stored.packages,
        since=at,
    )
    return Flapping(remembered, told), False


def _content(
    status: FulfillmentStatus, canceled_items: Sequence[LineItem], packages: Sequence[Package]
) -> str:
    """Return the digest of all that events tell of."""
    shown = [
        (one.id, one.status, one.trackings, one.carrier, one.shipped_at, one.line_items)
        for one in packages
        if one.status != "removed"
    ]
    return sha256(_encode((status, canceled_items, shown))).hexdigest()[:DIGITS]
