"""Which orders are due at each target, and how many of them are being worked on.  Pure.

Times are seconds since 1970.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict

from schemas.keys import split


class Agenda:
    """Orders by their folder, the first due first."""

    def __init__(self) -> None:
        self.at_work: dict[str, set[str]] = defaultdict(set)  # by target
        self._due_at: dict[str, float] = {}
        self._heaps: dict[str, list[tuple[float, str]]] = defaultdict(list)

    def put(self, folder: str, due_at: float | None) -> None:
        """Look at the order again then; None: not before somebody says so."""
        if due_at is None:
            self._due_at.pop(folder, None)
        elif self._due_at.get(folder) != due_at:
            self._due_at[folder] = due_at
            heapq.heappush(self._heaps[target_of(folder)], (due_at, folder))

    def targets(self) -> list[str]:
        """Those that something is due at, sooner or later."""
        return list(self._heaps)

    def wait_seconds(self, target: str, now: float) -> float:
        """0: an order of it is due; infinite: none ever is."""
        heap = self._heaps[target]
        while heap and self._due_at.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        if not heap:
            del self._heaps[target]
            return math.inf
        return max(0.0, heap[0][0] - now)

    def begin(self, target: str) -> str:
        """Take the order that is due first to work; it is on the agenda no more until put again."""
        _, folder = heapq.heappop(self._heaps[target])
        del self._due_at[folder]
        self.at_work[target].add(folder)
        return folder

    def end(self, folder: str) -> None:
        """The work on it has ended."""
        self.at_work[target_of(folder)].discard(folder)

    def is_at_work(self, folder: str) -> bool:
        """Whether somebody works on it."""
        return folder in self.at_work[target_of(folder)]


def target_of(folder: str) -> str:
    """The target account that an order's folder begins with."""
    return split(folder)[0]
