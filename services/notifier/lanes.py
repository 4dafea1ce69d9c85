"""The unfinished deliveries of one partition, in lanes.  Pure: time is an argument.

A lane is one subscription's deliveries of one fulfillment, in the order of their events; one of
them at a time is tried, and the lane waits while its head does.  Lanes never wait for each other.
Where a subscription is unordered, the deliveries of a lane do not wait for each other either.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime

Entry = tuple[float, int, str]
STALE_ENTRIES_MAX = 64  # beside one for each delivery, before a heap is built anew
SPREAD_SECONDS_EACH = 0.05  # between deliveries that are brought forward together
SPREAD_SECONDS_MAX = 5.0  # from the first of them to the last
EARLY_WAIT_SECONDS_MIN = 1.0  # before the second try ahead of its time; doubled for each after it

Claim = Callable[[str, float], float]
"""(subscription, seconds until its first delivery is due) -> 0: that one may start now, and is
counted; else ask again in so many seconds.
"""


@dataclass(slots=True)
class Pending:
    """An unfinished delivery in memory: no body; all else stands in its record under `key`.

    `event_at` and `due_at` are seconds since 1970; `attempts` were made already.  `planned_at`: its
    next try was brought forward from then; `early_tries` of those have failed.
    """

    key: str
    subscription: str
    lane: str
    event_offset: int
    event_at: float
    due_at: float
    attempts: int = 0
    letter_offset: int | None = None
    in_flight: bool = False
    planned_at: float | None = None
    early_tries: int = 0

    def early_at(self, now: float, wait_seconds_max: float) -> float:
        """When its next try ahead of its time may start.

        At once; after early tries that failed only after a wait that doubles, so that an event that
        always fails is not tried in a circle while its endpoint comes and goes.
        """
        if not self.early_tries:
            return now
        doublings = min(self.early_tries - 1, 30)
        return now + min(wait_seconds_max, EARLY_WAIT_SECONDS_MIN * 2.0**doublings)


@dataclass(slots=True)
class _Lane:
    """`waiting` by event offset, without those in flight."""

    waiting: list[Pending] = field(default_factory=list)
    in_flight: int = 0


class Lanes:
    """Which deliveries may start.  Its size is bounded by whoever adds (`count_of`)."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}
        self._unordered: Collection[str] = frozenset()
        self._halted: set[str] = set()
        self._held: set[str] = set()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Pending]:
        return (pending for queue in self._queues.values() for pending in queue.pending.values())

    def count_of(self, subscription: str) -> int:
        """Unfinished deliveries of a subscription."""
        queue = self._queues.get(subscription)
        return len(queue.pending) if queue else 0

    def waiting_of(self, subscription: str) -> int:
        """Those of them that are not in flight."""
        queue = self._queues.get(subscription)
        return len(queue.pending) - queue.in_flight if queue else 0

    def subscriptions(self) -> list[str]:
        """Those with unfinished deliveries."""
        return [name for name, queue in self._queues.items() if queue.pending]

    def get(self, subscription: str, key: str) -> Pending | None:
        """The unfinished delivery of this key."""
        queue = self._queues.get(subscription)
        return queue.pending.get(key) if queue else None

    def let_unordered(self, subscriptions: Collection[str]) -> None:
        """Whose deliveries do not wait for each other from now on; all others' do.

        What is in flight stays so: an ordered lane goes on when the last of it has landed.
        """
        self._unordered = subscriptions
        # Told whenever subscriptions change: also the time to forget those that have nothing.
        self._queues = {name: queue for name, queue in self._queues.items() if queue.pending}
        for name, queue in self._queues.items():
            queue.let(ordered=name not in subscriptions)

    def add(self, pending: Pending) -> None:
        """Put it into its lane by the offset of its event, before what waits there and is newer."""
        queue = self._queues.get(pending.subscription)
        if queue is None:
            queue = _Queue(ordered=pending.subscription not in self._unordered)
            self._queues[pending.subscription] = queue
        assert pending.key not in queue.pending, "an unfinished delivery is not begun again"
        queue.add(pending)
        self._count += 1

    def due(self, now: float, claim: Claim) -> tuple[list[Pending], float]:
        """Deliveries that start now, in flight from here on: `finish` or `retry` each of them.

        With them the seconds until there may be more, as far as time decides; `now` is seconds
        since 1970.
        """
        started: list[Pending] = []
        wait_seconds = math.inf
        for subscription, queue in self._queues.items():
            if subscription in self._halted or subscription in self._held:
                continue
            while (first := queue.first()) is not None:
                if not (seconds := claim(subscription, max(0.0, first.due_at - now))):
                    started.append(queue.start(first))
                    continue
                wait_seconds = min(wait_seconds, seconds)
                break
        return started, wait_seconds

    def aged(self, event_at: datetime, count_max: int) -> list[Pending]:
        """Waiting deliveries whose turn it is and whose event is from before `event_at`, now in
        flight, held ones too.
        """
        limit = event_at.timestamp()
        started: list[Pending] = []
        for subscription, queue in self._queues.items():
            if subscription in self._halted:
                continue
            old = [one for one in queue.eligible() if one.event_at <= limit]
            started += [queue.start(one) for one in old[: count_max - len(started)]]
        return started

    def finish(self, pending: Pending) -> None:
        """It is done, one way or the other: the next of its lane comes up."""
        self._queues[pending.subscription].finish(pending)
        self._count -= 1

    def retry(self, pending: Pending, due_at: float) -> None:
        """It goes back to its place and the lane waits with it."""
        pending.planned_at = None
        self._queues[pending.subscription].retry(pending, due_at)

    def bring_forward(
        self,
        subscription: str,
        now: float,
        *,
        chance: float,
        wait_seconds_max: float,
        which: Callable[[Pending], bool] = lambda _: True,
    ) -> int:
        """Make due now what waits for a later try, the oldest event first; return how many.

        They are spread over some seconds, from a start that `chance` in [0, 1) moves; none waits
        for longer than `wait_seconds_max` beside that.
        """
        if (queue := self._queues.get(subscription)) is None:
            return 0
        waiting = [one for one in queue.planned(now) if which(one)]
        spread_seconds = min(SPREAD_SECONDS_MAX, SPREAD_SECONDS_EACH * len(waiting))
        for number, one in enumerate(waiting):
            planned_at = one.due_at if one.planned_at is None else one.planned_at
            due_at = one.early_at(now, wait_seconds_max)
            due_at += spread_seconds * (number + chance) / len(waiting)
            early = due_at < planned_at
            one.due_at, one.planned_at = (due_at, planned_at) if early else (planned_at, None)
        queue.let_due(waiting)
        return len(waiting)

    def halt(self, subscription: str) -> bool:
        """Start nothing of it until `go_on`.  Returns whether nothing of it is in flight."""
        self._halted.add(subscription)
        queue = self._queues.get(subscription)
        return not (queue and queue.in_flight)

    def hold(self, subscription: str) -> None:
        """Start none of its deliveries; what is about to expire is still set aside."""
        self._held.add(subscription)

    def go_on(self, subscription: str) -> None:
        """The end of `halt`."""
        self._halted.discard(subscription)

    def renew(self, pending: Pending, due_at: float) -> None:
        """All its tries again and the next one at `due_at`; in flight: from its landing on."""
        pending.attempts = 0
        pending.planned_at, pending.early_tries = None, 0
        if not pending.in_flight:
            self._queues[pending.subscription].put_off(pending, due_at)

    def drop(self, subscription: str) -> None:
        """Forget what waits; what is in flight ends as it ends."""
        if (queue := self._queues.get(subscription)) is not None:
            self._count -= queue.drop()


