"""Acme Parcels: an order is one fulfillment, each of its parcels a package with an id of its own.

A parcel has left when its state says so; the order's last update is the version.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from schemas.fulfillment import FulfillmentStatus, LineItem, OrderRef
from schemas.message import quantity
from schemas.raw import Provenance
from services.normalizer.mapper import Seen, Snapshot, Unmappable, carrier, decoded, tracking

STATUSES: dict[str, FulfillmentStatus] = {
    "open": "open",
    "part_shipped": "partially_shipped",
    "shipped": "shipped",
    "returned": "returned",
    "canceled": "canceled",
}

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class _Parcel(msgspec.Struct):
    id: int
    state: str
    contents: dict[str, int]
    carrier: str | None = None
    tracking: str | None = None
    shipped_at: Instant | None = None


class _Order(msgspec.Struct):
    id: int
    state: str
    updated_at: Instant
    lines: dict[str, int]
    parcels: list[_Parcel]


_DECODER = msgspec.json.Decoder(_Order)


def map(raw: bytes, provenance: Provenance) -> Snapshot:  # noqa: A001 - the contract's word
    """An order as it is now.  Raises Unmappable."""
    order = decoded(_DECODER, raw)
    if str(order.id) != provenance.upstream_id:
        raise Unmappable(f"order {order.id} came as record {provenance.upstream_id}", "$.id")
    status = STATUSES.get(order.state, "unknown")
    return Snapshot(
        scope="shipment",
        orders=(OrderRef(id=str(order.id), number=str(order.id)),),
        status=status,
        status_raw=order.state,
        final=status in ("shipped", "returned", "canceled"),
        updated_at=order.updated_at,
        line_items=_items(order.lines),
        packages=tuple(_seen(parcel) for parcel in order.parcels),
    )


def _seen(parcel: _Parcel) -> Seen:
    return Seen(
        status="shipped" if parcel.state == "shipped" else "pending",
        upstream_id=str(parcel.id),
        carrier=carrier(parcel.carrier),
        trackings=tracking(parcel.tracking),
        shipped_at=parcel.shipped_at,
        line_items=_items(parcel.contents),
    )


def _items(counts: dict[str, int]) -> tuple[LineItem, ...]:
    return tuple(LineItem(sku=sku, quantity=quantity(count)) for sku, count in counts.items())
