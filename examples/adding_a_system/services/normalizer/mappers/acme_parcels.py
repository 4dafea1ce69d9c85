"""Acme Parcels: an order is one fulfillment, each of its parcels a package with an id of its own.

A parcel has left when its state says so; the order's last update is the version.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from schemas.fulfillment import FulfillmentStatus
from schemas.raw import Provenance
from services.normalizer import mapper
from services.normalizer.mapper import Leaves, Seen, Snapshot, Unmappable
from services.normalizer.model import LineItem, OrderRef

STATUSES: dict[str, FulfillmentStatus] = {
    "open": "open",
    "part_shipped": "partially_shipped",
    "shipped": "shipped",
    "returned": "returned",
    "canceled": "canceled",
}
LEAVES = Leaves(
    mapped="""id=orders state=status_raw updated_at=updated_at lines.*=line_items.quantity
    parcels[].id=packages.upstream_id parcels[].carrier=packages.carrier
    parcels[].tracking=packages.trackings.number parcels[].shipped_at=packages.shipped_at
    parcels[].contents.*=packages.line_items.quantity""",
    derived="parcels[].state=packages.status",
)


class _Parcel(msgspec.Struct):
    id: int
    state: str
    contents: dict[str, int]
    carrier: str | None = None
    tracking: str | None = None
    shipped_at: str | None = None


class _Order(msgspec.Struct):
    id: int
    state: str
    updated_at: Annotated[datetime, msgspec.Meta(tz=True)]
    lines: dict[str, int]
    parcels: list[_Parcel]


_DECODER = msgspec.json.Decoder(_Order)


def map(raw: bytes, provenance: Provenance) -> Snapshot:  # noqa: A001 - the contract's word
    """An order as it is now.  Raises Unmappable."""
    order = mapper.decoded(_DECODER, raw)
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
        line_items=_items(order.lines, "lines"),
        packages=tuple(_seen(one, "parcels", index) for index, one in enumerate(order.parcels)),
    )


def _seen(parcel: _Parcel, *path: str | int) -> Seen:
    return Seen(
        status="shipped" if parcel.state == "shipped" else "pending",
        upstream_ids=mapper.ids(parcel_id=str(parcel.id)),
        carrier=mapper.carrier(parcel.carrier),
        trackings=mapper.tracking(parcel.tracking),
        shipped_at=mapper.moment(parcel.shipped_at, *path, "shipped_at"),
        line_items=_items(parcel.contents, *path, "contents"),
    )


def _items(counts: dict[str, int], *path: str | int) -> tuple[LineItem, ...]:
    told = [(sku, mapper.amount(count, *path, sku)) for sku, count in counts.items()]
    return tuple(LineItem(sku=sku, quantity=count) for sku, count in told)
