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
from schemas.message import parse_instant
from schemas.raw import Provenance
from services.normalizer import mapper
from services.normalizer.mapper import PACKAGES_MAX, Leaves, Seen, Snapshot, Unmappable
from services.normalizer.model import LineItem, OrderRef, Tracking, UpstreamId

CANCELED = frozenset({"Cancelled", "Canceled"})
CALLED_OFF = CANCELED | {"Rejected"}  # of a shipment; a rejected order line is still open
SENT = frozenset({"Shipped", "Delivered"})
CHANGED_AFTER = "changed-after:"
SSCC_DIGITS = 18

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
    buyer_item_name: str | None = None
    name: str | None = None
    purchase_unit_of_measure_iso: str | None = None


class _Delivery(msgspec.Struct):
    quantity: Decimal | None = None
    status: str | None = None


class _Side(msgspec.Struct, rename="camel"):
    """What one party says of a line: the buyer of its order, the supplier of its despatch."""

    position: Text = None
    item: _Item | None = None
    delivery_schedule: list[_Delivery] | None = None
    despatch_advice_number: Text = None
    despatch_advice_line_position: Text = None
    despatch_quantity: Decimal | None = None


class _Line(msgspec.Struct, rename="camel"):
    id: Text = None
    purchase_order_number: Text = None
    purchase_order_line_position: Text = None
    item: _Item | None = None
    buyer_line: _Side | None = None
    supplier_line: _Side | None = None
    delivery_schedule: list[_Delivery] | None = None
    status: dict[str, Any] | None = None
    last_updated_at: str | None = None
    meta: dict[str, Any] | None = None


class _Carrier(msgspec.Struct, rename="camel"):
    package_sscc: Text = msgspec.field(default=None, name="packageSSCC")
    container_number: Text = None
    lines: list[_Line] | None = None


class _Record(msgspec.Struct, rename="camel"):
    id: str
    buyer_order: dict[str, Any] | None = None
    purchase_order_number: Text = None
    identifiers: dict[str, Any] | None = None
    load_carriers: list[_Carrier] | None = None
    lines: list[_Line] | None = None
    locations: dict[str, Any] | None = None
    status: dict[str, Any] | None = None
    process_status: str | None = None
    last_updated_at: str | None = None
    meta: dict[str, Any] | None = None


# What is packed together: its ids, its lines and where they stand.
_Path = tuple[str | int, ...]
_Box = tuple[tuple[UpstreamId, ...], Sequence[_Line], _Path]
_DECODER = msgspec.json.Decoder(_Record)


def map(raw: bytes, provenance: Provenance) -> Snapshot:  # noqa: A001 - the contract's word
    """An order or a shipment as it is now.  Raises Unmappable."""
    record = mapper.decoded(_DECODER, raw)
    if record.id != provenance.upstream_id:
        raise Unmappable(f"{record.id} came as record {provenance.upstream_id}", "$.id")
    role = "supplier" if "role:supplier" in provenance.options else "buyer"
    mapped = _order if provenance.resource == "orders" else _shipment
    return mapped(record, role, provenance.options)


def _shipment(record: _Record, role: str, options: frozenset[str]) -> Snapshot:
    word = _text(record.status, "processStatus") or record.process_status
    boxes = list(_boxes(record))
    if len(boxes) > PACKAGES_MAX:
        raise Unmappable(f"{len(boxes)}, at most {PACKAGES_MAX} are read", "$.loadCarriers")
    departed = _text((record.locations or {}).get("departure"), "atdDate")
    left_at = mapper.moment(departed, "locations", "departure", "atdDate")
    trackings = mapper.tracking(_text(record.identifiers, "trackingNumber"))
    packages = tuple(_seen(box, word, role, trackings, left_at) for box in boxes)
    lines = [(one, (*path, i)) for _, ls, path in boxes for i, one in enumerate(ls)]
    words = _words({"processStatus": word, **(record.status or {})})
    told = [(_despatch_id(line), _updated_at(line, *path), words) for line, path in lines]
    numbers = dict.fromkeys(_id(line.purchase_order_number) for line, _ in lines)
    return Snapshot(
        scope="shipment",
        orders=tuple(OrderRef(id=number, number=number) for number in numbers if number),
        status="canceled" if word in CALLED_OFF else None,
        status_raw=word,
        final=word in CALLED_OFF or (bool(packages) and all(one.left for one in packages)),
        announced_lines=_announced(told, options),
        updated_at=_updated_at(record),
        line_items=tuple(item for one in packages for item in one.line_items or ()),
        packages=packages,
    )


def _boxes(record: _Record) -> Iterator[_Box]:
    """Each load carrier, then the lines that are not packed in one."""
    for index, one in enumerate(record.load_carriers or ()):
        sscc, container = _sscc(one.package_sscc), _id(one.container_number)
        path = ("loadCarriers", index, "lines")
        yield mapper.ids(sscc=sscc, container_number=container), one.lines or (), path
    if record.lines:
        yield mapper.ids(loose="loose"), record.lines, ("lines",)


