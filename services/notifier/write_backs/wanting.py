"""What of an event is to be written back: which order, what of it, under which number.  Pure.

Written back are a package that left, another tracking number of it, and a cancellation.  Nothing
is ever taken back: a target has no call for that.  So `package.shipment_retracted` is not among
them, and a package that is removed, canceled or withdrawn after it left stays fulfilled there, or
is still fulfilled if its turn had not come; people have to settle that with the target themselves.

A target takes one tracking number, so the first that the package has is sent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from pydantic import TypeAdapter

from bus.partitioning import partition_of
from schemas.events import (
    Envelope,
    EventData,
    FulfillmentItemsCanceled,
    PackageShipped,
    PackageTrackingChanged,
)
from schemas.fulfillment import COMMON_KINDS, PLACES_MAX, LineItem, OrderRef, Package, Tracking
from schemas.message import EXACT, parse_instant, quantity
from schemas.subscription import WriteBackChannel
from schemas.write_back import OrderWay, Wanted, WantedItem

SHIPPED = PackageShipped.type
TRACKING_CHANGED = PackageTrackingChanged.type
ITEMS_CANCELED = FulfillmentItemsCanceled.type
WRITTEN_BACK = (SHIPPED, TRACKING_CHANGED, ITEMS_CANCELED)
"""All that a subscription may name in `types`, each by its full name."""

CANCELED_ITEMS = "canceled_items"  # the field that such an event's change is of

_Product = tuple[str | None, str | None]  # SKU, unit

_LINE_ITEMS = TypeAdapter(tuple[LineItem, ...])


def way_of(channel: WriteBackChannel) -> OrderWay:
    """What the target's orders are asked for by; a map leads to their ids."""
    return "order_number" if channel.order == "order_number" else "order_id"


def partition(wanted: Wanted, count: int) -> int:
    """Of the write-backs topic: 0 <= n < count, the same for all of one order of one target."""
    return partition_of(wanted.folder, count)


def wanted_of(
    envelope: Envelope,
    subscription: str,
    channel: WriteBackChannel,
    order_ids: Mapping[str, str] | None = None,
) -> Wanted | None:
    """The event as it is written back for `subscription`; None: nothing of it is to be.

    That is another tracking number of a package that has not left: its package.shipped will tell
    the number that it has by then.
    `order_ids` is the map that `channel.order` names, from order numbers to the target's ids.
    Raises ValueError for an event of another type, or with data that are not ours.
    """
    if envelope.type not in WRITTEN_BACK:
        raise ValueError(f"{envelope.type} is none of {', '.join(WRITTEN_BACK)}")
    data = EventData.model_validate_json(envelope.data)
    package = data.package
    if envelope.type == TRACKING_CHANGED and (package is None or package.shipped_event_id is None):
        return None
    order, problem, candidates = _order(data.fulfillment.orders, channel, order_ids)
    if problem is None and (problem := _unordered(data)) is not None:
        order = None
    items, in_all = _canceled(data) if envelope.type == ITEMS_CANCELED else (_held(package), None)
    return Wanted(
        subscription=subscription,
        target=channel.target,
        way=way_of(channel),
        order=order,
        problem=problem,
        candidates=candidates,
        event_id=envelope.id,
        event_type=envelope.type,
        event_at=parse_instant(envelope.attributes["time"]),
        fulfillment=envelope.key,
        package_id=package.id if package else None,
        items=items,
        canceled_in_all=in_all,
        shipment_id=_shipment_id(package),
        **_tracking(package),
    )


def _order(
    orders: Iterable[OrderRef], channel: WriteBackChannel, order_ids: Mapping[str, str] | None
) -> tuple[str | None, str | None, tuple[str, ...]]:
    """What the order is asked for by; or why there is nothing, and what there was."""
    known = list(dict.fromkeys(orders))
    if not known:
        return None, "the event names no order", ()
    numbers = tuple(one.number if one.number is not None else one.id for one in known)
    if len(known) > 1:
        return None, f"the event names {len(known)} orders, and not what is of which", numbers
    if channel.order == "order_id":
        return known[0].id, None, ()
    if channel.order == "order_number":
        return numbers[0], None, ()
    found = (order_ids or {}).get(numbers[0])
    if found is None:
        return None, f"order {numbers[0]} is not in the map {channel.order}", numbers
    return found, None, ()


