"""The unfinished deliveries of one partition, in lanes.  Pure: time is an argument.

A lane is one subscription's deliveries of one fulfillment, in the order of their events; one of
them at a time is tried, and the lane waits while its head does.  Lanes never wait for each other.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

Lane = tuple[str, str]


@dataclass(slots=True)
class Pending:
    """An unfinished delivery in memory: no body; all else stands in its record under `key`.

    `due_at` and `event_at` are seconds since 1970.
    """

    key: str
    subscription: str
    lane: str
    event_offset: int
    event_at: float
    due_at: float
    in_flight: bool = False


class Lanes:
    """Which deliveries may start.  Its size is bounded by whoever adds (`count_of`)."""

    def __init__(self) -> None:
        self._lanes: dict[Lane, deque[Pending]] = {}
        self._waiting: dict[str, list[tuple[float, int, Lane]]] = {}  # heads, heap by due time
        self._counts: Counter[str] = Counter()
        self._in_flight: Counter[str] = Counter()
        self._halted: set[str] = set()

    def __len__(self) -> int:
        return self._counts.total()

    def count_of(self, subscription: str) -> int:
        """Unfinished deliveries of a subscription."""
        return self._counts[subscription]

    def add(self, pending: Pending) -> None:
        """Put it at the end of its lane; events come in the order of their offsets."""
        lane = (pending.subscription, pending.lane)
        queue = self._lanes.setdefault(lane, deque())
        assert not queue or queue[-1].event_offset < pending.event_offset, "order within a lane"
        queue.append(pending)
        self._counts[pending.subscription] += 1
        if len(queue) == 1:
            self._wait(lane)

    def due(self, now: datetime, may_start: Container[str], in_flight_max: int) -> list[Pending]:
        """Heads whose time has come, now in flight: `finish` or `retry` each of them.

        Only subscriptions in `may_start`, at most `in_flight_max` at once for each.
        """
        started: list[Pending] = []
        for subscription, heap in self._waiting.items():
            if subscription not in may_start or subscription in self._halted:
                continue
            while (
                heap
                and heap[0][0] <= now.timestamp()
                and self._in_flight[subscription] < in_flight_max
            ):
                _, _, lane = heapq.heappop(heap)
                started.append(self._start(lane))
        return started

    def aged(self, event_at: datetime, count_max: int) -> list[Pending]:
        """Waiting heads whose event is from before `event_at`, now in flight, held ones too."""
        started: list[Pending] = []
        for subscription, heap in self._waiting.items():
            if subscription in self._halted:
                continue
            old = [
                entry for entry in heap if self._lanes[entry[2]][0].event_at <= event_at.timestamp()
            ][: count_max - len(started)]
            for entry in old:
                heap.remove(entry)
                started.append(self._start(entry[2]))
            heapq.heapify(heap)
        return started

    def finish(self, pending: Pending) -> None:
        """It is done, one way or the other: the next of its lane comes up."""
        lane, queue = self._landed(pending)
        queue.popleft()
        self._counts[pending.subscription] -= 1
        if queue:
            self._wait(lane)
        else:
            del self._lanes[lane]

    def retry(self, pending: Pending, due_at: datetime) -> None:
        """It keeps its place and the lane waits with it."""
        lane, _ = self._landed(pending)
        pending.due_at = due_at.timestamp()
        self._wait(lane)

    def halt(self, subscription: str) -> bool:
        """Start nothing of it until `go_on`.  Returns whether nothing of it is in flight."""
        self._halted.add(subscription)
        return not self._in_flight[subscription]

    def go_on(self, subscription: str) -> None:
        """The end of `halt`."""
        self._halted.discard(subscription)

    def renew(self, subscription: str, due_at: Mapping[str, datetime]) -> None:
        """Other due times, by key, for deliveries of a halted subscription."""
        heap = self._waiting.get(subscription, [])
        for (owner, _), queue in self._lanes.items():
            for pending in queue if owner == subscription else ():
                if pending.key in due_at:
                    pending.due_at = due_at[pending.key].timestamp()
        heap[:] = [(self._lanes[lane][0].due_at, offset, lane) for _, offset, lane in heap]
        heapq.heapify(heap)

    def next_due_at(self, may_start: Container[str], in_flight_max: int) -> float | None:
        """When `due` next has something to give, in seconds since 1970, as far as time decides."""
        heads = (
            heap[0][0]
            for subscription, heap in self._waiting.items()
            if heap
            and subscription in may_start
            and subscription not in self._halted
            and self._in_flight[subscription] < in_flight_max
        )
        return min(heads, default=None)

    def __iter__(self) -> Iterator[Pending]:
        return (pending for queue in self._lanes.values() for pending in queue)

    def _wait(self, lane: Lane) -> None:
        head = self._lanes[lane][0]
        heap = self._waiting.setdefault(lane[0], [])
        heapq.heappush(heap, (head.due_at, head.event_offset, lane))

    def _start(self, lane: Lane) -> Pending:
        head = self._lanes[lane][0]
        assert not head.in_flight, "one in flight per lane"
        head.in_flight = True
        self._in_flight[head.subscription] += 1
        return head

    def _landed(self, pending: Pending) -> tuple[Lane, deque[Pending]]:
        lane = (pending.subscription, pending.lane)
        queue = self._lanes[lane]
        assert queue[0] is pending, "only a head is tried"
        assert pending.in_flight, "only what is in flight can end"
        pending.in_flight = False
        self._in_flight[pending.subscription] -= 1
        return lane, queue
