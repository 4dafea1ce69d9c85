"""One account's breaker: while its upstream is down, one probe asks instead of every stream.

Pure: time comes as an argument, in seconds of a monotonic clock.
"""

from __future__ import annotations

from typing import Literal

FAILURES_MAX = 5  # in a row, over all streams of the account
WAIT_SECONDS_MIN = 0.05
PROBE_SECONDS_MAX = 60.0  # a probe that never reported back is given up


class Breaker:
    """closed: all go; open: none until its time; half-open: a single probe decides."""

    def __init__(self) -> None:
        self._failures = 0
        self._opens_at = 0.0
        self._probe_until: float | None = None

    @property
    def state(self) -> Literal["closed", "open", "half_open"]:
        """For people."""
        if self._failures < FAILURES_MAX:
            return "closed"
        return "open" if self._probe_until is None else "half_open"

    def claim(self, now: float) -> float:
        """0: go; else ask again after so many seconds."""
        if self._failures < FAILURES_MAX:
            return 0.0
        if now < self._opens_at:
            return self._opens_at - now
        if self._probe_until is not None and now < self._probe_until:
            return WAIT_SECONDS_MIN
        self._probe_until = now + PROBE_SECONDS_MAX
        return 0.0

    def succeeded(self) -> None:
        """The upstream answered."""
        self._failures = 0
        self._probe_until = None

    def failed(self, now: float, wait_seconds: float) -> None:
        """It did not; when open, none asks before `wait_seconds` are over."""
        self._failures += 1
        self._probe_until = None
        self._opens_at = max(self._opens_at, now + wait_seconds)
