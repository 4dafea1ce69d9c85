"""Panora fulfillments: each tracking number is a package; what was sent belongs to all of them.

Facts and their marks: the panora seed and upstreams/panora.md.  Every field may be null, and
`remote_data` is whatever the provider behind Panora says: what is not understood there is as good
as not told.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
from msgspec.structs import replace

from schemas.fulfillment import PackageStatus
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
    id: Any = None
    remote_id: Any = None
    sku: Any = None
    title: Any = None
    quantity: Any = None


class _Fulfillment(msgspec.Struct):
    id: str
    remote_id: Any = None
    order_id: Any = None
    carrier: Any = None
    tracking_numbers: Any = None
    tracking_urls: Any = None
    items: msgspec.Raw = NULL
    field_mappings: msgspec.Raw = NULL
    remote_data: msgspec.Raw = NULL
    created_at: Any = None


class _Status(msgspec.Struct):
    status: str | None = None


class _Lines(msgspec.Struct):
    line_items: list[_Line] | None = None


class _Items(msgspec.Struct):
    items: list[_Line]


_DECODER = decoder(_Fulfillment)
_STATUS = msgspec.json.Decoder(_Status)
_REMOTE_LINES = decoder(_Lines)
_ITEMS = decoder(_Items)
FOREIGN = (msgspec.DecodeError, UnicodeDecodeError)  # null, or another provider's own way


def map(raw: bytes, provenance: Provenance) -> Snapshot:  # noqa: A001 - the contract's word
    """A fulfillment as it is now.  Raises Unmappable."""
    found, read = decoded(_DECODER, raw), Reading()
    if found.id != provenance.upstream_id:
        raise Unmappable(f"fulfillment {found.id} came as record {provenance.upstream_id}", "$.id")
    word = _status_raw(found.remote_data)
    items = _items(found, raw, read)
    packages = _packages(found, word, items, read)
    if len(packages) > PACKAGES_MAX:
        reason = f"{len(packages)} packages, at most {PACKAGES_MAX} are read"
        raise Unmappable(reason, "$.tracking_numbers")
    order_id = read.id(found.order_id, "order_id", of="orders")
    remote_data = found.remote_data if REMOTE_DATA in provenance.options else NULL
    return Snapshot(
        scope="shipment",
        orders=(OrderRef(id=order_id),) if order_id else (),
        status="canceled" if _plain(word) in CALLED_OFF else None,
        status_raw=word,
        created_at=read.instant(found.created_at, "created_at", of="created_at"),
        line_items=items or (),
        packages=packages,
        remote_id=read.id(found.remote_id, "remote_id", of="remote_id"),
        field_mappings=verbatim(found.field_mappings, "field_mappings"),
        remote_data=verbatim(remote_data, "remote_data"),
        unknown=read.unknown,
        degraded=read.degraded,
    )


def _packages(
    found: _Fulfillment, word: str | None, items: tuple[LineItem, ...] | None, read: Reading
) -> tuple[Seen, ...]:
    """One for each number, or one that has none yet.  Which of several holds what is not told."""
    numbered, urls, unread = _trackings(found, read)
    part = read.part()
    whole = Seen(
        status=_package_status(word, tracked=bool(numbered)),
        status_raw=word,
        carrier=carrier(part.text(found.carrier, "carrier", of="carrier")),
        trackings=(*numbered, *urls),
        line_items=items,
        unknown=part.unknown | read.unknown & {"line_items"},
    )
    unknown = whole.unknown | {"trackings", "status"}
    if len(numbered) + unread <= 1:
        return (replace(whole, unknown=unknown) if unread else whole,)
    several = replace(whole, line_items=None, unknown=part.unknown)
    hidden = replace(several, status="pending", trackings=(), unknown=unknown - {"line_items"})
    return (*(replace(several, trackings=(one,)) for one in numbered), *[hidden] * unread)


def _package_status(word: str | None, *, tracked: bool) -> PackageStatus:
    if _plain(word) in CALLED_OFF:
        return "canceled"
    return "shipped" if tracked and _plain(word) not in NOT_YET else "pending"


def _trackings(
    found: _Fulfillment, read: Reading
) -> tuple[tuple[Tracking, ...], tuple[Tracking, ...], int]:
    """Each number once, with the URL at its place; URLs without a number; unreadable numbers.

    Beside several numbers, nobody can tell which package a URL without a number is of: it is odd.
    """
    numbers, urls = _listed(found.tracking_numbers), _listed(found.tracking_urls)
    numbered: dict[str, Tracking] = {}
    bare: dict[str | None, Tracking] = {}
    unread = 0
    for index in range(max(len(numbers), len(urls))):
        part = read.part()
        told = numbers[index] if index < len(numbers) else None
        trackings = part.trackings(
            told,
            urls[index] if index < len(urls) else None,
            at=["tracking_numbers", index],
            urls_at=["tracking_urls", index],
        )
        unread += bool(part.unknown)
        for one in trackings:
            if one.number_normalized:
                numbered.setdefault(one.number_normalized, one)
            elif not part.unknown:
                bare.setdefault(one.url, one)
    if len(numbered) + unread > 1:
        for _ in bare:
            read.odd("tracking_urls", 0)
        bare = {}
    return tuple(numbered.values()), tuple(bare.values()), unread


def _listed(value: Any) -> list[Any]:
    """Return the values of an array; another value is an array of one."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _status_raw(remote_data: msgspec.Raw) -> str | None:
    try:
        return _STATUS.decode(remote_data).status
    except FOREIGN:
        return None


def _plain(word: str | None) -> str:
    return (word or "").strip().casefold()


def _items(found: _Fulfillment, raw: bytes, read: Reading) -> tuple[LineItem, ...] | None:
    """What was sent; None when it is not told.

    The provider's lines first: Panora's own `items` is mostly `{}` (public: panora code).  Lines of
    the provider without a quantity are told in its own way; where there are no others, what is
    known stays.
    """
    foreign = False
    with suppress(*FOREIGN):
        lines = _REMOTE_LINES.decode(found.remote_data).line_items
        if lines is not None:
            part = Reading("remote_data", "line_items")
            items = tuple(_item(line, part, index) for index, line in enumerate(lines))
            foreign = any(item.quantity is None for item in items)
            if not foreign:
                return items
    if bytes(found.items).lstrip()[:1] != b"[":
        if foreign:
            read.odd("remote_data", "line_items", of="line_items")
        return None
    try:
        listed = decoded(_ITEMS, raw).items
    except Unmappable:
        read.odd("items", of="line_items")
        return None
    part = read.part("items")
    return tuple(_item(line, part, index) for index, line in enumerate(listed))


def _item(line: _Line, read: Reading, index: int) -> LineItem:
    line_id = read.id(line.id, index, "id")
    return LineItem(
        sku=read.text(line.sku, index, "sku"),
        line_id=line_id or read.id(line.remote_id, index, "remote_id"),
        quantity=read.quantity(line.quantity, index, "quantity"),
        description=read.text(line.title, index, "title"),
    )
