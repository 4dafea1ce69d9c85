"""A leaky bucket: what an upstream counts requests with."""

from __future__ import annotations

from datetime import datetime


class LeakyBucket:
    """Holds `burst` requests and drains `rate` of them per second."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = 0.0
        self._looked_at: datetime | None = None

    def admits(self, now: datetime) -> bool:
        """Count one request, unless the bucket would overflow."""
        if self._looked_at is not None:
            drained = (now - self._looked_at).total_seconds() * self._rate
            self._level = max(0.0, self._level - max(0.0, drained))
        self._looked_at = now
        if self._level + 1 > self._burst:
            return False
        self._level += 1
        return True
