"""One endpoint's breaker: while it is down, one probe asks instead of every lane.

What waits for it spends no try.  Pure: time comes as an argument, in seconds of a monotonic clock,
and so does chance.
"""

from __future__ import annotations

import math
from typing import Literal

from schemas.delivery import Outcome
from services.notifier.retries import JITTER

FAILURES_MAX = 5  # in a row, over all lanes
SLOW_FAILURES_MAX = 2  # in a row, when the first is half the longest probe wait ago
WAIT_SECONDS_MIN = 1.0  # before the first probe; doubled after each that fails

DOWN: frozenset[Outcome] = frozenset({"transient", "busy", "blocked", "untrusted"})
"""The endpoint is down, or cannot be reached; with any other answer it is there."""


class Breaker:
    """closed: all go; open: none until its time; half open: a single probe decides."""

    def __init__(self, wait_seconds_max: float) -> None:
        self._wait_seconds_max = wait_seconds_max
        self._failures = 0
        self._failing_at = 0.0  # when the first of them landed
        self._down = False
        self._probes_failed = 0
        self._opens_at = 0.0
        self._probing = False

    @property
    def state(self) -> Literal["closed", "open", "half_open"]:
        """For people."""
        if not self._down:
            return "closed"
        return "half_open" if self._probing else "open"

    def wait_seconds(self, at: float, in_flight: int) -> float:
        """0: a try may start; else ask again after so many seconds, or when one has landed.

        No probe starts beside tries from before: it alone decides.
        """
        if not self._down:
            return 0.0
        return math.inf if in_flight else max(0.0, self._opens_at - at)

    def start(self) -> None:
        """A try starts; when it is open, as the probe."""
        self._probing = self._down

    def landed(self, outcome: Outcome | None, at: float, chance: float) -> None:
        """What a try came to; None: it was given up, which says nothing of the endpoint."""
        probing, self._probing = self._probing, False
        if outcome is None:
            return
        if outcome not in DOWN:
            self._failures = self._probes_failed = 0
            self._down = False
        elif not self._down:
            self._fail(at, chance)
        elif probing:
            self._probes_failed += 1
            self._open(at, chance)

    def _fail(self, at: float, chance: float) -> None:
        """Count a failure and open when it is one too many.

        An endpoint with few events fails seldom: waiting for as many failures as a busy endpoint
        has in a second would leave it to the retry schedule, whose waits are hours.
        """
        if not self._failures:
            self._failing_at = at
        self._failures += 1
        slow = at - self._failing_at >= self._wait_seconds_max / 2
        if self._failures >= (SLOW_FAILURES_MAX if slow else FAILURES_MAX):
            self._down = True
            self._open(at, chance)

    def _open(self, at: float, chance: float) -> None:
        doublings = min(self._probes_failed, 30)
        wait_seconds = min(self._wait_seconds_max, WAIT_SECONDS_MIN * 2**doublings)
        self._opens_at = at + wait_seconds * (1 - JITTER + 2 * JITTER * chance)