def _seen(
    box: _Box, word: str | None, role: str, trackings: tuple[Tracking, ...], left_at: str | None
) -> Seen:
    upstream_ids, lines, path = box
    items = tuple(_despatched(one, role, (*path, i)) for i, one in enumerate(lines))
    left = left_at is not None and any(item.quantity != "0" for item in items)
    return Seen(
        status="canceled" if word in CALLED_OFF else "shipped" if left else "pending",
        upstream_ids=upstream_ids,
        status_raw=word,
        trackings=trackings,
        shipped_at=left_at if left else None,
        line_items=items,
    )


def _despatched(line: _Line, role: str, path: _Path) -> LineItem:
    count = line.supplier_line.despatch_quantity if line.supplier_line else None
    order_id, line_id = _id(line.purchase_order_number), _despatch_id(line)
    path = (*path, "supplierLine", "despatchQuantity")
    return _line_item(line.item, role, count, path, order_id=order_id, line_id=line_id)


def _despatch_id(line: _Line) -> str | None:
    """Public: advice number and position are unique and never change."""
    sent = line.supplier_line or _Side()
    advice = _id(sent.despatch_advice_number), _id(sent.despatch_advice_line_position)
    order = _id(line.purchase_order_number), _id(line.purchase_order_line_position)
    return next((f"{number}/{at}" for number, at in (advice, order) if number and at), None)


def _order(record: _Record, role: str, options: frozenset[str]) -> Snapshot:
    number = _text(record.buyer_order, "purchaseOrderNumber") or _id(record.purchase_order_number)
    if number is None:
        raise Unmappable("the order has no number", "$.buyerOrder.purchaseOrderNumber")
    called_off = _text(record.status, "processStatus") in CANCELED
    rows = record.lines or []
    off = [called_off or any(word in CANCELED for _, word in _words(row.status)) for row in rows]
    items = [_ordered(row, number, role, ("lines", i)) for i, row in enumerate(rows)]
    live = [row for row, gone in zip(rows, off, strict=True) if not gone]
    status = "canceled" if called_off or (rows and not live) else _progress(live)
    words = [_words(row.status, row.delivery_schedule) for row in rows]
    times = [_updated_at(row, "lines", i) for i, row in enumerate(rows)]
    told = zip([item.line_id for item in items], times, words, strict=True)
    return Snapshot(
        scope="order",
        orders=(OrderRef(id=number, number=number),),
        status=status,
        status_raw=_text(record.status, "logisticsStatus"),
        final=status in ("shipped", "delivered", "canceled"),
        announced_lines=_announced(told, options),
        updated_at=_updated_at(record),
        line_items=tuple(item for item, gone in zip(items, off, strict=True) if not gone),
        canceled_items=tuple(item for item, gone in zip(items, off, strict=True) if gone),
    )


def _progress(live: Sequence[_Line]) -> FulfillmentStatus:
    """Public: a line's logisticsStatus speaks of its full quantity, its deliveries of parts."""
    words = {_text(line.status, "logisticsStatus") for line in live}
    if words and words <= SENT:
        return "shipped" if "Shipped" in words else "delivered"
    parts = {part.status for line in live for part in line.delivery_schedule or ()}
    return "partially_shipped" if SENT & (words | parts) else "open"


def _ordered(line: _Line, order_id: str, role: str, path: _Path) -> LineItem:
    """With an open request of our own, deliverySchedule still shows what was before it."""
    buyer = line.buyer_line or _Side()
    schedule = line.delivery_schedule or buyer.delivery_schedule or []
    total = sum((part.quantity or Decimal(0) for part in schedule), Decimal(0))
    asked = _text(line.status, "inProgressStatus") or ""
    line_id, echo = _id(line.id) or _id(buyer.position), asked.startswith(f"Open{role.title()}")
    item, path = line.item or buyer.item, (*path, "deliverySchedule")
    return _line_item(item, role, total, path, order_id=order_id, line_id=line_id, echo=echo)


def _line_item(
    item: _Item | None, role: str, count: Decimal | None, path: _Path, **more: Any
) -> LineItem:
    """So many of a product, by our own number for it, else by the other side's."""
    item = item or _Item()
    numbers = [item.buyer_item_number, item.number, item.supplier_item_number]
    ours = numbers if role == "buyer" else [item.supplier_item_number, *numbers]
    return LineItem(
        sku=next((found for one in ours if (found := _id(one))), None),
        quantity=mapper.amount(count, *path),
        unit=item.purchase_unit_of_measure_iso or None,
        description=item.buyer_item_name or item.name or None,
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


def _updated_at(one: _Line | _Record, *path: str | int) -> datetime | None:
    """Public: at the root of an order and its lines, in `meta` of a shipment and its lines."""
    stamp = one.last_updated_at or _text(one.meta, "lastUpdatedAt")
    return mapper.instant(stamp, *path, "lastUpdatedAt")


def _sscc(value: Text) -> str | None:
    """18 digits, without the (00) a label prints before them; what is not so, as it is."""
    digits = re.sub(r"\D", "", _id(value) or "")
    bare = digits.removeprefix("00") if len(digits) == SSCC_DIGITS + 2 else digits
    return bare if len(bare) == SSCC_DIGITS else _id(value)


def _text(found: Any, name: str) -> str | None:
    """A text of an object that may be missing, or be none."""
    return _id(found.get(name)) if isinstance(found, dict) else None


def _id(value: Any) -> str | None:
    return (str(value).strip() or None) if isinstance(value, str | int) else None
