"""Zentail sales orders: one order is one fulfillment, its `packages` are the packages.

Facts and their marks: the zentail seed and upstreams/zentail.md.  Names inside a package are
assumed there, so every one of them may be missing, and fields we do not know are passed over.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from schemas.fulfillment import FulfillmentStatus
from schemas.message import EXACT, quantity
from schemas.raw import Provenance
from services.normalizer.mapper import (
    PACKAGES_MAX,
    Leaves,
    Reading,
    Seen,
    Snapshot,
    Unmappable,
    carrier,
    decoded,
    decoder,
    ids,
    version,
)
from services.normalizer.model import LineItem, OrderRef
from services.normalizer.statuses import Statuses, plain

STATUSES: Statuses[FulfillmentStatus] = Statuses(
    {
        "PENDING_PAYMENT": "open",
        "PENDING": "open",
        "PARTIALLY_SHIPPED": "partially_shipped",
        "SHIPPED": "shipped",
        "RETURN_REQUESTED": "shipped",
        "RETURNED": "returned",
        "REFUNDED": "returned",
        "CANCELLED": "canceled",
        "CANCELED": "canceled",
        "PARTIALLY_CANCELLED": "open",
        "PARTIALLY_CANCELED": "open",
    }
)
PARTIALLY_SHIPPED = plain("PARTIALLY_SHIPPED")
# In these every package with a tracking number has left; before them the number is a printed label.
ALL_LEFT = frozenset(map(plain, ("SHIPPED", "RETURN_REQUESTED", "RETURNED")))
# In these no package has left that has no ship time.  Every other status, such as REFUNDED, neither
# proves that a package left nor that it did not.
BEFORE_DEPARTURE = frozenset(map(plain, ("PENDING_PAYMENT", "PENDING")))
TELLING = BEFORE_DEPARTURE | ALL_LEFT | {PARTIALLY_SHIPPED}
EVIDENCE = frozenset({"shipped_at", "trackings"})


PACKAGES = "packages"  # where a package that is a return says so
LEAVES = Leaves(
    mapped="""orderNumber=orders status=status_raw orderTs=created_at lastUpdatedTs=updated_at
    products[].lineItemId=line_items.line_id products[].SKU=line_items.sku
    products[].cancelQuantity=canceled_items.quantity packages[].packageId=packages.upstream_id
    packages[].carrier=packages.carrier packages[].service_level=packages.service_level
    packages[].tracking=packages.trackings packages[].shippedTs=packages.shipped_at
    packages[].products[].SKU=packages.line_items.sku
    packages[].products[].quantity=packages.line_items.quantity""",
    derived="""products[].quantity=line_items.quantity products[].requestedSku=line_items.sku
    products[].shippedQuantity=packages.status
    packages[].fulfillmentPackageId=packages.upstream_id
    packages[].serviceLevel=packages.service_level""",
    kept="""channelOrderId shippingAddress.* routing_info.* products[].status
    packages[].warehouseId""",
)


class _Line(msgspec.Struct, rename="camel"):
    line_item_id: Any = None
    sku_upper: Any = msgspec.field(default=None, name="SKU")
    sku: Any = None
    requested_sku: Any = None
    quantity: Any = None
    cancel_quantity: Any = None
    shipped_quantity: Any = None

    def product(self, read: Reading, *path: str | int) -> tuple[str | None, str | None]:
        """What the line is of, and what was asked for: SKU may be null (public: guides)."""
        own, asked = self.sku_upper, self.requested_sku
        if type(own) is str and own.strip() and (asked is None or type(asked) is str):
            return own, asked or None
        asked = read.text(self.requested_sku, *path, "requestedSku")
        own = read.text(self.sku_upper, *path, "SKU", of="line_items")
        return own or read.text(self.sku, *path, "sku", of="line_items") or asked, asked


class _Package(msgspec.Struct, rename="camel"):
    package_id: Any = None
    fulfillment_package_id: Any = None
    carrier: Any = None
    service_level: Any = None
    service_level_lower: Any = msgspec.field(default=None, name="service_level")
    tracking: Any = None
    shipped_ts: Any = None
    products: list[_Line] | None = None


class _Order(msgspec.Struct, rename="camel"):
    order_number: str | int
    status: str
    last_updated_ts: Any = None
    order_ts: Any = None
    products: list[_Line] | None = None
    packages: list[_Package] | None = None


class _Ordered(msgspec.Struct):
    """The lines of an order, and what they say of a product by its SKU."""

    items: list[LineItem]
    canceled: list[LineItem]
    line_ids: dict[str | None, str | None]  # None where more than one line can be meant
    unshipped: dict[str | None, bool]  # whether every line of it says that none has been shipped


_DECODER = decoder(_Order)


def map(raw: bytes, provenance: Provenance) -> Snapshot:  # noqa: A001 - the contract's word
    """An order as it is now.  Raises Unmappable."""
    order, read = decoded(_DECODER, raw), Reading()
    number = str(order.order_number)
    if number != provenance.upstream_id:
        raise Unmappable(f"order {number} came as record {provenance.upstream_id}", "$.orderNumber")
    packages = order.packages or []
    if len(packages) > PACKAGES_MAX:
        raise Unmappable(f"{len(packages)} packages, at most {PACKAGES_MAX} are read", "$.packages")
    lines = _lines(order.products or [], read)
    status, word = read.status(order.status, STATUSES, "status") or "unknown", plain(order.status)
    return Snapshot(
        scope="shipment",
        orders=(OrderRef(id=number, number=number),),
        status=status,
        status_raw=order.status,
        final=status in ("shipped", "returned", "canceled"),
        provisional=word == PARTIALLY_SHIPPED,
        created_at=read.instant(order.order_ts, "orderTs", of="created_at"),
        updated_at=version(order.last_updated_ts, "lastUpdatedTs"),
        line_items=tuple(lines.items),
        canceled_items=tuple(lines.canceled),
        packages=tuple(
            [
                _seen(one, lines, word, provenance.observed_at, read.part("packages", index))
                for index, one in enumerate(packages)
            ]
        ),
        unknown=read.unknown,
        degraded=read.degraded,
    )


def _seen(
    package: _Package, lines: _Ordered, order_status: str, observed_at: datetime, read: Reading
) -> Seen:
    """A ship time that lies ahead is a plan: it proves nothing until then."""
    items, empty = None, False
    if package.products is not None:
        items = tuple([_item(one, lines, read, at) for at, one in enumerate(package.products)])
        empty = all(item.quantity == "0" for item in items)
    trackings = read.trackings(package.tracking, at=["tracking"])
    told = package.shipped_ts
    shipped_at, ahead = read.departure(told, observed_at, "shippedTs", of="shipped_at")
    name = read.text(package.carrier, "carrier", of="carrier")
    level = read.text(package.service_level_lower, "service_level", of="service_level")
    if level is None:
        level = read.text(package.service_level, "serviceLevel", of="service_level")
    own_ids = ids(
        package_id=read.id(package.package_id, "packageId"),
        fulfillment_package_id=read.id(package.fulfillment_package_id, "fulfillmentPackageId"),
    )
    unknown, numbered = read.unknown, any(one.number for one in trackings)
    departed = shipped_at is not None and not ahead
    left = not empty and (departed or (numbered and _is_backed(items, lines, order_status)))
    if not left and not empty and (order_status not in TELLING or unknown & EVIDENCE):
        unknown |= {"status"}
    return Seen(
        status="shipped" if left else "pending",
        upstream_ids=own_ids,
        carrier=carrier(name),
        service_level=level,
        trackings=trackings,
        shipped_at=shipped_at if left or not ahead else None,
        line_items=items,
        unknown=unknown,
    )


def _is_backed(items: tuple[LineItem, ...] | None, lines: _Ordered, order_status: str) -> bool:
    """Whether the order's status makes of a tracking number more than a printed label.

    A package of unknown contents may hold any product of the order.
    """
    if order_status != PARTIALLY_SHIPPED:
        return order_status in ALL_LEFT
    if items is None:
        unshipped = list(lines.unshipped.values())
    else:
        unshipped = [bool(one.sku) and lines.unshipped.get(one.sku, False) for one in items]
    return not unshipped or not all(unshipped)


def _item(line: _Line, lines: _Ordered, read: Reading, index: int) -> LineItem:
    product, _ = line.product(read, "products", index)
    count = read.quantity(line.quantity, "products", index, "quantity")
    return LineItem(sku=product, line_id=lines.line_ids.get(product), quantity=count)


def _lines(lines: list[_Line], read: Reading) -> _Ordered:
    """What was ordered and is not canceled, what is, and which line a product is of.

    Package products name a SKU only: that is the order line when just one can be meant, else None;
    the SKU of a line comes before the one asked for.
    """
    found = _Ordered([], [], {None: None}, {})
    own, asked_for = found.line_ids, dict[str | None, str | None]()
    for index, line in enumerate(lines):
        product, asked = line.product(read, "products", index)
        line_id = read.id(line.line_item_id, "products", index, "lineItemId")
        own[product] = None if product in own else line_id
        if asked != product:
            asked_for[asked] = None if asked in asked_for else line_id
        shipped = line.shipped_quantity
        none_left = (
            shipped is not None
            and read.quantity(shipped, "products", index, "shippedQuantity") == "0"
        )
        for name in (product,) if asked in (None, product) else (product, asked):
            found.unshipped[name] = none_left and found.unshipped.get(name, True)
        count, off = _open(line, read, index)
        if off != "0":
            found.canceled.append(LineItem(sku=product, line_id=line_id, quantity=off))
        if off == "0" or count != "0":
            found.items.append(LineItem(sku=product, line_id=line_id, quantity=count))
    found.line_ids = asked_for | own
    return found


def _open(line: _Line, read: Reading, index: int) -> tuple[str | None, str | None]:
    """How many of a line are to be shipped, and how many are canceled; None: cannot be told.

    Open is quantity - canceled (public); more canceled than ordered leaves open what is meant.
    """
    ordered = read.quantity(line.quantity, "products", index, "quantity")
    if line.cancel_quantity is None:
        return ordered, "0"
    off = read.quantity(line.cancel_quantity, "products", index, "cancelQuantity")
    if off == "0" or ordered is None or off is None:
        return (ordered if off == "0" else None), off
    exact = ordered.isdecimal() and off.isdecimal()
    left = int(ordered) - int(off) if exact else EXACT.subtract(Decimal(ordered), Decimal(off))
    if left < 0:
        read.odd("products", index, "cancelQuantity")
        return None, off
    return quantity(left), off
