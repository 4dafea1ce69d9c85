"""Digital River fulfillments: one is one package, or a cancellation, or both.

Facts and their marks: the digital river seed and the fulfillments page of the vendor's reference.
There is no status: what was fulfilled has left when it has a tracking number or a shipment id.
There is no version either, so the instant of observation orders what was seen.
What was written back says so in its metadata, whoever changes it afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from schemas.message import parse_instant
from schemas.raw import Provenance
from schemas.write_back import EVENT_ID_NAME
from services.normalizer.mapper import (
    Leaves,
    Reading,
    Seen,
    Snapshot,
    Unmappable,
    carrier,
    decoded,
    decoder,
    ids,
    verbatim,
)
from services.normalizer.model import NULL, LineItem, OrderRef

ANNOUNCE_UNTRACKED = "announce_untracked"  # the account's setting: digital goods ship at once
JAVA_TIME = "{year:04}-{monthValue:02}-{dayOfMonth:02}T{hour:02}:{minute:02}:{second:02}.{nano:09}Z"


LEAVES = Leaves(
    mapped="""id=packages.upstream_id orderId=orders createdTime*=created_at
    items[].itemId=line_items.line_id items[].skuId=line_items.sku
    items[].quantity=line_items.quantity items[].cancelQuantity=canceled_items.quantity
    trackingCompany=packages.carrier trackingNumber=packages.trackings.number
    trackingUrl=packages.trackings.url metadata*=field_mappings""",
    derived="shipmentId=packages.status",
    kept="""items[].shipmentItemId items[].distributorCost* items[].shippingCost*
    items[].subfulfillerId currency partnerId liveMode orderDetails.*""",
)


class _Item(msgspec.Struct, rename="camel"):
    item_id: Any = None
    sku_id: Any = None
    quantity: Any = None
    cancel_quantity: Any = None


class _Fulfillment(msgspec.Struct, rename="camel"):
    id: str
    order_id: str | int
    items: list[_Item] | None = None
    created_time: Any = None
    shipment_id: Any = None
    tracking_company: Any = None
    tracking_number: Any = None
    tracking_url: Any = None
    metadata: msgspec.Raw = NULL


class _Metadata(msgspec.Struct):
    event_id: Any = msgspec.field(default=None, name=EVENT_ID_NAME)


_DECODER = decoder(_Fulfillment)
_METADATA_DECODER = msgspec.json.Decoder(_Metadata)


def map(raw: bytes, provenance: Provenance) -> Snapshot:  # noqa: A001 - the contract's word
    """A fulfillment as it is now.  Raises Unmappable."""
    record, read = decoded(_DECODER, raw), Reading()
    if record.id != provenance.upstream_id:
        reason = f"fulfillment {record.id} came as record {provenance.upstream_id}"
        raise Unmappable(reason, "$.id")
    shipped, canceled = _items(record.items or [], read)
    untold = record.items is None  # what is inside
    untracked_too = ANNOUNCE_UNTRACKED in provenance.options
    package = None
    if shipped or untold:
        package = _seen(record, None if untold else shipped, untracked_too, read.part())
    silent = package is not None and "status" in package.unknown
    order_id, metadata = str(record.order_id), verbatim(record.metadata, "metadata")
    return Snapshot(
        scope="shipment",
        orders=(OrderRef(id=order_id, number=order_id),),
        status="canceled" if canceled and not shipped else None,
        final=package.left if package else bool(canceled),
        echo=metadata != NULL and bool(_METADATA_DECODER.decode(metadata).event_id),
        created_at=_instant(record.created_time, read),
        line_items=shipped,
        canceled_items=canceled,
        packages=(package,) if package else (),
        field_mappings=metadata,
        unknown=read.unknown | {"final"} if silent else read.unknown,
        degraded=read.degraded,
    )


def _seen(
    record: _Fulfillment, items: tuple[LineItem, ...] | None, untracked_too: bool, read: Reading
) -> Seen:
    trackings = read.trackings(
        record.tracking_number,
        record.tracking_url,
        at=["trackingNumber"],
        urls_at=["trackingUrl"],
    )
    number = any(one.number for one in trackings)
    shipment_id = read.id(record.shipment_id, "shipmentId", of="status")
    left = number or shipment_id or untracked_too
    silent = not left and bool(read.unknown)
    return Seen(
        status="shipped" if left else "pending",
        upstream_ids=ids(fulfillment_id=record.id),
        carrier=carrier(read.text(record.tracking_company, "trackingCompany", of="carrier")),
        trackings=trackings,
        line_items=items,
        unknown=read.unknown | {"status"} if silent else read.unknown - {"status"},
    )


def _items(
    items: Sequence[_Item], read: Reading
) -> tuple[tuple[LineItem, ...], tuple[LineItem, ...]]:
    """What was shipped and what was canceled; each item has some of one or of both.

    Of one that tells neither nobody knows how many were shipped.
    """
    shipped, canceled = [], []
    for index, item in enumerate(items):
        sku = read.id(item.sku_id, "items", index, "skuId")
        line_id = read.id(item.item_id, "items", index, "itemId")
        if item.quantity is not None or item.cancel_quantity is None:
            count = read.quantity(item.quantity, "items", index, "quantity")
            shipped.append(LineItem(sku=sku, line_id=line_id, quantity=count))
        if item.cancel_quantity is not None:
            count = read.quantity(item.cancel_quantity, "items", index, "cancelQuantity")
            canceled.append(LineItem(sku=sku, line_id=line_id, quantity=count))
    return _some(shipped), _some(canceled)


def _some(items: Sequence[LineItem]) -> tuple[LineItem, ...]:
    return tuple(item for item in items if item.quantity != "0")


def _instant(value: Any, read: Reading) -> datetime | None:
    """An ISO 8601 text, or a Java object as the reference shows of related resources."""
    if not isinstance(value, dict):
        return read.instant(value, "createdTime", of="created_at")
    try:
        local = parse_instant(JAVA_TIME.format_map({"nano": 0, **value}))
        return local - timedelta(seconds=value.get("offset", {}).get("totalSeconds", 0))
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
        read.odd("createdTime", of="created_at")
        return None
