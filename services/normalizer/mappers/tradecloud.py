"""Tradecloud orders and shipments: a shipment has packages, an order lines and how far they are.

Facts and their marks: the polling seed and the public documentation.  An issued shipment is a
despatch advice: it has left when its actual departure date (atdDate) is there, which is local.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from schemas.fulfillment import FulfillmentStatus
from schemas.message import EXACT, parse_instant
from schemas.raw import Provenance
from services.normalizer import mapper
from services.normalizer.mapper import (
    ALL_KNOWN,
    PACKAGES_MAX,
    Leaves,
    Reading,
    Seen,
    Snapshot,
    Unmappable,
)
from services.normalizer.model import LineItem, OrderRef, UpstreamId
from services.normalizer.statuses import Statuses, plain

CANCELED = frozenset(map(plain, ("Cancelled", "Canceled")))
CALLED_OFF = CANCELED | {plain("Rejected")}  # of a shipment; a rejected order line is still open
SHIPPED = plain("Shipped")
SENT = frozenset({SHIPPED, plain("Delivered")})
SHIPMENT_STATUSES = Statuses(
    dict.fromkeys(("Issued", "Approved", "Rejected", "Cancelled", "Canceled", "Completed"), True)
)
CHANGED_AFTER = "changed-after:"
SSCC_DIGITS = 18

PACKAGES = "loadCarriers"  # where a package that is a return says so
LEAVES = Leaves(
    mapped="""*lastUpdatedAt=updated_at *purchaseOrderNumber=orders *status.processStatus=status
    *status.logisticsStatus=status_raw processStatus=status_raw *item.*=line_items.sku
    identifiers.trackingNumber=packages.trackings.number
    loadCarriers[].packageSSCC=packages.upstream_id
    loadCarriers[].containerNumber=packages.upstream_id
    *despatchQuantity=line_items.quantity locations.departure.atdDate=packages.shipped_at
    *deliverySchedule[].quantity=line_items.quantity *lines[].id=line_items.line_id""",
    derived="""id=upstream_id *purchaseOrderLinePosition=line_items.line_id
    *despatchAdviceNumber=line_items.line_id *despatchAdviceLinePosition=line_items.line_id
    *buyerLine.position=line_items.line_id *inProgressStatus=line_items.echo
    *deliverySchedule[].status=status""",
    kept="""identifiers.* transportMode *Shipment.* *Order.* version *packageType *SizeAndType
    *backorder* *osition *deliverySchedule* locations.* processStatusReason *prices*
    meta.despatchAdviceErpIssueDateTime""",
)

Text = str | int | None
Words = frozenset[tuple[str, str]]


class _Item(msgspec.Struct, rename="camel"):
    buyer_item_number: Text = None
    number: Text = None  # of an order's line: the buyer's
    supplier_item_number: Text = None
    buyer_item_name: Any = None
    name: Any = None
    purchase_unit_of_measure_iso: Any = None


class _Delivery(msgspec.Struct):
    quantity: Any = None
    status: str | None = None


class _Side(msgspec.Struct, rename="camel"):
    """What one party says of a line: the buyer of its order, the supplier of its despatch."""

    position: Text = None
    item: _Item | None = None
    delivery_schedule: list[_Delivery] | None = None
    despatch_advice_number: Text = None
    despatch_advice_line_position: Text = None
    despatch_quantity: Any = None


class _Line(msgspec.Struct, rename="camel"):
    id: Text = None
    purchase_order_number: Text = None
    purchase_order_line_position: Text = None
    item: _Item | None = None
    buyer_line: _Side | None = None
    supplier_line: _Side | None = None
    delivery_schedule: list[_Delivery] | None = None
    status: dict[str, Any] | None = None
    last_updated_at: Any = None
    meta: dict[str, Any] | None = None


class _Carrier(msgspec.Struct, rename="camel"):
    package_sscc: Text = msgspec.field(default=None, name="packageSSCC")
    container_number: Text = None
    lines: list[_Line] | None = None


class _Record(msgspec.Struct, rename="camel"):
    id: str
    buyer_order: dict[str, Any] | None = None
    purchase_order_number: Text = None
    identifiers: Any = None
    load_carriers: list[_Carrier] | None = None
    lines: list[_Line] | None = None
    locations: dict[str, Any] | None = None
    status: dict[str, Any] | None = None
    process_status: str | None = None
    last_updated_at: Any = None
    meta: dict[str, Any] | None = None


# What is packed together: its ids, its lines and where they stand.
_Path = tuple[str | int, ...]
_Box = tuple[tuple[UpstreamId, ...], Sequence[_Line], _Path]
_DECODER = mapper.decoder(_Record)


def map(raw: bytes, provenance: Provenance) -> Snapshot:  # noqa: A001 - the contract's word
    """An order or a shipment as it is now.  Raises Unmappable."""
    record = mapper.decoded(_DECODER, raw)
    if record.id != provenance.upstream_id:
        raise Unmappable(f"{record.id} came as record {provenance.upstream_id}", "$.id")
    role = "supplier" if "role:supplier" in provenance.options else "buyer"
    mapped = _order if provenance.resource == "orders" else _shipment
    read = Reading()
    snapshot = mapped(record, role, provenance, read)
    return msgspec.structs.replace(snapshot, degraded=read.degraded) if read.degraded else snapshot


def _shipment(record: _Record, role: str, provenance: Provenance, read: Reading) -> Snapshot:
    told = _text(record.status, "processStatus") or _id(record.process_status)
    read.status(told, SHIPMENT_STATUSES, "status", "processStatus")
    word = plain(told or "")
    boxes = list(_boxes(record))
    if len(boxes) > PACKAGES_MAX:
        raise Unmappable(f"{len(boxes)}, at most {PACKAGES_MAX} are read", "$.loadCarriers")
    whole = _seen_of_all(record, told, provenance, read.part())
    packages = tuple(_seen(box, role, whole, read.part()) for box in boxes)
    lines = [(one, (*path, i)) for _, ls, path in boxes for i, one in enumerate(ls)]
    words = _words({"processStatus": told, **(record.status or {})})
    changes = [(_despatch_id(line), _changed_at(line, read, *path), words) for line, path in lines]
    numbers = dict.fromkeys(_id(line.purchase_order_number) for line, _ in lines)
    return Snapshot(
        scope="shipment",
        orders=tuple(OrderRef(id=number, number=number) for number in numbers if number),
        status="canceled" if word in CALLED_OFF else None,
        status_raw=told,
        final=word in CALLED_OFF or (bool(packages) and all(one.left for one in packages)),
        announced_lines=_announced(changes, provenance.options),
        updated_at=_updated_at(record),
        line_items=tuple(item for one in packages for item in one.line_items or ()),
        packages=packages,
        unknown=frozenset({"final"}) if "status" in whole.unknown else ALL_KNOWN,
    )


def _boxes(record: _Record) -> Iterator[_Box]:
    """Each load carrier, then the lines that are not packed in one."""
    for index, one in enumerate(record.load_carriers or ()):
        sscc, container = _sscc(one.package_sscc), _id(one.container_number)
        path = ("loadCarriers", index, "lines")
        yield mapper.ids(sscc=sscc, container_number=container), one.lines or (), path
    if record.lines:
        yield mapper.ids(loose="loose"), record.lines, ("lines",)


def _seen_of_all(record: _Record, told: str | None, provenance: Provenance, read: Reading) -> Seen:
    """What the shipment says of each of its packages, as if each held something."""
    departure = (record.locations or {}).get("departure")
    departed = departure.get("atdDate") if isinstance(departure, dict) else None
    path = ("locations", "departure", "atdDate")
    left_at, ahead = read.departure(departed, provenance.observed_at, *path, of="shipped_at")
    identifiers = record.identifiers
    number = identifiers.get("trackingNumber") if isinstance(identifiers, dict) else None
    if not isinstance(identifiers, dict | None):
        read.odd("identifiers", of="trackings")
    trackings = read.trackings(number, at=["identifiers", "trackingNumber"])
    called_off, left = plain(told or "") in CALLED_OFF, left_at is not None and not ahead
    silent = "shipped_at" in read.unknown and not called_off
    return Seen(
        status="canceled" if called_off else "shipped" if left else "pending",
        status_raw=told,
        trackings=trackings,
        shipped_at=left_at if left else None,
        unknown=read.unknown | {"status"} if silent else read.unknown,
    )


def _seen(box: _Box, role: str, whole: Seen, read: Reading) -> Seen:
    upstream_ids, lines, path = box
    items = tuple(_despatched(one, role, read, (*path, i)) for i, one in enumerate(lines))
    seen = msgspec.structs.replace(
        whole, upstream_ids=upstream_ids, line_items=items, unknown=whole.unknown | read.unknown
    )
    if any(item.quantity != "0" for item in items):
        return seen
    unknown = seen.unknown - {"status", "shipped_at"}
    status = "canceled" if whole.status == "canceled" else "pending"
    return msgspec.structs.replace(seen, status=status, shipped_at=None, unknown=unknown)


def _despatched(line: _Line, role: str, read: Reading, path: _Path) -> LineItem:
    told = line.supplier_line.despatch_quantity if line.supplier_line else None
    count = read.quantity(told, *path, "supplierLine", "despatchQuantity")
    order_id, line_id = _id(line.purchase_order_number), _despatch_id(line)
    return _line_item(line.item, role, count, read, path, order_id=order_id, line_id=line_id)


def _despatch_id(line: _Line) -> str | None:
    """Public: advice number and position are unique and never change."""
    sent = line.supplier_line or _Side()
    advice = _id(sent.despatch_advice_number), _id(sent.despatch_advice_line_position)
    order = _id(line.purchase_order_number), _id(line.purchase_order_line_position)
    return next((f"{number}/{at}" for number, at in (advice, order) if number and at), None)


def _order(record: _Record, role: str, provenance: Provenance, read: Reading) -> Snapshot:
    number = _text(record.buyer_order, "purchaseOrderNumber") or _id(record.purchase_order_number)
    if number is None:
        raise Unmappable("the order has no number", "$.buyerOrder.purchaseOrderNumber")
    called_off = plain(_text(record.status, "processStatus") or "") in CANCELED
    rows = record.lines or []
    off = [
        called_off or any(plain(word) in CANCELED for _, word in _words(row.status)) for row in rows
    ]
    items = [_ordered(row, number, role, read, ("lines", i)) for i, row in enumerate(rows)]
    live = [row for row, gone in zip(rows, off, strict=True) if not gone]
    status = "canceled" if called_off or (rows and not live) else _progress(live)
    words = [_words(row.status, row.delivery_schedule) for row in rows]
    times = [_changed_at(row, read, "lines", i) for i, row in enumerate(rows)]
    changes = zip([item.line_id for item in items], times, words, strict=True)
    return Snapshot(
        scope="order",
        orders=(OrderRef(id=number, number=number),),
        status=status,
        status_raw=_text(record.status, "logisticsStatus"),
        final=status in ("shipped", "delivered", "canceled"),
        announced_lines=_announced(changes, provenance.options),
        updated_at=_updated_at(record),
        line_items=tuple(item for item, gone in zip(items, off, strict=True) if not gone),
        canceled_items=tuple(item for item, gone in zip(items, off, strict=True) if gone),
    )


def _progress(live: Sequence[_Line]) -> FulfillmentStatus:
    """Public: a line's logisticsStatus speaks of its full quantity, its deliveries of parts."""
    words = {plain(_text(line.status, "logisticsStatus") or "") for line in live}
    if words and words <= SENT:
        return "shipped" if SHIPPED in words else "delivered"
    parts = {
        plain(_id(part.status) or "") for line in live for part in line.delivery_schedule or ()
    }
    return "partially_shipped" if SENT & (words | parts) else "open"