def _unordered(data: EventData) -> str | None:
    """Return why the order is unknown although the event names one; None where it is known.

    A source that names the order of each line names none of a line whose order it cannot tell, and
    that line may be of another order.
    """
    items = data.package.line_items or () if data.package else _canceled_items(data)
    orders = {one.id for one in data.fulfillment.orders}
    strange = [one for one in items if one.order_id is not None and one.order_id not in orders]
    silent = [one for one in items if one.order_id is None]
    if strange:
        return f"a line is of order {strange[0].order_id}, which the event does not name"
    if silent and len(silent) < len(items):
        return f"the source does not say which order {len(silent)} of {len(items)} lines are of"
    return None


def _canceled_items(data: EventData) -> tuple[LineItem, ...]:
    told = [one.after or () for one in data.changes if one.field == CANCELED_ITEMS]
    return tuple([item for value in told for item in _LINE_ITEMS.validate_python(value)])


def _shipment_id(package: Package | None) -> str | None:
    """Return the id that names the package, and no other one of its order; None without any.

    The number of a container is on all that is in it, and a place in a list goes from one package
    to the next.
    """
    if package is None:
        return None
    told = [one.id for one in package.upstream_ids if one.kind not in COMMON_KINDS]
    if not package.upstream_ids and package.upstream_id is not None:
        told = [package.upstream_id]
    return next((one for one in told if not _is_place(one)), None)


def _is_place(own_id: str) -> bool:
    short = own_id.isascii() and own_id.isdigit() and len(own_id) <= len(str(PLACES_MAX))
    return short and int(own_id) <= PLACES_MAX


def _held(package: Package | None) -> tuple[WantedItem, ...] | None:
    """What the package holds; None when the source does not say how many there are of it all."""
    if package is None or package.line_items is None:
        return None
    items = [
        WantedItem(sku=item.sku, quantity=item.quantity, unit=item.unit)
        for item in package.line_items
        if item.quantity is not None
    ]
    return tuple(items) if len(items) == len(package.line_items) else None


def _canceled(
    data: EventData,
) -> tuple[tuple[WantedItem, ...] | None, tuple[WantedItem, ...] | None]:
    """What was canceled more than before, and what is canceled in all; of each product.

    What was only moved from one line to another is no more of the product.  None: the source does
    not say how many of something are canceled.
    """
    told = [change for change in data.changes if change.field == CANCELED_ITEMS]
    before = _by_product(change.before for change in told)
    after = _by_product(change.after for change in told)
    if before is None or after is None:
        return None, None
    more = {
        product: EXACT.subtract(count, before.get(product, Decimal(0)))
        for product, count in after.items()
    }
    return _wanted_items(more), _wanted_items(after)


def _by_product(values: Iterable[Any]) -> dict[_Product, Decimal] | None:
    counts: dict[_Product, Decimal] = defaultdict(Decimal)
    for value in values:
        for item in _LINE_ITEMS.validate_python(value or ()):
            if item.quantity is None:
                return None
            product = item.sku, item.unit
            counts[product] = EXACT.add(counts[product], Decimal(item.quantity))
    return counts


def _wanted_items(counts: Mapping[_Product, Decimal]) -> tuple[WantedItem, ...]:
    return tuple(
        WantedItem(sku=sku, unit=unit, quantity=quantity(count))
        for (sku, unit), count in counts.items()
        if count > 0
    )


def _tracking(package: Package | None) -> dict[str, str | None]:
    if package is None:
        return {}
    first = next((one for one in package.trackings if one.number), Tracking())
    carrier = package.carrier
    return {
        "tracking_company": (carrier.name_raw or carrier.code) if carrier is not None else None,
        "tracking_number": first.number,
        "tracking_url": first.url,
    }
