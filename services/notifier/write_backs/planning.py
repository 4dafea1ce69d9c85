"""What is to be done about a Wanted, its order as just read from the target.  Pure.

Never a guess, since a repeat captures or cancels money: what is unclear or in the way is held.
First comes whether the target has it already, then whether the order takes anything, then which
lines it is of.

- Another tracking number is for the fulfillment that its package became, so that has to be done
  first; a fulfilled order takes it all the same.  When a later one of the package was sent, an
  earlier one is done with it.  A number that is gone stays at the target, which cannot take it
  back.
- A cancellation is what was canceled more than before.  All those of one fulfillment together are
  never more than it says are canceled by now: it may have taken some back in between, which is no
  event of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from schemas.subscription import WriteBackChannel
from schemas.write_back import Call, CallItem, OrderWay, Wanted, WriteBack
from services.notifier.target import Fulfilled, Line, TargetOrder
from services.notifier.write_backs.files import Costs, ItemCosts
from services.notifier.write_backs.finding import by_contents, by_event, has_number
from services.notifier.write_backs.lines import BY_HAND, Counts, counted, spread
from services.notifier.write_backs.verdicts import Hold, Plan, Ready, There, again, hold, place_of
from services.notifier.write_backs.wanting import ITEMS_CANCELED, SHIPPED, TRACKING_CHANGED

MATCH = "see that just one order there has it"
WORDS: Mapping[OrderWay, str] = {"order_number": "number", "order_id": "id"}


def plan(
    wanted: Wanted,
    orders: Sequence[TargetOrder],
    channel: WriteBackChannel,
    costs: Costs,
    known: Collection[WriteBack],
) -> Plan:
    """What is to be done; `known` are the WriteBacks of the same target and order.

    `costs` by SKU; they and the rest of the channel go along with what shipped, never with what
    was canceled.
    """
    if wanted.event_type == TRACKING_CHANGED:
        return _tracking(wanted, orders, known)
    if (there := by_event(wanted, orders)) is not None:
        return there
    if isinstance(order := _one(wanted, orders), Hold):
        return order
    if isinstance(counts := counted(wanted, wanted.items), Hold):
        return counts
    canceled = wanted.event_type == ITEMS_CANCELED
    found = by_contents(wanted, order, counts, known) if not canceled else None
    found = found or _refused(wanted, order) or _taken_back(wanted, counts, known)
    if found is not None:
        return found
    if isinstance(lines := spread(wanted, order, counts), Hold):
        return lines
    if canceled:
        return _cancellation(wanted, order, lines)
    return _package(wanted, order, lines, channel, costs)


def _one(wanted: Wanted, orders: Sequence[TargetOrder]) -> TargetOrder | Hold:
    if wanted.order is None:
        return _unaddressed(wanted)
    if len(orders) == 1:
        return orders[0]
    if not orders:
        return hold(wanted, f"no order there has this {WORDS[wanted.way]}", MATCH)
    found = tuple(f"{one.id} ({one.state})" for one in orders)
    return hold(wanted, f"{len(orders)} orders have it: {', '.join(found)}", MATCH, found)


def _unaddressed(wanted: Wanted) -> Hold:
    """Asked for again as it stands it would say no more: the event has to be read again."""
    why = wanted.problem or "the event names no order"
    to_do = f"have subscription {wanted.subscription} find the order and send the event again"
    return Hold(f"{place_of(wanted)}: {why}; {to_do}, or {BY_HAND}", wanted.candidates)


def _refused(wanted: Wanted, order: TargetOrder) -> Hold | None:
    if order.refused is None:
        return None
    why = f"{order.id} is {order.state}: {order.refused}"
    return Hold(f"{place_of(wanted)}: {why}; once it takes fulfillments, {again(wanted)}")


def _package(
    wanted: Wanted,
    order: TargetOrder,
    lines: Iterable[tuple[Line, int]],
    channel: WriteBackChannel,
    costs: Costs,
) -> Ready | Hold:
    items = tuple(_call_item(line, count, costs.get(line.sku)) for line, count in lines)
    costly = next((one for one in items if one.distributor_cost or one.shipping_cost), None)
    if costly is not None and channel.currency is None:
        why = f"line {costly.line_id} has costs without a currency"
        return hold(wanted, why, f"set channel.currency of subscription {wanted.subscription}")
    call = Call(
        kind="fulfill",
        order_id=order.id,
        event_id=wanted.event_id,
        items=items,
        shipment_id=wanted.shipment_id,
        tracking_company=wanted.tracking_company,
        tracking_number=wanted.tracking_number,
        tracking_url=wanted.tracking_url,
        currency=channel.currency if costly is not None else None,
        partner_id=channel.partner_id,
    )
    return Ready(call)


def _call_item(line: Line, count: int, costs: ItemCosts | None) -> CallItem:
    return CallItem(
        line_id=line.id,
        quantity=count,
        distributor_cost=costs.distributor_cost if costs is not None else None,
        shipping_cost=costs.shipping_cost if costs is not None else None,
    )


def _cancellation(wanted: Wanted, order: TargetOrder, lines: Iterable[tuple[Line, int]]) -> Ready:
    items = tuple(CallItem(line_id=line.id, cancel_quantity=count) for line, count in lines)
    call = Call(kind="fulfill", order_id=order.id, event_id=wanted.event_id, items=items)
    return Ready(call)


def _taken_back(wanted: Wanted, counts: Counts, known: Collection[WriteBack]) -> Hold | None:
    """More canceled than the newest of the events says there is by now."""
    if wanted.event_type != ITEMS_CANCELED:
        return None
    of_it = [
        one
        for one in known
        if one.wanted.event_type == ITEMS_CANCELED and one.wanted.fulfillment == wanted.fulfillment
    ]
    newest = max([wanted, *(one.wanted for one in of_it)], key=lambda one: one.event_at)
    in_all = counted(wanted, newest.canceled_in_all)
    if isinstance(in_all, Hold):
        return in_all
    written: Counter[str] = Counter()
    for one in of_it:
        if one.state == "done" and not isinstance(done := counted(wanted, one.wanted.items), Hold):
            written.update(done)
    for sku, count in counts.items():
        if written[sku] + count > in_all.get(sku, 0):
            why = (
                f"SKU {sku}: {written[sku]} canceled for earlier events and {count} more, "
                f"but the source has canceled {in_all.get(sku, 0)} in all"
            )
            return hold(wanted, why, BY_HAND)
    return None


def _tracking(wanted: Wanted, orders: Sequence[TargetOrder], known: Collection[WriteBack]) -> Plan:
    if isinstance(order := _one(wanted, orders), Hold):
        return order
    of_it = [
        one
        for one in known
        if one.wanted.package_id == wanted.package_id
        and one.wanted.fulfillment == wanted.fulfillment
    ]
    package = next((one for one in of_it if one.wanted.event_type == SHIPPED), None)
    if package is None or package.fulfillment_id is None:
        state = f"is {package.state}" if package is not None else "was never asked for"
        first = "see that its package is fulfilled there first"
        return hold(wanted, f"its package {wanted.package_id} {state}", first)
    fulfilled = _fulfilled(order, package.fulfillment_id)
    if fulfilled is None:
        why = f"its package became fulfillment {package.fulfillment_id}, which is not there"
        return hold(wanted, why, "compare what was fulfilled there with what shipped")
    if has_number(fulfilled, wanted) or _is_overtaken(wanted, of_it):
        return There(fulfilled.id)
    if wanted.tracking_number is None:
        why = f"the package has no tracking number any more, fulfillment {fulfilled.id} has "
        to_do = "a number cannot be taken back: set the right one there by hand"
        return hold(wanted, why + (fulfilled.tracking_number or "none"), to_do)
    call = Call(
        kind="update",
        order_id=order.id,
        fulfillment_id=fulfilled.id,
        event_id=wanted.event_id,
        tracking_company=wanted.tracking_company,
        tracking_number=wanted.tracking_number,
        tracking_url=wanted.tracking_url,
    )
    return Ready(call)


def _fulfilled(order: TargetOrder, fulfillment_id: str) -> Fulfilled | None:
    return next((one for one in order.fulfilled if one.id == fulfillment_id), None)


def _is_overtaken(wanted: Wanted, of_package: Iterable[WriteBack]) -> bool:
    """Whether the target has been told a later number of the package."""
    return any(
        one.state == "done"
        and one.wanted.event_type == TRACKING_CHANGED
        and one.wanted.event_at > wanted.event_at
        for one in of_package
    )
