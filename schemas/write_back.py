"""What is to be written into another system because of an event, and what became of it.

Both stand on `write-backs`, in the partition of their target account and target order, whose owner
alone looks up, guards and calls:

- `<target>/<order>/<event id>/wanted`: a Wanted, put there with the position that passed the event
  or by an operator who asks again; it is removed once it is taken in.
- `<target>/<order>/<event id>`: the WriteBack, which only that owner writes.
"""

from __future__ import annotations

from typing import Literal

from schemas.keys import joined, split
from schemas.message import Instant, Message, Quantity, StateRecord

WANTED = "wanted"
EVENT_ID_NAME = "shipfeed_event_id"  # what a target keeps the event's id under, for all to see
OrderWay = Literal["order_number", "order_id"]
State = Literal["waiting", "sending", "unknown", "done", "held"]


class WantedItem(Message):
    """So many of a product, as the source names it; `unit` where one was told."""

    sku: str | None = None
    quantity: Quantity
    unit: str | None = None


class Wanted(StateRecord):
    """An event as far as it is written back.

    `order`: what the target's order is asked for by, in the `way` told; null when the event does
    not say it, `problem` then says why and `candidates` what there was to choose from.
    `items`: what the package holds, or what was canceled; null when the source does not say.
    `canceled_in_all`: of a cancellation, all that the fulfillment has canceled by then.
    `shipment_id`: the package's own id at its source.
    """

    subscription: str
    target: str
    way: OrderWay
    order: str | None = None
    problem: str | None = None
    candidates: tuple[str, ...] = ()
    event_id: str
    event_type: str
    event_at: Instant
    fulfillment: str
    package_id: str | None = None
    items: tuple[WantedItem, ...] | None = None
    canceled_in_all: tuple[WantedItem, ...] | None = None
    tracking_company: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None
    shipment_id: str | None = None

    @property
    def folder(self) -> str:
        """`<target>/<order>/`, which decides the partition; without an order, the fulfillment."""
        return order_folder(self.target, self.order if self.order is not None else self.fulfillment)

    @property
    def key(self) -> str:
        """Where it is wanted."""
        return self.folder + joined(self.event_id, WANTED)


class CallItem(Message):
    """A line of the target's order, and how much of it; costs are decimal strings."""

    line_id: str
    quantity: int = 0
    cancel_quantity: int = 0
    distributor_cost: str | None = None
    shipping_cost: str | None = None


class Call(Message):
    """One call, in no target's own words.

    `fulfill` makes a fulfillment or a cancellation of `order_id`; `update` gives the fulfillment
    `fulfillment_id` another tracking number.  `event_id` goes along, and is what it is found by.
    """

    kind: Literal["fulfill", "update"]
    order_id: str
    fulfillment_id: str | None = None
    event_id: str
    items: tuple[CallItem, ...] = ()
    shipment_id: str | None = None
    tracking_company: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None
    currency: str | None = None
    partner_id: str | None = None


class WriteBack(StateRecord):
    """What became of a Wanted.

    `waiting`: nothing was sent, or certainly nothing came of it; `reason` says what it waits for.
    `sending`: on Kafka before the `call` is made, at `sent_at`; whoever finds it so after a crash
    knows no more than `unknown`.  `unknown`: it may have been carried out, or may yet be; the
    target is read until that is known.  `done`: the target has it, as `fulfillment_id`; `found`
    tells that it was seen there, not answered; where `reason` says that an operator settled it,
    there may be none.  `held`: somebody has to decide; `reason` says what to do, `candidates`
    between what.
    `place` orders those of one order.  `calls` counts those that may have been carried out,
    `empty_reads` the reads since the last one, after the time it could still have been carried out
    in, that did not show it.  While it waits, a `call` is one that the target called done already,
    which the next read has to show.
    """

    wanted: Wanted
    place: int
    state: State
    reason: str | None = None
    candidates: tuple[str, ...] = ()
    call: Call | None = None
    calls: int = 0
    sent_at: Instant | None = None
    empty_reads: int = 0
    failures: int = 0
    due_at: Instant
    fulfillment_id: str | None = None
    found: bool = False
    updated_at: Instant

    @property
    def key(self) -> str:
        """Its key on the write-backs topic."""
        return self.wanted.folder + joined(self.wanted.event_id)


def order_folder(target: str, order: str) -> str:
    """`<target>/<order>/`: one call at a time among all below it."""
    return joined(target, order, "")


def is_wanted(key: str) -> bool:
    """Whether a record with this key is a Wanted, not a WriteBack."""
    parts = split(key)
    return len(parts) == 4 and parts[3] == WANTED
