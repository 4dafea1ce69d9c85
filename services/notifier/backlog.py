"""How many events wait behind the positions of one partition that cannot move.

Counted from the topic, at a bounded rate, so it is there again after a restart: a position that
stands still has its exact count, one that moves under backpressure up to a chunk too many, and a
chunk grows with what waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from bus.clock import Clock
from schemas.subscription import Subscription
from services.notifier.catch_up import sharers
from services.notifier.channel import way_of
from services.notifier.endpoints import Endpoints
from services.notifier.events import CHUNK_RECORDS_MAX, EventReader
from services.notifier.holdings import Holdings
from services.notifier.match import matcher_of

CHUNK_PAUSE_SECONDS = 0.2  # at most 2,500 events/s in one partition
IDLE_SECONDS = 1.0
CHUNKS_MAX = 256  # of one subscription; even


class Counted:
    """Events that match, from a position on, in chunks.  Pure."""

    def __init__(self, position: int) -> None:
        self.end = position
        self._start = position
        self._chunks: deque[tuple[int, int]] = deque()  # where each ends, and how many match
        self._added_each = 1  # so many of those added make one that is kept, all of a size
        self._added = 0

    def add(self, end: int, count: int) -> None:
        """The next chunk."""
        if self._chunks and self._added % self._added_each:
            count += self._chunks.pop()[1]
        self._chunks.append((end, count))
        self._added += 1
        self.end = end
        if len(self._chunks) == CHUNKS_MAX and not self._added % self._added_each:
            self._halve()

    def _halve(self) -> None:
        firsts, seconds = list(self._chunks)[::2], list(self._chunks)[1::2]
        pairs = zip(firsts, seconds, strict=True)
        self._chunks = deque((second[0], first[1] + second[1]) for first, second in pairs)
        self._added_each *= 2
        self._added = 0

    def move(self, position: int) -> None:
        """What the position has passed counts no more; where it went back all begins anew."""
        if position < self._start or position > self.end:
            self._chunks.clear()
            self._added_each, self._added = 1, 0
            self.end = position
        self._start = position
        while self._chunks and self._chunks[0][0] <= position:
            self._chunks.popleft()

    def __len__(self) -> int:
        return sum(count for _, count in self._chunks)


class Backlog:
    """Works on one partition; only reads.  `refused`: those that cannot be written, and why."""

    def __init__(
        self,
        holdings: Holdings,
        reader: EventReader,
        endpoints: Endpoints,
        clock: Clock,
        *,
        refused: Mapping[str, str],
    ) -> None:
        self.refused = refused
        self._holdings = holdings
        self._reader = reader
        self._endpoints = endpoints
        self._clock = clock
        self._counted: dict[str, Counted] = {}

    def count_of(self, subscription: str) -> int:
        """Events that match and wait, as far as they are counted."""
        counted = self._counted.get(subscription)
        return len(counted) if counted is not None else 0

    async def run(self) -> None:
        """Until canceled.  Raises RetryLater."""
        while True:
            counting = False
            held = {found.id: found for found in self._held()}
            self._counted = {name: one for name, one in self._counted.items() if name in held}
            for subscription in held.values():
                counting |= await self._count(subscription)
            await self._clock.sleep(CHUNK_PAUSE_SECONDS if counting else IDLE_SECONDS)

    def _held(self) -> list[Subscription]:
        """Those behind that stand still, or have no room for what comes next."""
        advancing = {found.id for found in self._endpoints.advancing()}
        sharing = sharers(self._endpoints)
        return [
            found
            for found in self._endpoints.all()
            if way_of(found) != "served"
            and self._holdings.behind(found)
            and (
                found.id not in advancing
                or found.id in self.refused
                or self._holdings.unreadable(found.id)
                or self._full(found, sharing)
            )
        ]

    def _full(self, subscription: Subscription, sharing: int) -> bool:
        delivered = way_of(subscription) == "delivered"
        return delivered and self._holdings.room(subscription.id, sharing) <= 0

    async def _count(self, subscription: Subscription) -> bool:
        """One chunk more; returns whether there may be another."""
        position = self._holdings.position(subscription)
        counted = self._counted.setdefault(subscription.id, Counted(position))
        counted.move(position)
        start = counted.end
        if start >= self._holdings.live:
            return False
        events, end = await self._reader.chunk(start, CHUNK_RECORDS_MAX)
        if end > start:
            counted.add(end, len(matcher_of(subscription).wanted(events, start)))
        return end > start