class _Queue:
    """One subscription's lanes, and by time what may start of them.

    An entry of the heap counts while it is its delivery's turn at that very time; others are
    passed over, which costs less than to look for them.
    """

    def __init__(self, *, ordered: bool) -> None:
        self.pending: dict[str, Pending] = {}
        self.in_flight = 0
        self._ordered = ordered
        self._lanes: dict[str, _Lane] = {}
        self._heap: list[Entry] = []

    def let(self, *, ordered: bool) -> None:
        if ordered != self._ordered:
            self._ordered = ordered
            self._build_heap()

    def add(self, pending: Pending) -> None:
        self.pending[pending.key] = pending
        lane = self._lanes.setdefault(pending.lane, _Lane())
        insort(lane.waiting, pending, key=_offset)
        if self._may_start(pending):
            self._push(pending)

    def first(self) -> Pending | None:
        """Of those whose turn it is the one that is due first."""
        heap = self._heap
        while heap:
            due_at, _, key = heap[0]
            found = self.pending.get(key)
            if found is not None and found.due_at == due_at and self._may_start(found):
                return found
            heapq.heappop(heap)
        return None

    def eligible(self) -> list[Pending]:
        """All whose turn it is, whenever they are due."""
        found: list[Pending] = []
        for lane in self._lanes.values():
            if not self._ordered:
                found += lane.waiting
            elif lane.waiting and not lane.in_flight:
                found.append(lane.waiting[0])
        return found

    def start(self, pending: Pending) -> Pending:
        assert self._may_start(pending), "one in flight per ordered lane"
        lane = self._lanes[pending.lane]
        del lane.waiting[_place(lane, pending)]
        lane.in_flight += 1
        self.in_flight += 1
        pending.in_flight = True
        return pending

    def finish(self, pending: Pending) -> None:
        lane = self._landed(pending)
        del self.pending[pending.key]
        if lane.waiting:
            self._come_up(lane)
        elif not lane.in_flight:
            del self._lanes[pending.lane]

    def retry(self, pending: Pending, due_at: float) -> None:
        lane = self._landed(pending)
        pending.due_at = due_at
        insort(lane.waiting, pending, key=_offset)
        if self._ordered:
            self._come_up(lane)
        else:
            self._push(pending)

    def put_off(self, pending: Pending, due_at: float) -> None:
        pending.due_at = due_at
        if self._may_start(pending):
            self._push(pending)

    def planned(self, now: float) -> list[Pending]:
        """What waits for a later try, or waited for one before it was brought forward."""
        waiting = (one for one in self.pending.values() if not one.in_flight)
        later = [one for one in waiting if one.due_at > now or one.planned_at is not None]
        return sorted(later, key=_offset)

    def let_due(self, changed: Collection[Pending]) -> None:
        """Their times were changed."""
        if changed:
            self._build_heap()

    def drop(self) -> int:
        """Returns how many it forgot."""
        before = len(self.pending)
        self.pending = {key: one for key, one in self.pending.items() if one.in_flight}
        for name, lane in list(self._lanes.items()):
            lane.waiting.clear()
            if not lane.in_flight:
                del self._lanes[name]
        self._heap.clear()
        return before - len(self.pending)

    def _may_start(self, pending: Pending) -> bool:
        if pending.in_flight:
            return False
        lane = self._lanes[pending.lane]
        return not self._ordered or (not lane.in_flight and lane.waiting[0] is pending)

    def _come_up(self, lane: _Lane) -> None:
        if self._ordered and not lane.in_flight:
            self._push(lane.waiting[0])

    def _landed(self, pending: Pending) -> _Lane:
        assert pending.in_flight, "only what is in flight can end"
        pending.in_flight = False
        self.in_flight -= 1
        lane = self._lanes[pending.lane]
        lane.in_flight -= 1
        return lane

    def _push(self, pending: Pending) -> None:
        heapq.heappush(self._heap, _entry(pending))
        if len(self._heap) > 2 * len(self.pending) + STALE_ENTRIES_MAX:
            self._build_heap()

    def _build_heap(self) -> None:
        self._heap = [_entry(one) for one in self.eligible()]
        heapq.heapify(self._heap)


def _entry(pending: Pending) -> Entry:
    return (pending.due_at, pending.event_offset, pending.key)


def _offset(pending: Pending) -> tuple[int, str]:
    return (pending.event_offset, pending.key)


def _place(lane: _Lane, pending: Pending) -> int:
    return bisect_left(lane.waiting, _offset(pending), key=_offset)
