"""Panora fulfillments: each tracking number is a package; what was sent belongs to all of them.

Facts and their marks: the panora seed and upstreams/panora.md.  Every field may be null, and
`remote_data` is whatever the provider behind Panora says: what is not understood there is as good
as not told.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from schemas.fulfillment import PackageStatus
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
    instant,
    tracking,
    verbatim,
)
from services.normalizer.model import NULL, LineItem, OrderRef, Tracking

# The provider's words (assumed: Shopify's). With any other one a tracking number is enough.
NOT_YET = frozenset({"pending", "open"})
CALLED_OFF = frozenset({"cancelled", "canceled", "error", "failure"})


REMOTE_DATA = "remote_data"  # the account's setting: the provider's own record goes with the state
LEAVES = Leaves(
    mapped="""remote_id=remote_id order_id=orders carrier=packages.carrier
    tracking_numbers[]=packages.trackings.number tracking_urls[]=packages.trackings.url
    items[].remote_id=line_items.line_id items[].id=line_items.line_id items[].sku=line_items.sku
    items[].title=line_items.description items[].quantity=line_items.quantity
    field_mappings*=field_mappings created_at=created_at remote_data*=remote_data""",
    derived="id=upstream_id",
    kept="modified_at items*",
)


class _Line(msgspec.Struct):
    id: str | int | None = None
    remote_id: str | int | None = None
    sku: str | None = None
    title: str | None = None
    quantity: Decimal | None = None


class _Fulfillment(msgspec.Struct):
    id: str
    remote_id: str | int | None = None
    order_id: str | None = None
    carrier: str | None = None
    tracking_numbers: list[str | None] | None = None
    tracking_urls: list[str | None] | None = None
    items: msgspec.Raw = NULL
    field_mappings: msgspec.Raw = NULL
    remote_data: msgspec.Raw = NULL
    created_at: str | None = None


class _Status(msgspec.Struct):
    status: str | None = None


class _Lines(msgspec.Struct):
    line_items: list[_Line] | None = None


class _Items(msgspec.Struct):
    items: list[_Line]


_DECODER = msgspec.json.Decoder(_Fulfillment)
_STATUS = msgspec.json.Decoder(_Status)
_REMOTE_LINES = msgspec.json.Decoder(_Lines)
_ITEMS = msgspec.json.Decoder(_Items)
FOREIGN = (msgspec.DecodeError, UnicodeDecodeError)  # null, or another provider's own way


def map(raw: bytes, provenance: Provenance) -> Snapshot:  # noqa: A001 - the contract's word
    """A fulfillment as it is now.  Raises Unmappable."""
    found = decoded(_DECODER, raw)
    if found.id != provenance.upstream_id:
        raise Unmappable(f"fulfillment {found.id} came as record {provenance.upstream_id}", "$.id")
    trackings = _trackings(found)
    if len(trackings) > PACKAGES_MAX:
        reason = f"{len(trackings)} packages, at most {PACKAGES_MAX} are read"
        raise Unmappable(reason, "$.tracking_numbers")
    word = _status_raw(found.remote_data)
    items = _items(found, raw)
    remote_data = found.remote_data if REMOTE_DATA in provenance.options else NULL
    return Snapshot(
        scope="shipment",
        orders=(OrderRef(id=found.order_id),) if found.order_id else (),
        status="canceled" if _plain(word) in CALLED_OFF else None,
        status_raw=word,
        created_at=instant(found.created_at, "created_at"),
        line_items=items or (),
        packages=_packages(found, trackings, word, items),
        remote_id=None if found.remote_id in (None, "") else str(found.remote_id),
        field_mappings=verbatim(found.field_mappings, "field_mappings"),
        remote_data=verbatim(remote_data, "remote_data"),
    )


def _packages(
    found: _Fulfillment,
    trackings: tuple[Tracking, ...],
    word: str | None,
    items: tuple[LineItem, ...] | None,
) -> tuple[Seen, ...]:
    """One for each number, or one that has none yet.  Which of several holds what is not told."""
    status = _package_status(word, tracked=bool(trackings))
    return tuple(
        Seen(
            status=status,
            status_raw=word,
            carrier=carrier(found.carrier),
            trackings=(one,) if one else (),
            line_items=items if len(trackings) <= 1 else None,
        )
        for one in trackings or (None,)
    )


def _package_status(word: str | None, *, tracked: bool) -> PackageStatus:
    if _plain(word) in CALLED_OFF:
        return "canceled"
    return "shipped" if tracked and _plain(word) not in NOT_YET else "pending"


def _trackings(found: _Fulfillment) -> tuple[Tracking, ...]:
    """Each number once, with the URL at its place; URLs without a number are passed over."""
    urls = found.tracking_urls or []
    trackings: dict[str | None, Tracking] = {}
    for index, number in enumerate(found.tracking_numbers or []):
        for one in tracking(number, urls[index] if index < len(urls) else None):
            if one.number_normalized:
                trackings.setdefault(one.number_normalized, one)
    return tuple(trackings.values())


def _status_raw(remote_data: msgspec.Raw) -> str | None:
    try:
        return _STATUS.decode(remote_data).status
    except FOREIGN:
        return None


def _plain(word: str | None) -> str:
    return (word or "").strip().casefold()


def _items(found: _Fulfillment, raw: bytes) -> tuple[LineItem, ...] | None:
    """What was sent; None when it is not told.

    The provider's lines first: Panora's own `items` is mostly `{}` (public: panora code).
    """
    try:
        lines = _REMOTE_LINES.decode(found.remote_data).line_items
        if lines is not None:
            return tuple(_item(line, "remote_data", i) for i, line in enumerate(lines))
    except (*FOREIGN, Unmappable):
        pass
    if bytes(found.items).lstrip()[:1] != b"[":
        return None
    listed = decoded(_ITEMS, raw).items
    return tuple(_item(line, "items", index) for index, line in enumerate(listed))


def _item(line: _Line, *path: str | int) -> LineItem:
    number = line.id if line.id is not None else line.remote_id
    return LineItem(
        sku=line.sku or None,
        line_id=None if number in (None, "") else str(number),
        quantity=amount(line.quantity, *path, "quantity"),
        description=line.title or None,
    )
