"""What the API or an operator asks of a subscription's deliveries; key `<id>/command/<number>`.

Each owner of an events partition carries its part out in a transaction of its own and notes the
number in the subscription's position record, so a command is carried out once, also after a crash
(design 4).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.keys import joined
from schemas.message import Instant, Message, Name, StateRecord


class Recover(StateRecord):
    """Positions go back to these events offsets, where they are not further back already."""

    kind: Literal["recover"] = "recover"
    subscription: Name
    number: int
    created_at: Instant
    from_offsets: dict[int, int]


class Target(Message):
    """One event for the subscription: where it stands, or the dead letter that has its body."""

    partition: int
    event_id: str
    event_offset: int
    letter_offset: int | None = None


class Retry(StateRecord):
    """These deliveries are due now with all their tries; no `targets`: all that are unfinished.

    `force`: also what the subscription does not want, by its types and filters.
    """

    kind: Literal["retry"] = "retry"
    subscription: Name
    number: int
    created_at: Instant
    targets: tuple[Target, ...] = ()
    force: bool = False


Command = Annotated[Recover | Retry, Field(discriminator="kind")]


def command_key(subscription: str, number: int) -> str:
    """`<subscription>/command/<number>`."""
    return joined(subscription, "command", str(number))
