"""Digital River fulfillments: one is one package, or a cancellation, or both.

Facts and their marks: the digital river seed and the fulfillments page of the vendor's reference.
There is no status: what was fulfilled has left when it has a tracking number or a shipment id.
There is no version either, so the instant of observation orders what was seen.
What was written back says so in its metadata, whoever changes it afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from schemas.message import parse_instant
from schemas.raw import Provenance
from schemas.write_back import EVENT_ID_NAME
from services.normalizer.mapper import (
    Leaves,
    Seen,
    Snapshot,
    Unmappable,
    amount,
    carrier,
    decoded,
    ids,
    tracking,
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
    item_id: str | int | None = None
    sku_id: str | int | None = None
    quantity: Decimal | None = None
    cancel_quantity: Decimal | None = None


class _Fulfillment(msgspec.Struct, rename="camel"):
    id: str
    order_id: str | int
    items: list[_Item]
    created_time: str | dict[str, Any] | None = None
    shipment_id: str | int | None = None
    tracking_company: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None
    metadata: msgspec.Raw = NULL


class _Metadata(msgspec.Struct):
    event_id: Any = msgspec.field(default=None, name=EVENT_ID_NAME)


_DECODER = msgspec.json.Decoder(_Fulfillment)
_METADATA_DECODER = msgspec.json.Decoder(_Metadata)


def map(raw: bytes, provenance: Provenance) -> Snapshot:  # noqa: A001 - the contract's word
    """A fulfillment as it is now.  Raises Unmappable."""
    record = decoded(_DECODER, raw)
    if record.id != provenance.upstream_id:
        reason = f"fulfillment {record.id} came as record {provenance.upstream_id}"
        raise Unmappable(reason, "$.id")
    _refuse_empty(record.items)
    shipped = _items(record.items, "quantity")
    canceled = _items(record.items, "cancelQuantity")
    package = _seen(record, shipped, ANNOUNCE_UNTRACKED in provenance.options) if shipped else None
    order_id, metadata = str(record.order_id), verbatim(record.metadata, "metadata")
    return Snapshot(
        scope="shipment",
        orders=(OrderRef(id=order_id, number=order_id),),
        status="canceled" if canceled and not shipped else None,
        final=package.left if package else bool(canceled),
        echo=metadata != NULL and bool(_METADATA_DECODER.decode(metadata).event_id),
        created_at=_instant(record.created_time),
        line_items=shipped,
        canceled_items=canceled,
        packages=(package,) if package else (),
        field_mappings=metadata,
    )


def _seen(record: _Fulfillment, items: tuple[LineItem, ...], untracked_too: bool) -> Seen:
    number = (record.tracking_number or "").strip()
    left = number or _id(record.shipment_id) or untracked_too
    return Seen(
        status="shipped" if left else "pending",
        upstream_ids=ids(fulfillment_id=record.id),
        carrier=carrier(record.tracking_company),
        trackings=tracking(number, record.tracking_url),
        line_items=items,
    )


def _refuse_empty(items: Sequence[_Item]) -> None:
    """Each item has one of both quantities; without, nobody knows what it tells."""
    for index, item in enumerate(items):
        if item.quantity is None and item.cancel_quantity is None:
            reason = "neither quantity nor cancelQuantity is there"
            raise Unmappable(reason, f"$.items[{index}].quantity")


def _items(items: Sequence[_Item], name: str) -> tuple[LineItem, ...]:
    """Those with some of this quantity, which is `quantity` or `cancelQuantity`."""
    found = []
    for index, item in enumerate(items):
        count = item.quantity if name == "quantity" else item.cancel_quantity
        told = amount(Decimal(0) if count is None else count, "items", index, name)
        if told != "0":
            sku, line_id = _id(item.sku_id), _id(item.item_id)
            found.append(LineItem(sku=sku, line_id=line_id, quantity=told))
    return tuple(found)


def _instant(value: str | dict[str, Any] | None) -> datetime | None:
    """An ISO 8601 text, or a Java object as the reference shows of related resources."""
    if value is None:
        return None
    try:
        if isinstance(value, str):
            return parse_instant(value)
        local = parse_instant(JAVA_TIME.format_map({"nano": 0, **value}))
        return local - timedelta(seconds=value.get("offset", {}).get("totalSeconds", 0))
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise Unmappable(f"not an instant: {error}", "$.createdTime") from error


def _id(value: str | int | None) -> str | None:
    return None if value is None or value == "" else str(value)