def _ordered(line: _Line, order_id: str, role: str, read: Reading, path: _Path) -> LineItem:
    """With an open request of our own, deliverySchedule still shows what was before it."""
    buyer = line.buyer_line or _Side()
    schedule = line.delivery_schedule or buyer.delivery_schedule or []
    total = _total(schedule, read, *path, "deliverySchedule")
    asked = _text(line.status, "inProgressStatus") or ""
    line_id, echo = _id(line.id) or _id(buyer.position), asked.startswith(f"Open{role.title()}")
    more = {"order_id": order_id, "line_id": line_id, "echo": echo}
    return _line_item(line.item or buyer.item, role, total, read, path, **more)


def _total(parts: Sequence[_Delivery], read: Reading, *path: str | int) -> str | None:
    """The sum of a schedule; None when a part does not say how many."""
    counts = [read.quantity(one.quantity, *path, i, "quantity") for i, one in enumerate(parts)]
    total = Decimal(0)
    for count in counts:
        if count is None:
            return None
        total = EXACT.add(total, Decimal(count))
    return read.quantity(total, *path)


def _line_item(
    item: _Item | None, role: str, count: str | None, read: Reading, path: _Path, **more: Any
) -> LineItem:
    """So many of a product, by our own number for it, else by the other side's."""
    item = item or _Item()
    numbers = [item.buyer_item_number, item.number, item.supplier_item_number]
    ours = numbers if role == "buyer" else [item.supplier_item_number, *numbers]
    return LineItem(
        sku=next((found for one in ours if (found := _id(one))), None),
        quantity=count,
        unit=read.text(item.purchase_unit_of_measure_iso, *path, "item.purchaseUnitOfMeasureIso"),
        description=read.text(item.buyer_item_name, *path, "item.buyerItemName")
        or read.text(item.name, *path, "item.name"),
        **more,
    )


