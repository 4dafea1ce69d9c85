"""One credential's requests: a token bucket that its streams share by weight.

Pure: time comes as an argument, in seconds of a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from services.poller.answers import retry_after_seconds
from services.poller.source import Rate

WAIT_SECONDS_MIN = 0.01
RESET_SECONDS_MAX = 3600.0  # a longer silence than an hour is no rate limit but a mistake


class Budget:
    """Grants requests.  Among streams that wait, the one served least for its weight is next."""

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._tokens = rate.burst
        self._counted_at = now
        self._parked_until = now
        self._served: dict[str, float] = {}
        self._waiting: set[str] = set()
        self._level = 0.0  # the share at which the last grant was made: idling saves up nothing

    def claim(self, stream: str, weight: int, now: float) -> float:
        """0: the request is granted; else ask again after so many seconds."""
        if stream not in self._waiting:
            self._waiting.add(stream)
            self._served[stream] = max(self._served.get(stream, 0.0), self._level)
        if now < self._parked_until:
            return self._parked_until - now
        self._fill(now)
        if self._tokens < 1:
            return max(WAIT_SECONDS_MIN, (1 - self._tokens) / self._rate.per_second)
        if stream != min(self._waiting, key=lambda name: (self._served[name], name)):
            return WAIT_SECONDS_MIN
        self._tokens -= 1
        self._level = self._served[stream]
        self._served[stream] += 1 / weight
        self._waiting.discard(stream)
        return 0.0

    def leave(self, stream: str) -> None:
        """The stream waits no more."""
        self._waiting.discard(stream)

    def park(self, until: float) -> None:
        """The upstream asked for silence: nothing is granted before, and no burst after."""
        self._parked_until = max(self._parked_until, until)
        self._tokens = min(self._tokens, 1.0)

    def told(self, headers: Mapping[str, str], now: float, at: datetime) -> None:
        """Count by what the upstream says is left, where its source names the headers.

        `at` is the present instant: some tell when the limit is reset, not in how many seconds.
        """
        left = _count(headers.get(self._rate.remaining))
        if left is None:
            return
        reset = retry_after_seconds(headers.get(self._rate.reset), at, most=RESET_SECONDS_MAX)
        self._fill(now)
        self._tokens = min(self._tokens, left)
        if left < 1 and reset is not None:
            self._parked_until = max(self._parked_until, now + reset)

    def parked_seconds(self, now: float) -> float:
        """How long nothing will be granted."""
        return max(0.0, self._parked_until - now)

    def _fill(self, now: float) -> None:
        earned = (now - max(self._counted_at, self._parked_until)) * self._rate.per_second
        self._tokens = min(self._rate.burst, self._tokens + max(0.0, earned))
        self._counted_at = now


def _count(text: str | None) -> float | None:
    """A header that is a plain number."""
    return float(text) if text is not None and text.strip().isdecimal() else None
