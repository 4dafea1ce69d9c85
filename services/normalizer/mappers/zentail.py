"""Zentail sales orders: one order is one fulfillment, its `packages` are the packages.

Facts and their marks: the zentail seed and upstreams/zentail.md.  Names inside a package are
assumed there, so every one of them may be missing, and fields we do not know are passed over.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from schemas.fulfillment import FulfillmentStatus
from schemas.raw import Provenance
from services.normalizer.mapper import (
    PACKAGES_MAX,
    Leaves,
    Seen,
    Snapshot,
    Unmappable,
    amount,
    carrier,
    decoded,
    ids,
    instant,
    moment,
    tracking,
)
from services.normalizer.model import LineItem, OrderRef

STATUSES: dict[str, FulfillmentStatus] = {
    "PENDING_PAYMENT": "open",
    "PENDING": "open",
    "PARTIALLY_SHIPPED": "partially_shipped",
    "SHIPPED": "shipped",
    "RETURN_REQUESTED": "shipped",
    "RETURNED": "returned",
    "REFUNDED": "returned",
    "CANCELLED": "canceled",
    "CANCELED": "canceled",
}
# In these a tracking number is enough; before them it is only a printed label.
STATUSES_THAT_PROVE_SHIPPING = frozenset(
    {"PARTIALLY_SHIPPED", "SHIPPED", "RETURN_REQUESTED", "RETURNED", "REFUNDED"}
)
STATUSES_STILL_CHANGING = frozenset({"PARTIALLY_SHIPPED"})


LEAVES = Leaves(
    mapped="""orderNumber=orders status=status_raw orderTs=created_at lastUpdatedTs=updated_at
    products[].lineItemId=line_items.line_id products[].SKU=line_items.sku
    products[].cancelQuantity=canceled_items.quantity packages[].packageId=packages.upstream_id
    packages[].carrier=packages.carrier packages[].service_level=packages.service_level
    packages[].tracking=packages.trackings packages[].shippedTs=packages.shipped_at
    packages[].products[].SKU=packages.line_items.sku
    packages[].products[].quantity=packages.line_items.quantity""",
    derived="""products[].quantity=line_items.quantity products[].requestedSku=line_items.sku
    packages[].fulfillmentPackageId=packages.upstream_id
    packages[].serviceLevel=packages.service_level""",
    kept="""channelOrderId shippingAddress.* routing_info.* products[].status
    products[].shippedQuantity packages[].warehouseId""",
)


# The order line of a product, None where more than one can be meant.
_Ids = dict[str | None, str | None]


class _Line(msgspec.Struct, rename="camel"):
    line_item_id: str | int | None = None
    sku_upper: str | None = msgspec.field(default=None, name="SKU")
    sku: str | None = None
    requested_sku: str | None = None
    quantity: int | Decimal | None = None
    cancel_quantity: int | Decimal | None = None

    @property
    def product(self) -> str | None:
        """What the line is of: SKU may be null, then requestedSku names it (public: guides)."""
        return self.sku_upper or self.sku or self.requested_sku


class _Package(msgspec.Struct, rename="camel"):
    package_id: str | int | None = None
    fulfillment_package_id: str | int | None = None
    carrier: str | None = None
    service_level: str | None = None
    service_level_lower: str | None = msgspec.field(default=None, name="service_level")
    tracking: str | None = None
    shipped_ts: str | None = None
    products: list[_Line] | None = None


class _Order(msgspec.Struct, rename="camel"):
    order_number: str | int
    status: str
    last_updated_ts: str | None = None
    order_ts: str | None = None
    products: list[_Line] | None = None
    packages: list[_Package] | None = None


_DECODER = msgspec.json.Decoder(_Order)


def map(raw: bytes, provenance: Provenance) -> Snapshot:  # noqa: A001 - the contract's word
    """An order as it is now.  Raises Unmappable."""
    order = decoded(_DECODER, raw)
    number = str(order.order_number)
    if number != provenance.upstream_id:
        raise Unmappable(f"order {number} came as record {provenance.upstream_id}", "$.orderNumber")
    packages = order.packages or []
    if len(packages) > PACKAGES_MAX:
        raise Unmappable(f"{len(packages)} packages, at most {PACKAGES_MAX} are read", "$.packages")
    items, canceled, line_ids = _lines(order.products or [])
    status = STATUSES.get(order.status, "unknown")
    return Snapshot(
        scope="shipment",
        orders=(OrderRef(id=number, number=number),),
        status=status,
        status_raw=order.status,
        final=status in ("shipped", "returned", "canceled"),
        provisional=order.status in STATUSES_STILL_CHANGING,
        created_at=instant(order.order_ts, "orderTs"),
        updated_at=instant(order.last_updated_ts, "lastUpdatedTs"),
        line_items=items,
        canceled_items=canceled,
        packages=tuple(
            [
                _seen(package, line_ids, order.status, index)
                for index, package in enumerate(packages)
            ]
        ),
    )


def _seen(package: _Package, line_ids: _Ids, order_status: str, place: int) -> Seen:
    items, filled = None, False
    if package.products is not None:
        items = tuple([_item(one, line_ids, place, at) for at, one in enumerate(package.products)])
        filled = any(item.quantity != "0" for item in items)
    trackings = tracking(package.tracking)
    shipped_at = moment(package.shipped_ts, "packages", place, "shippedTs")
    backed = trackings and order_status in STATUSES_THAT_PROVE_SHIPPING
    return Seen(
        status="shipped" if filled and (shipped_at is not None or backed) else "pending",
        upstream_ids=ids(
            package_id=_id(package.package_id),
            fulfillment_package_id=_id(package.fulfillment_package_id),
        ),
        carrier=carrier(package.carrier),
        service_level=package.service_level_lower or package.service_level or None,
        trackings=trackings,
        shipped_at=shipped_at,
        line_items=items,
    )


def _item(line: _Line, line_ids: _Ids, place: int, index: int) -> LineItem:
    product = line.product
    count = amount(line.quantity, "packages", place, "products", index, "quantity")
    return LineItem(sku=product, line_id=line_ids.get(product), quantity=count)


def _lines(lines: list[_Line]) -> tuple[tuple[LineItem, ...], tuple[LineItem, ...], _Ids]:
    """What was ordered and is not canceled, what is, and which line a product is of.

    Open is quantity - canceled (public).  Package products name a SKU only: that is the order line
    when just one can be meant, else None; the SKU of a line comes before the one asked for.
    """
    items, canceled = [], []
    found: _Ids = {None: None}
    asked: _Ids = {}
    for index, line in enumerate(lines):
        product, line_id, word = line.product, _id(line.line_item_id), line.requested_sku
        found[product] = None if product in found else line_id
        if word != product:
            asked[word] = None if word in asked else line_id
        off, ordered = line.cancel_quantity or 0, line.quantity
        if off:
            count = amount(off, "products", index, "cancelQuantity")
            canceled.append(LineItem(sku=product, line_id=line_id, quantity=count))
            if off == ordered:
                continue
            ordered = None if ordered is None else ordered - off
        count = amount(ordered, "products", index, "quantity")
        items.append(LineItem(sku=product, line_id=line_id, quantity=count))
    return tuple(items), tuple(canceled), asked | found if asked else found


def _id(value: str | int | None) -> str | None:
    return None if value is None or value == "" else str(value)
