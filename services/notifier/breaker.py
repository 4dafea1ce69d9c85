"""One endpoint's breaker: while it is down, one probe asks instead of every lane.

What waits for it spends no try.  Pure: time comes as an argument, in seconds of a monotonic clock,
and so does chance.
"""

from __future__ import annotations

import math
from typing import Literal

from schemas.delivery import Outcome
from services.notifier.retries import FREE, JITTER

FAILURES_MAX = 5  # in a row, over all lanes
WAIT_SECONDS_MIN = 1.0  # before the first probe; doubled after each that fails

DOWN: frozenset[Outcome] = frozenset({"transient", "busy", "blocked", "untrusted"})
"""The endpoint is down, or cannot be reached; with any other answer it is there."""


class Breaker:
    """closed: all go; open: none until its time; half open: a single probe decides."""

    def __init__(self, wait_seconds_max: float) -> None:
        self._wait_seconds_max = wait_seconds_max
        self._failures = 0
        self._probes_failed = 0
        self._opens_at = 0.0
        self._probing = False

    @property
    def state(self) -> Literal["closed", "open", "half_open"]:
        """For people."""
        if self._failures < FAILURES_MAX:
            return "closed"
        return "half_open" if self._probing else "open"

    def wait_seconds(self, at: float, in_flight: int) -> float:
        """0: a try may start; else ask again after so many seconds, or when one has landed.

        No probe starts beside tries from before: it alone decides.
        """
        if self._failures < FAILURES_MAX:
            return 0.0
        return math.inf if in_flight else max(0.0, self._opens_at - at)

    def start(self) -> None:
        """A try starts; when it is open, as the probe."""
        self._probing = self._failures >= FAILURES_MAX

    def landed(self, outcome: Outcome | None, at: float, chance: float) -> None:
        """What a try came to; None: it was given up, which says nothing of the endpoint."""
        probing, self._probing = self._probing, False
        if outcome is None or outcome in FREE:
            return
        if outcome not in DOWN:
            self._failures = self._probes_failed = 0
        elif self._failures < FAILURES_MAX:
            self._failures += 1
            if self._failures == FAILURES_MAX:
                self._open(at, chance)
        elif probing:
            self._probes_failed += 1
            self._open(at, chance)

    def _open(self, at: float, chance: float) -> None:
        doublings = min(self._probes_failed, 30)
        wait_seconds = min(self._wait_seconds_max, WAIT_SECONDS_MIN * 2**doublings)
        self._opens_at = at + wait_seconds * (1 - JITTER + 2 * JITTER * chance)
