"""What an endpoint may be asked of: tries per second, and tries at once.

A wish holds for all copies together; each has the share of it that it has of the partitions, so
that copies need not speak to each other (design 4).  Pure: time comes as an argument, in seconds
of a monotonic clock.
"""

from __future__ import annotations

BURST_SECONDS = 1.0  # what an idle endpoint has saved up


class Bucket:
    """Tokens for tries, earned at `per_second`; at most a second's worth, and at least one."""

    def __init__(self, per_second: float, at: float) -> None:
        self._per_second = per_second
        self._tokens = self._burst
        self._counted_at = at

    def change(self, per_second: float, at: float) -> None:
        """Another rate from now on."""
        self._fill(at)
        self._per_second = per_second
        self._tokens = min(self._tokens, self._burst)

    def wait_seconds(self, at: float) -> float:
        """0: there is a token; else how long until there is."""
        self._fill(at)
        return max(0.0, (1 - self._tokens) / self._per_second)

    def take(self) -> None:
        """One token less."""
        self._tokens -= 1

    @property
    def _burst(self) -> float:
        return max(1.0, self._per_second * BURST_SECONDS)

    def _fill(self, at: float) -> None:
        self._tokens = min(self._burst, self._tokens + (at - self._counted_at) * self._per_second)
        self._counted_at = at


def share_of(count: int, owned: int, partitions: int) -> int:
    """This copy's part of a limit on tries at once; nobody is shut out, so at least one."""
    return max(1, count * owned // partitions)
