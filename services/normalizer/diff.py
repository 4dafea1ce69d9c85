"""What is to be told about a change of state: pure, before and after in, events out.

The order within a snapshot is fixed: created, tracking, contents, shipped, removed, canceled, then
the fulfillment's own, so that "all of it has left" is always last (reference C3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from pydantic import BaseModel

from schemas.events import (
    Change,
    EventData,
    FulfillmentCanceled,
    FulfillmentEvent,
    FulfillmentItemsCanceled,
    FulfillmentPartiallyShipped,
    FulfillmentReopened,
    FulfillmentShipped,
    PackageContentsChanged,
    PackageCreated,
    PackageRemoved,
    PackageShipped,
    PackageTrackingChanged,
)
from schemas.fulfillment import (
    Fulfillment,
    FulfillmentHeader,
    FulfillmentStatus,
    Package,
)
from schemas.keys import minted
from services.normalizer.evidence import contents_of

ONCE = "once"  # the discriminator of what can happen to a package only once

# Whoever is in one of these has been all shipped before: going back to shipped is no new fact.
ALL_LEFT: frozenset[FulfillmentStatus] = frozenset({"shipped", "delivered", "returned"})

_Told = tuple[type[FulfillmentEvent], Package | None, tuple[Change, ...], str | int]


def shipped_event_id(key: str, package_id: str) -> str:
    """The id of the one package.shipped a package can ever have."""
    return minted("evt", [key, package_id, PackageShipped.type, ONCE])


def diff(
    before: Fulfillment | None,
    after: Fulfillment,
    *,
    time: datetime,
    provisional: bool,
    backfill: bool,
    lines: frozenset[str] | None = None,
) -> tuple[FulfillmentEvent, ...]:
    """The events of one accepted change; `time` is when it was observed.

    Of changes to quantities only those of `lines` are told; None: of all.
    """
    header = after.header()
    return tuple(
        cls.of(
            EventData(
                fulfillment=header,
                package=package,
                changes=changes,
                provisional=provisional,
                backfill=backfill,
                echo=after.echo,
            ),
            discriminator=discriminator,
            index=index,
            time=time,
        )
        for index, (cls, package, changes, discriminator) in enumerate(
            _told(before, after, header, lines)
        )
    )


def _told(
    before: Fulfillment | None,
    after: Fulfillment,
    header: FulfillmentHeader,
    lines: frozenset[str] | None,
) -> Iterator[_Told]:
    known = {package.id: package for package in before.packages} if before else {}
    changed = [package for package in after.packages if known.get(package.id) is not package]
    contents = partial(_contents, lines=lines)
    for told in (_created, _tracking, contents, _shipped, _removed):
        for package in changed:
            yield from told(known.get(package.id), package)
    yield from _items_canceled(before, after, lines)
    yield from _entered(before.status if before else None, header)


def _created(old: Package | None, new: Package) -> Iterator[_Told]:
    if old is None:
        yield PackageCreated, new, (), ONCE


def _tracking(old: Package | None, new: Package) -> Iterator[_Told]:
    if old is None or new.status == "removed" or _numbers(old) == _numbers(new):
        return
    change = _change("trackings", old, new, _list_of(lambda package: package.trackings))
    yield PackageTrackingChanged, new, (change,), new.revision


def _contents(old: Package | None, new: Package, lines: frozenset[str] | None) -> Iterator[_Told]:
    """Also a package that comes back: what was told last is that nothing of it is there."""
    if old is None or new.status == "removed":
        return
    changes = []
    if old.status == "removed":
        changes.append(_status_change(old, new))
    if contents_of(old.line_items, lines) != contents_of(new.line_items, lines):
        changes.append(
            _change("line_items", old, new, _list_of(lambda package: package.line_items))
        )
    if changes:
        yield PackageContentsChanged, new, tuple(changes), new.revision


def _shipped(old: Package | None, new: Package) -> Iterator[_Told]:
    if new.shipped_event_id is not None and (old is None or old.shipped_event_id is None):
        yield PackageShipped, new, (_status_change(old, new),) if old else (), ONCE


def _removed(old: Package | None, new: Package) -> Iterator[_Told]:
    if old is not None and new.status == "removed" != old.status:
        yield PackageRemoved, new, (_status_change(old, new),), new.revision


def _items_canceled(
    old: Fulfillment | None, new: Fulfillment, lines: frozenset[str] | None
) -> Iterator[_Told]:
    """Of any line more than before; less of one is no fact of its own."""
    known = dict(contents_of(old.canceled_items, lines) or ()) if old else {}
    told = contents_of(new.canceled_items, lines) or ()
    if any(Decimal(count) > Decimal(known.get(product, "0")) for product, count in told):
        before = [item.model_dump(mode="json") for item in old.canceled_items] if old else []
        after = [item.model_dump(mode="json") for item in new.canceled_items]
        change = Change(field="canceled_items", before=before, after=after)
        yield FulfillmentItemsCanceled, None, (change,), new.revision


def _entered(before: FulfillmentStatus | None, header: FulfillmentHeader) -> Iterator[_Told]:
    if before == header.status:
        return
    changes = (Change(field="status", before=before, after=header.status),) if before else ()
    if header.status == "canceled":
        yield FulfillmentCanceled, None, changes, header.revision
    if _reopened(before, header):
        yield FulfillmentReopened, None, changes, header.revision
    if header.status == "partially_shipped" and not _order_had_left(before, header):
        yield FulfillmentPartiallyShipped, None, changes, header.revision
    elif header.status == "shipped" and before not in ALL_LEFT:
        yield FulfillmentShipped, None, changes, header.revision


def _reopened(before: FulfillmentStatus | None, header: FulfillmentHeader) -> bool:
    """Of shipments only what was canceled: their packages tell the rest themselves."""
    if before == "canceled":
        return True
    return header.status in ("open", "partially_shipped") and _order_had_left(before, header)


def _order_had_left(before: FulfillmentStatus | None, header: FulfillmentHeader) -> bool:
    return header.scope == "order" and before in ALL_LEFT


def _numbers(package: Package) -> set[tuple[str | None, str | None]]:
    """What counts as another tracking; spaces and hyphens do not."""
    return {(found.number_normalized, found.url) for found in package.trackings}


def _status_change(old: Package, new: Package) -> Change:
    return _change("status", old, new, lambda package: package.status)


def _change(field: str, old: Package, new: Package, value: Callable[[Package], Any]) -> Change:
    return Change(field=field, before=value(old), after=value(new))


def _list_of(
    part: Callable[[Package], tuple[BaseModel, ...] | None],
) -> Callable[[Package], list[Mapping[str, Any]] | None]:
    """A list of models as JSON values, null as it is."""

    def value(package: Package) -> list[Mapping[str, Any]] | None:
        models = part(package)
        return None if models is None else [model.model_dump(mode="json") for model in models]

    return value
