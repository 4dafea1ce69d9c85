"""Whether a target has a package already, whoever fulfilled it.  Pure.

By its event id, which our own calls leave there; else by the shipment id, which is the package's
own; else by its tracking number.  Always with the quantities, but for the event id.

- A fulfillment made for another event with the same shipment id is the same package, told anew
  (its account was connected again under another name): it is there, and not written twice.
- One parcel number may stand on several packages.  So a fulfillment made for another package is
  not taken for this one because of its number, and one that was found to be another's counts as
  made for that.  Where it cannot be told whether it is another package, nothing is done.
- A cancellation has nothing but its event id.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas.write_back import Wanted, WriteBack
from services.notifier.target import Fulfilled, TargetOrder
from services.notifier.write_backs.lines import Counts, shipped_of, told
from services.notifier.write_backs.verdicts import Hold, There, hold
from services.notifier.write_backs.wanting import SHIPPED

COMPARE = "compare the two, and fulfill by hand what is missing"


def by_event(wanted: Wanted, orders: Iterable[TargetOrder]) -> There | None:
    """What was made for this very event, whatever is in it."""
    for order in orders:
        for one in order.fulfilled:
            if one.event_id == wanted.event_id:
                return There(one.id)
    return None


def by_contents(
    wanted: Wanted, order: TargetOrder, counts: Counts, known: Iterable[WriteBack]
) -> There | Hold | None:
    """The package as somebody else fulfilled it, or we for another event; None: it is not there."""
    shipped = [(one, shipped_of(order, one)) for one in order.fulfilled]
    shipped = [(one, contents) for one, contents in shipped if contents]
    makers = _makers(wanted, known)
    for one, contents in shipped:
        if wanted.shipment_id is not None and one.shipment_id == wanted.shipment_id:
            why = f"fulfillment {one.id} has the shipment id {one.shipment_id}"
            if contents != counts:
                why = f"{why} but {told(contents)}, where {told(counts)} shipped"
                return hold(wanted, why, COMPARE, (one.id,))
            if one.event_id is None and one.id in makers:
                why = f"{why}, but counts as that of event {makers[one.id].event_id} already"
                return hold(wanted, why, COMPARE, (one.id,))
            return There(one.id, ours=False)
    same = [one for one, contents in shipped if contents == counts and has_number(one, wanted)]
    for one in same:
        if one.event_id is None and one.id not in makers:
            return There(one.id, ours=False)
    for one in same:
        maker = makers.get(one.id) or makers.get(one.event_id or "")
        if not _is_another(wanted, one, maker):
            why = (
                f"fulfillment {one.id}, made for another event, has the number "
                f"{one.tracking_number} and the same {told(counts)}"
            )
            return hold(wanted, why, COMPARE, (one.id,))
    return None


def has_number(fulfilled: Fulfilled, wanted: Wanted) -> bool:
    """Whether it has that tracking number, however it is spelled; none is no number."""
    number = _plain(wanted.tracking_number)
    return number != "" and number == _plain(fulfilled.tracking_number)


def _makers(wanted: Wanted, known: Iterable[WriteBack]) -> dict[str, Wanted]:
    """By their event ids, and by the fulfillments that are theirs: the other packages."""
    makers: dict[str, Wanted] = {}
    for one in known:
        if one.wanted.event_type == SHIPPED and one.wanted.event_id != wanted.event_id:
            makers[one.wanted.event_id] = one.wanted
            if one.fulfillment_id is not None:
                makers[one.fulfillment_id] = one.wanted
    return makers


def _is_another(wanted: Wanted, one: Fulfilled, maker: Wanted | None) -> bool:
    """Surely another package: it has a shipment id of its own, or one record shows them both."""
    if wanted.shipment_id is not None and one.shipment_id is not None:
        return True
    return maker is not None and maker.fulfillment == wanted.fulfillment


def _plain(number: str | None) -> str:
    return "".join(char for char in number or "" if char.isalnum()).upper()
