"""One seeded world: the orders of one account, living through a timeline fixed in advance.

Neutral of any upstream: a simulator renders these orders in its own shape.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any

from testbed.orders import Order
from testbed.timeline import Moment, timeline
from testbed.truth import History

ORDERS_DEFAULT = 60
DURATION_SECONDS_DEFAULT = 20.0


class World:
    """The same arguments make the same world; only `advance` moves it.

    Without a `start` nothing happens until `begin`.

    With `package_ids` off no package is ever replaced by one of equal contents, and every
    mutation can be paired by number or contents, however many of them one poll sees at once.
    """

    def __init__(
        self,
        seed: int,
        *,
        start: datetime | None,
        orders: int = ORDERS_DEFAULT,
        duration_seconds: float = DURATION_SECONDS_DEFAULT,
        source: str = "zentail",
        account: str = "acme",
        package_ids: bool = False,
    ) -> None:
        self.package_ids = package_ids
        self._seed = seed
        self._source = source
        self._order_count = orders
        self._duration_seconds = duration_seconds
        self._ends_at: datetime | None = None
        self._due: deque[Moment] = deque()
        self._orders: dict[int, Order] = {}
        self._history = History(source, account)
        if start is not None:
            self.begin(start)

    def begin(self, start: datetime) -> None:
        """Let everything happen from `start` on; once it has begun this changes nothing."""
        if self._ends_at is not None:
            return
        start = start.replace(microsecond=start.microsecond // 1000 * 1000)
        self._ends_at = start + timedelta(seconds=self._duration_seconds)
        self._due.extend(self._timeline(start))

    def _timeline(self, start: datetime) -> list[Moment]:
        return timeline(
            self._seed,
            orders=self._order_count,
            duration_seconds=self._duration_seconds,
            start=start,
            package_ids=self.package_ids,
            source=self._source,
        )

    def placed(self) -> list[Order]:
        """Every order there will ever be, as it is placed; nothing happens by it."""
        moments = self._timeline(datetime(1970, 1, 1, tzinfo=UTC))
        return [moment.order for moment in moments if moment.kind == "placed"]

    def advance(self, now: datetime) -> list[Order]:
        """Let everything due by `now` happen; the states it made, oldest first.

        `updated_at` is the instant a mutation was due, so it never lies after `now`.
        """
        made = []
        while self._due and self._due[0].order.updated_at <= now:
            order = self._due.popleft().order
            self._orders[order.number] = order
            self._history.record(order)
            made.append(order)
        return made

    def orders(self, now: datetime) -> list[Order]:
        """All orders as they are at `now`."""
        self.advance(now)
        return list(self._orders.values())

    def finished(self, now: datetime) -> bool:
        """Whether nothing more will happen."""
        return self._ends_at is not None and self.seconds_left(now) == 0 and not self._due

    def seconds_left(self, now: datetime) -> float:
        """Until the last thing happens; 0 afterwards."""
        if self._ends_at is None:
            return self._duration_seconds
        return max(0.0, (self._ends_at - now).total_seconds())

    def truth(self, now: datetime) -> dict[str, Any]:
        """What was true up to `now`; shape in testbed/truth.py."""
        self.advance(now)
        return self._history.as_truth()
