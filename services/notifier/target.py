"""THE CONTRACT of a target: a system whose orders are fulfilled from here.

A target is one module in `targets/`; its file name is the `system` of a `[[targets]]` table.  It
gives `BASE_URL`, where the system is unless the table says otherwise, and
`open_target(entry, secret, surroundings)`.  It turns neutral words into the system's and back and
makes one request at a time; when to read, when to call, and whether at all is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from schemas.write_back import Call, OrderWay


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an order: so many of a product were ordered."""

    id: str
    sku: str
    ordered: int


@dataclass(frozen=True, slots=True)
class Part:
    """So many of a line were fulfilled, so many canceled."""

    line_id: str
    quantity: int
    canceled: int


@dataclass(frozen=True, slots=True)
class Fulfilled:
    """A fulfillment or cancellation that the target has; `event_id` is told by our own ones."""

    id: str
    parts: tuple[Part, ...]
    event_id: str | None = None
    shipment_id: str | None = None
    tracking_number: str | None = None


@dataclass(frozen=True, slots=True)
class TargetOrder:
    """An order with all that was fulfilled of it; `refused`: why nothing of it may be, if so."""

    id: str
    state: str
    lines: tuple[Line, ...]
    fulfilled: tuple[Fulfilled, ...]
    refused: str | None = None


Outcome = Literal["done", "conflict", "refused", "unauthorized", "busy", "unsent", "unknown"]
"""done: it has it, as `fulfillment_id`.  conflict: it says that this is done already.  refused:
never as it stands.  unauthorized: not with this key.  busy, unsent: certainly not carried out, may
be tried again.  unknown: it may have been carried out, or may yet be.
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call; `detail` in the target's words, without secrets."""

    outcome: Outcome
    fulfillment_id: str | None = None
    detail: str | None = None
    retry_after_seconds: float | None = None


class Unread(Exception):
    """The target could not be read; `outcome` as of a call, never done or conflict."""

    def __init__(
        self, detail: str, outcome: Outcome = "unknown", retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.retry_after_seconds = retry_after_seconds


class WriteTarget(Protocol):
    """One account at a target."""

    @property
    def sent(self) -> int:
        """How many requests were made so far, by which its rate is kept."""

    async def orders(self, order: str, way: OrderWay) -> Sequence[TargetOrder]:
        """All orders of that number or id, whole: every line, every fulfillment of it.

        Raises Unread, within bounded time.
        """

    async def order_of(self, fulfillment_id: str) -> str | None:
        """Return the id of the order that a fulfillment belongs to; None: it does not exist.

        Raises Unread, within bounded time.
        """

    async def call(self, call: Call) -> Answer:
        """Make the call once, in bounded time.  Never raises but when canceled."""

    def request(self, call: Call) -> tuple[str, str, Mapping[str, Any]]:
        """Method, path and JSON body of the call: what a dry run shows."""

    async def close(self) -> None:
        """Let connections go; nothing is sent afterwards."""