def _words(status: dict[str, Any] | None, parts: Sequence[_Delivery] | None = None) -> Words:
    """What the account's filters may name of a line."""
    told = {(name, str(value)) for name, value in (status or {}).items()}
    return frozenset(told | {("deliveryLineStatus", str(part.status)) for part in parts or ()})


def _announced(
    lines: Iterable[tuple[str | None, datetime | None, Words]], options: frozenset[str]
) -> frozenset[str] | None:
    """The lines that every filter of the account lets through; None: there is no filter."""
    pairs = [(name, value) for name, _, value in (one.partition(":") for one in options)]
    wanted = [{pair for pair in pairs if pair[0] == name} for name, _ in pairs if "Status" in name]
    after = [parse_instant(o.removeprefix(CHANGED_AFTER)) for o in options if CHANGED_AFTER in o]
    if not wanted and not after:
        return None
    return frozenset(
        line_id
        for line_id, updated_at, words in lines
        if line_id is not None
        and all(updated_at is None or updated_at > since for since in after)
        and all(values & words for values in wanted)
    )


def _updated_at(record: _Record) -> datetime | None:
    return mapper.version(_stamp(record), "lastUpdatedAt")


def _changed_at(line: _Line, read: Reading, *path: str | int) -> datetime | None:
    return read.instant(_stamp(line), *path, "lastUpdatedAt")


def _stamp(one: _Line | _Record) -> object:
    """Public: at the root of an order and its lines, in `meta` of a shipment and its lines."""
    return one.last_updated_at or (one.meta or {}).get("lastUpdatedAt") or None


def _sscc(value: Text) -> str | None:
    """18 digits, without the (00) a label prints before them; what is not so, as it is."""
    digits = re.sub(r"\D", "", _id(value) or "")
    bare = digits.removeprefix("00") if len(digits) == SSCC_DIGITS + 2 else digits
    return bare if len(bare) == SSCC_DIGITS else _id(value)


def _text(found: Any, name: str) -> str | None:
    """A text of an object that may be missing, or be none."""
    return _id(found.get(name)) if isinstance(found, dict) else None


def _id(value: Any) -> str | None:
    told = isinstance(value, str | int) and not isinstance(value, bool)
    return (str(value).strip() or None) if told else None
