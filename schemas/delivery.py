"""One event for one endpoint, its tries, and how far a subscription has come in a partition."""

from __future__ import annotations

from typing import Literal

from schemas.keys import joined
from schemas.message import Instant, StateRecord

Outcome = Literal[
    "delivered",
    "rejected",
    "redirect",
    "gone",
    "busy",
    "transient",
    "untrusted",
    "blocked",
    "interrupted",
]


class Delivery(StateRecord):
    """An unfinished delivery; a finished one is a tombstone.

    `lane` is the fulfillment key: one delivery of a lane at a time, in the order of
    `event_offset`.  `attempts` counts the tries made, and `free_attempts` those of them that cost
    no step of the retry schedule; `due_at` is when the next one may start; `failing_since` is when
    the first of them failed.  `letter_offset`: the event is read from this
    dead letter of the same partition, since it may be gone from its topic.
    """

    subscription: str
    event_id: str
    event_type: str
    event_offset: int
    event_at: Instant
    lane: str
    attempts: int = 0
    free_attempts: int = 0
    due_at: Instant
    failing_since: Instant | None = None
    letter_offset: int | None = None

    @property
    def key(self) -> str:
        """Its key on the deliveries and attempts topics."""
        return delivery_key(self.subscription, self.event_id)


class Position(StateRecord):
    """The next events offset a subscription has to look at, in one partition.

    `command` is the newest command that was carried out here.
    """

    subscription: str
    offset: int
    command: int = 0

    @property
    def key(self) -> str:
        """Its key on the deliveries topic."""
        return position_key(self.subscription)


class Attempt(StateRecord):
    """One try: append-only, written before the delivery's state moves on."""

    subscription: str
    event_id: str
    event_type: str
    event_offset: int
    number: int
    started_at: Instant
    duration_ms: int
    outcome: Outcome
    status_code: int | None = None
    detail: str | None = None
    response_body: str | None = None
    next_at: Instant | None = None


def delivery_key(subscription: str, event_id: str) -> str:
    """`subscription/event id`."""
    return joined(subscription, event_id)


def position_key(subscription: str) -> str:
    """`subscription/position`; event ids begin with `evt_`, so the two never meet."""
    return joined(subscription, "position")
