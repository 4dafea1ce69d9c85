"""Shoplazza fulfillments: one is one package, under all the tracking numbers it carries.

Facts and their marks: the shoplazza seed and upstreams/shoplazza.md.  The package has left when
the status says so, whatever number it already carries.  `finished` is also what some shops make
of what was never shown as shipped, so it means delivered only after `shipped` was seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from decimal import Decimal

import msgspec

from schemas.fulfillment import PackageStatus
from schemas.raw import Provenance
from services.normalizer.mapper import (
    Leaves,
    Seen,
    Snapshot,
    Unmappable,
    amount,
    carrier,
    decoded,
    ids,
    instant,
    tracking,
    verbatim,
)
from services.normalizer.model import NULL, LineItem, OrderRef, Tracking

FINISHED = "finished"
STATUSES: dict[str, PackageStatus] = {
    "waiting": "pending",
    "pending": "pending",
    "shipped": "shipped",
    FINISHED: "delivered",
    "cancelled": "canceled",
    "canceled": "canceled",
}


LEAVES = Leaves(
    mapped="""id=packages.upstream_id order_id=orders status=status_raw created_at=created_at
    updated_at=updated_at tracking_company=packages.carrier.name_raw
    tracking_company_code=packages.carrier.code_raw tracking_number=packages.trackings.number
    tracking_url=packages.trackings.url tracking_items[].tracking_number=packages.trackings.number
    tracking_items[].tracking_url=packages.trackings.url line_items[].id=line_items.line_id
    line_items[].sku=line_items.sku line_items[].product_title=line_items.description
    line_items[].shipping_quantity=line_items.quantity
    line_items[].properties*=line_items.properties
    line_items[].custom_properties*=line_items.properties""",
    derived="line_items[].quantity=line_items.quantity",
    kept="""line_items[].product_id line_items[].variant_* line_items[].product_handle
    line_items[].product_url line_items[].image line_items[].vendor line_items[].note
    line_items[].weight* line_items[].taxable line_items[].requires_shipping line_items[].price
    line_items[].compare_at_price line_items[].total line_items[].refund_*
    line_items[].fulfillment_status""",
)


class _Property(msgspec.Struct):
    name: str
    value: msgspec.Raw = NULL


class _Line(msgspec.Struct):
    id: str | int | None = None
    sku: str | None = None
    product_title: str | None = None
    quantity: Decimal | None = None
    shipping_quantity: Decimal | None = None
    properties: msgspec.Raw = NULL
    custom_properties: msgspec.Raw = NULL


class _Tracking(msgspec.Struct):
    tracking_number: str | None = None
    tracking_url: str | None = None


class _Fulfillment(msgspec.Struct):
    id: str | int
    order_id: str | int
    updated_at: str
    status: str | None = None
    created_at: str | None = None
    tracking_company: str | None = None
    tracking_company_code: str | int | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None
    tracking_items: list[_Tracking] | None = None
    line_items: list[_Line] | None = None


_DECODER = msgspec.json.Decoder(_Fulfillment)
_LISTED = msgspec.json.Decoder(list[_Property] | None)
_KEYED = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)


def map(raw: bytes, provenance: Provenance) -> Snapshot:  # noqa: A001 - the contract's word
    """A fulfillment as it is now.  Raises Unmappable."""
    record = decoded(_DECODER, raw)
    if str(record.id) != provenance.upstream_id:
        reason = f"fulfillment {record.id} came as record {provenance.upstream_id}"
        raise Unmappable(reason, "$.id")
    package = _seen(record)
    canceled = package.status == "canceled"
    return Snapshot(
        scope="shipment",
        orders=(OrderRef(id=str(record.order_id)),),
        status="canceled" if canceled else None,
        status_raw=record.status,
        final=canceled or package.status == "delivered",
        created_at=instant(record.created_at, "created_at"),
        updated_at=instant(record.updated_at, "updated_at"),
        line_items=package.line_items or (),
        packages=(package,),
    )


def _seen(record: _Fulfillment) -> Seen:
    """An unknown word is kept as it is and proves nothing."""
    word = (record.status or "").strip().casefold()
    code = record.tracking_company_code
    lines = record.line_items
    return Seen(
        status=STATUSES.get(word, "pending"),
        upstream_ids=ids(fulfillment_id=str(record.id)),
        status_raw=record.status,
        carrier=carrier(record.tracking_company, None if code is None else str(code)),
        trackings=_trackings(record),
        line_items=None if lines is None else tuple(_items(lines)),
        delivered_if_seen_left=word == FINISHED,
    )


def _trackings(record: _Fulfillment) -> tuple[Tracking, ...]:
    """Each number once; newer versions list several beside the first (public: site, cli)."""
    first = _Tracking(record.tracking_number, record.tracking_url)
    told: dict[str | None, Tracking] = {}
    for shown in (first, *(record.tracking_items or ())):
        for one in tracking(shown.tracking_number, _whole(shown.tracking_url)):
            told.setdefault(one.number_normalized, one)
    numbered = tuple(one for number, one in told.items() if number)
    return numbered or tuple(told.values())


def _items(lines: list[_Line]) -> list[LineItem]:
    """`shipping_quantity` is what was sent of a line, `quantity` what was ordered where both are
    told (public: samples).
    """
    items = []
    for index, line in enumerate(lines):
        name = "quantity" if line.shipping_quantity is None else "shipping_quantity"
        count = amount(getattr(line, name), "line_items", index, name)
        items.append(
            LineItem(
                sku=line.sku or None,
                line_id=None if line.id in (None, "") else str(line.id),
                quantity=count,
                description=line.product_title or None,
                properties=_properties(line, index),
            )
        )
    return items


def _properties(line: _Line, index: int) -> msgspec.Raw:
    """What the shop itself says of a line, the first of each name; of another shape: not told."""
    found: dict[str, msgspec.Raw] = {}
    for pairs, told in ((_listed, line.properties), (_keyed, line.custom_properties)):
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            for name, value in pairs(told):
                found.setdefault(name, value)
    told = msgspec.Raw(msgspec.json.encode(found)) if found else NULL
    return verbatim(told, "line_items", index, "properties")


def _listed(told: msgspec.Raw) -> Iterable[tuple[str, msgspec.Raw]]:
    return [(one.name, one.value) for one in _LISTED.decode(told) or ()]


def _keyed(told: msgspec.Raw) -> Iterable[tuple[str, msgspec.Raw]]:
    return (_KEYED.decode(told) or {}).items()


def _whole(url: str | None) -> str | None:
    """URLs may come without their scheme (seed: `//cdn.shoplazza.com/image.jpeg`)."""
    return f"https:{url}" if url and url.startswith("//") else url
