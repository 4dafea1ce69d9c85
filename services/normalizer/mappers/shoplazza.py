"""Shoplazza fulfillments: one is one package, under all the tracking numbers it carries.

Facts and their marks: the shoplazza seed and upstreams/shoplazza.md.  The package has left when
the status says so, whatever number it already carries.  `finished` is also what some shops make
of what was never shown as shipped, so it means delivered only after `shipped` was seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec

from schemas.fulfillment import PackageStatus
from schemas.raw import Provenance
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
    version,
)
from services.normalizer.model import NULL, LineItem, OrderRef, Tracking
from services.normalizer.statuses import Statuses, plain

FINISHED = "finished"
STATUSES: Statuses[PackageStatus] = Statuses(
    {
        "waiting": "pending",
        "pending": "pending",
        "shipped": "shipped",
        FINISHED: "delivered",
        "cancelled": "canceled",
        "canceled": "canceled",
    }
)


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
    id: Any = None
    sku: Any = None
    product_title: Any = None
    quantity: Any = None
    shipping_quantity: Any = None
    properties: msgspec.Raw = NULL
    custom_properties: msgspec.Raw = NULL


class _Tracking(msgspec.Struct):
    tracking_number: Any = None
    tracking_url: Any = None


class _Fulfillment(msgspec.Struct):
    id: str | int
    order_id: str | int
    updated_at: Any = None
    status: Any = None
    created_at: Any = None
    tracking_company: Any = None
    tracking_company_code: Any = None
    tracking_number: Any = None
    tracking_url: Any = None
    tracking_items: list[_Tracking] | None = None
    line_items: list[_Line] | None = None


_Path = tuple[str | int, ...]
_DECODER = decoder(_Fulfillment)
_LISTED = msgspec.json.Decoder(list[_Property] | None)
_KEYED = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)


def map(raw: bytes, provenance: Provenance) -> Snapshot:  # noqa: A001 - the contract's word
    """A fulfillment as it is now.  Raises Unmappable."""
    record, read = decoded(_DECODER, raw), Reading()
    if str(record.id) != provenance.upstream_id:
        reason = f"fulfillment {record.id} came as record {provenance.upstream_id}"
        raise Unmappable(reason, "$.id")
    package = _seen(record, read.part())
    canceled = package.status == "canceled"
    return Snapshot(
        scope="shipment",
        orders=(OrderRef(id=str(record.order_id)),),
        status="canceled" if canceled else None,
        status_raw=package.status_raw,
        final=canceled or package.status == "delivered",
        created_at=read.instant(record.created_at, "created_at", of="created_at"),
        updated_at=_version(record),
        line_items=package.line_items or (),
        packages=(package,),
        unknown=read.unknown | _of_all(package.unknown),
        degraded=read.degraded,
    )


def _version(record: _Fulfillment) -> datetime:
    """Return what orders the record: its creation until it is edited for the first time."""
    found = version(record.updated_at or record.created_at, "updated_at")
    if found is None:
        raise Unmappable("neither updated_at nor created_at is there", "$.updated_at")
    return found


def _of_all(unknown: frozenset[str]) -> frozenset[str]:
    """What is not known of the fulfillment when this is not known of its one package."""
    found = unknown & {"status", "status_raw", "line_items"}
    return found | {"final"} if "status" in found else found


def _seen(record: _Fulfillment, read: Reading) -> Seen:
    """A word that nobody knows is kept as it is and proves nothing, nor takes anything back."""
    told = read.text(record.status, "status", of="status_raw")
    status, word = read.status(told, STATUSES, "status"), plain(told or "")
    name = read.text(record.tracking_company, "tracking_company", of="carrier")
    code = read.id(record.tracking_company_code, "tracking_company_code", of="carrier")
    lines = record.line_items
    silent = "status_raw" in read.unknown or (bool(word) and status is None)
    return Seen(
        status=status or "pending",
        upstream_ids=ids(fulfillment_id=str(record.id)),
        status_raw=told,
        carrier=carrier(name, code),
        trackings=_trackings(record, read),
        line_items=None if lines is None else tuple(_items(lines, read)),
        delivered_if_seen_left=word == FINISHED,
        unknown=read.unknown | {"status"} if silent else read.unknown,
    )


def _trackings(record: _Fulfillment, read: Reading) -> tuple[Tracking, ...]:
    """Each number once; newer versions list several beside the first (public: site, cli)."""
    first: tuple[_Path, _Tracking] = (), _Tracking(record.tracking_number, record.tracking_url)
    listed = ((("tracking_items", i), one) for i, one in enumerate(record.tracking_items or ()))
    told: dict[str | None, Tracking] = {}
    for path, shown in (first, *listed):
        for one in read.trackings(
            shown.tracking_number,
            shown.tracking_url,
            at=[*path, "tracking_number"],
            urls_at=[*path, "tracking_url"],
        ):
            told.setdefault(one.number_normalized, one)
    numbered = tuple(one for number, one in told.items() if number)
    return numbered or tuple(told.values())


def _items(lines: list[_Line], read: Reading) -> list[LineItem]:
    """`shipping_quantity` is what was sent of a line, `quantity` what was ordered where both are
    told (public: samples).
    """
    items = []
    for index, line in enumerate(lines):
        name = "quantity" if line.shipping_quantity is None else "shipping_quantity"
        path = "line_items", index
        items.append(
            LineItem(
                sku=read.text(line.sku, *path, "sku", of="line_items"),
                line_id=read.id(line.id, *path, "id"),
                quantity=read.quantity(getattr(line, name), *path, name),
                description=read.text(line.product_title, *path, "product_title"),
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
