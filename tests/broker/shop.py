"""A target in memory that sells, is fulfilled, and misbehaves as it is told to."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from bus.clock import Clock
from schemas.write_back import Call, OrderWay
from services.notifier.target import (
    Answer,
    Fulfilled,
    Line,
    Part,
    TargetOrder,
)

Fault = Literal["lost", "answer lost", "lands later", "hangs", "answer hangs", "busy", "refused"]


class Shop:
    """`faults`: what becomes of the next calls, in order; then all goes well.

    `dead`: nothing is answered until it is let go, and then as it was when it was asked.
    """

    def __init__(self, clock: Clock, *, lands_after_seconds: float = 800.0) -> None:
        self.sent = 0
        self.reads: list[str] = []
        self.calls: list[Call] = []
        self.faults: deque[Fault] = deque()
        self.unread: deque[Exception] = deque()
        self.dead = False
        self.at_once_max = 0  # requests about one order
        self.hanging = asyncio.Event()
        self._clock = clock
        self._lands_after = timedelta(seconds=lands_after_seconds)
        self._orders: dict[str, tuple[Line, ...]] = {}
        self._fulfilled: dict[str, list[Fulfilled]] = {}
        self._landing: list[tuple[datetime, Call]] = []
        self._at_once: Counter[str] = Counter()
        self._let_go = asyncio.Event()

    def sell(self, order: str, **ordered: int) -> None:
        """An order of so many of each product; more of it later adds lines."""
        lines = self._orders.get(order, ())
        more = [
            Line(f"{order}-{number}", sku, count)
            for number, (sku, count) in enumerate(ordered.items(), len(lines))
        ]
        self._orders[order] = (*lines, *more)
        self._fulfilled.setdefault(order, [])

    def fulfilled(self, order: str) -> list[Fulfilled]:
        """All that it has of an order."""
        return list(self._fulfilled[order])

    def pieces(self, order: str) -> dict[str, int]:
        """How many of each product were fulfilled."""
        skus = {line.id: line.sku for line in self._orders[order]}
        found: Counter[str] = Counter()
        for one in self._fulfilled[order]:
            found.update({skus[part.line_id]: part.quantity for part in one.parts})
        return dict(found)

    def let_go(self) -> None:
        """What hangs goes on."""
        self.dead = False
        self._let_go.set()

    async def orders(self, order: str, way: OrderWay) -> Sequence[TargetOrder]:
        """See WriteTarget."""
        self.sent += 1
        self.reads.append(order)
        if self.unread:
            raise self.unread.popleft()
        self._land()
        found = self._orders.get(order)
        shown = [] if found is None else [self._shown(order, found)]
        async with self._one_more(order):
            if self.dead:
                await self._hang()
            await asyncio.sleep(0)
        return shown

    async def order_of(self, fulfillment_id: str) -> str | None:
        """See WriteTarget."""
        for order, fulfilled in self._fulfilled.items():
            if fulfillment_id in {one.id for one in fulfilled}:
                return order
        return None

    async def call(self, call: Call) -> Answer:
        """See WriteTarget."""
        self.sent += 1
        self.calls.append(call)
        async with self._one_more(call.order_id):
            return await self._answered(call, self.faults.popleft() if self.faults else None)

    async def close(self) -> None:
        """See WriteTarget."""

    def request(self, call: Call) -> tuple[str, str, Mapping[str, Any]]:
        """See WriteTarget."""
        return "POST", "/", {"event": call.event_id}

    async def _answered(self, call: Call, fault: Fault | None) -> Answer:
        if fault == "hangs":
            await self._hang()
        if fault == "busy":
            return Answer("busy", detail="429", retry_after_seconds=1.0)
        if fault == "refused":
            return Answer("refused", detail="400 invalid_parameter")
        if fault == "lands later":
            self._landing.append((self._clock.now() + self._lands_after, call))
        if fault in ("lost", "lands later"):
            return Answer("unknown", detail="no answer")
        made = self._carry_out(call)
        if fault == "answer hangs":
            await self._hang()
        if fault == "answer lost":
            return Answer("unknown", detail="500")
        return Answer("done", made)

    def _carry_out(self, call: Call) -> str:
        of_order = self._fulfilled[call.order_id]
        made = f"ful-{call.order_id}-{len(of_order)}"
        parts = tuple(Part(one.line_id, one.quantity, one.cancel_quantity) for one in call.items)
        if call.kind == "update":
            [before] = [one for one in of_order if one.id == call.fulfillment_id]
            of_order.remove(before)
            made, parts = before.id, before.parts
        of_order.append(
            Fulfilled(made, parts, call.event_id, call.shipment_id, call.tracking_number)
        )
        return made

    def _shown(self, order: str, lines: tuple[Line, ...]) -> TargetOrder:
        return TargetOrder(order, "accepted", lines, tuple(self._fulfilled[order]))

    def _land(self) -> None:
        now = self._clock.now()
        for landing in [one for one in self._landing if one[0] <= now]:
            self._landing.remove(landing)
            self._carry_out(landing[1])

    async def _hang(self) -> None:
        self.hanging.set()
        await self._let_go.wait()

    def _one_more(self, order: str) -> _OneMore:
        return _OneMore(self, self._at_once, order)


class _OneMore:
    """A request about an order is on its way."""

    def __init__(self, shop: Shop, at_once: Counter[str], order: str) -> None:
        self._shop = shop
        self._at_once = at_once
        self._order = order

    async def __aenter__(self) -> None:
        self._at_once[self._order] += 1
        self._shop.at_once_max = max(self._shop.at_once_max, self._at_once[self._order])

    async def __aexit__(self, *_: object) -> None:
        self._at_once[self._order] -= 1
