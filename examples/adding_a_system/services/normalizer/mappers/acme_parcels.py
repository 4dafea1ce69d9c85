"""Acme Parcels: an order is one fulfillment, each of its parcels a package with an id of its own.

A parcel has left when its state says so; the order's last update is the version.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from schemas.fulfillment import FulfillmentStatus
from schemas.raw import Provenance
from services.normalizer import mapper
from services.normalizer.mapper import Leaves, Reading, Seen, Snapshot, Unmappable
from services.normalizer.model import LineItem, OrderRef
from services.normalizer.statuses import Statuses

STATUSES: Statuses[FulfillmentStatus] = Statuses(
    {
        "open": "open",
        "part_shipped": "partially_shipped",
        "shipped": "shipped",
        "returned": "returned",
        "canceled": "canceled",
    }
)
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
    contents: dict[str, Any]
    carrier: Any = None
    tracking: Any = None
    shipped_at: Any = None


class _Order(msgspec.Struct):
    id: int
    state: str
    updated_at: Annotated[datetime, msgspec.Meta(tz=True)]
    lines: dict[str, Any]
    parcels: list[_Parcel]


_DECODER = mapper.decoder(_Order)


def map(raw: bytes, provenance: Provenance) -> Snapshot:  # noqa: A001 - the contract's word
    """An order as it is now.  Raises Unmappable."""
    order, read = mapper.decoded(_DECODER, raw), Reading()
    if str(order.id) != provenance.upstream_id:
        raise Unmappable(f"order {order.id} came as record {provenance.upstream_id}", "$.id")
    status = read.status(order.state, STATUSES, "state") or "unknown"
    return Snapshot(
        scope="shipment",
        orders=(OrderRef(id=str(order.id), number=str(order.id)),),
        status=status,
        status_raw=order.state,
        final=status in ("shipped", "returned", "canceled"),
        updated_at=order.updated_at,
        line_items=_items(order.lines, read, "lines"),
        packages=tuple(
            _seen(one, read.part("parcels", index)) for index, one in enumerate(order.parcels)
        ),
        degraded=read.degraded,
    )


def _seen(parcel: _Parcel, read: Reading) -> Seen:
    return Seen(
        status="shipped" if STATUSES.get(parcel.state) == "shipped" else "pending",
        upstream_ids=mapper.ids(parcel_id=str(parcel.id)),
        carrier=mapper.carrier(read.text(parcel.carrier, "carrier", of="carrier")),
        trackings=read.trackings(parcel.tracking, at=["tracking"]),
        shipped_at=read.moment(parcel.shipped_at, "shipped_at", of="shipped_at"),
        line_items=_items(parcel.contents, read, "contents"),
        unknown=read.unknown,
    )


def _items(counts: dict[str, Any], read: Reading, name: str) -> tuple[LineItem, ...]:
    told = [(sku, read.quantity(count, name)) for sku, count in counts.items()]
    return tuple(LineItem(sku=sku, quantity=count) for sku, count in told)
