"""What a write_back subscription would send, planned as its owners do and not sent.

Every order is read once.  What would be sent counts as done for the events of the same order that
come after it, so that nothing is shown that would be more than the order has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from schemas.subscription import WriteBackChannel
from schemas.write_back import Call, Wanted, WriteBack
from services.notifier.target import Fulfilled, Part, TargetOrder, WriteTarget
from services.notifier.write_backs.files import Costs
from services.notifier.write_backs.planning import plan
from services.notifier.write_backs.verdicts import Hold, There

Outcome = Literal["send", "there", "held", "done", "waiting", "sending", "unknown", "unread"]


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What would come of one event.

    `send`: `method`, `path` and `body` of the call.  `there`: the target has it, `says` as what.
    `held`: `says` why, `candidates` between what.  `done`, `waiting`, `sending`, `unknown`: what
    was wanted before stays as it is.  `unread`: the target could not be read, `says` why.
    """

    event_id: str
    event_type: str
    event_at: datetime
    order: str | None
    outcome: Outcome
    says: str = ""
    candidates: tuple[str, ...] = ()
    method: str = ""
    path: str = ""
    body: Mapping[str, Any] | None = None


class Rehearsal:
    """Of one subscription; `known` is what stands on write-backs."""

    def __init__(
        self,
        channel: WriteBackChannel,
        costs: Costs,
        target: WriteTarget,
        known: Iterable[WriteBack],
    ) -> None:
        self._channel = channel
        self._costs = costs
        self._target = target
        self._known: dict[str, dict[str, WriteBack]] = defaultdict(dict)
        self._orders: dict[str, Sequence[TargetOrder]] = {}
        for one in known:
            self._known[one.wanted.folder][one.key] = one

    def settled(self, wanted: Wanted) -> Rehearsed | None:
        """Where nothing would be decided; None: the order has to be read, if `unseen`."""
        before = self._known[wanted.folder].get(_key(wanted))
        if before is None or before.state == "held":
            return None
        says = before.fulfillment_id if before.state == "done" else before.reason
        return told(wanted, before.state, says=says or "")

    def unseen(self, wanted: Wanted) -> bool:
        """Whether its order has not been read yet."""
        return wanted.order is not None and wanted.folder not in self._orders

    def saw(self, wanted: Wanted, orders: Sequence[TargetOrder]) -> None:
        """Its order as the target has it now."""
        self._orders[wanted.folder] = orders

    def decided(self, wanted: Wanted) -> Rehearsed:
        """What would be done, as far as is known by now."""
        orders, known = self._orders.get(wanted.folder, ()), self._known[wanted.folder]
        made = plan(wanted, orders, self._channel, self._costs, known.values())
        if isinstance(made, There):
            known[_key(wanted)] = _done(wanted, made.fulfillment_id)
            return told(wanted, "there", says=made.fulfillment_id)
        if isinstance(made, Hold):
            return told(wanted, "held", says=made.reason, candidates=made.candidates)
        fulfillment_id = made.call.fulfillment_id or f"NEW-{len(known) + 1}"
        self._orders[wanted.folder] = [
            carried_out(one, made.call, fulfillment_id) if one.id == made.call.order_id else one
            for one in orders
        ]
        known[_key(wanted)] = _done(wanted, fulfillment_id)
        method, path, body = self._target.request(made.call)
        return told(wanted, "send", method=method, path=path, body=body)


def carried_out(order: TargetOrder, call: Call, fulfillment_id: str) -> TargetOrder:
    """The order as it would be then."""
    if call.kind == "update":
        fulfilled = tuple(
            replace(one, tracking_number=call.tracking_number) if one.id == fulfillment_id else one
            for one in order.fulfilled
        )
        return replace(order, fulfilled=fulfilled)
    made = Fulfilled(
        id=fulfillment_id,
        parts=tuple(Part(one.line_id, one.quantity, one.cancel_quantity) for one in call.items),
        event_id=call.event_id,
        shipment_id=call.shipment_id,
        tracking_number=call.tracking_number,
    )
    return replace(order, fulfilled=(*order.fulfilled, made))


def told(wanted: Wanted, outcome: Outcome, **more: Any) -> Rehearsed:
    """What comes of that event."""
    return Rehearsed(
        wanted.event_id, wanted.event_type, wanted.event_at, wanted.order, outcome, **more
    )


def _key(wanted: Wanted) -> str:
    return wanted.key.rpartition("/")[0]


def _done(wanted: Wanted, fulfillment_id: str) -> WriteBack:
    return WriteBack(
        wanted=wanted,
        place=0,
        state="done",
        fulfillment_id=fulfillment_id,
        due_at=wanted.event_at,
        updated_at=wanted.event_at,
    )
