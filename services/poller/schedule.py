"""When a stream is due next.  Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

SPREAD = 0.1  # of the interval: accounts that began together drift apart
POLL_SECONDS_MAX = 900.0  # zentail seed: "polling at least once every 15 minutes"
QUIET_GROWTH = 1.25  # of the interval, for each poll in a row that brought nothing
QUIET_POLLS_MAX = 100  # counted; far beyond what any bound allows


def adapted_seconds(interval_seconds: float, interval_seconds_max: float, quiet: int) -> float:
    """The interval after so many polls in a row that brought nothing; bounds are the source's."""
    grown = interval_seconds * QUIET_GROWTH ** min(quiet, QUIET_POLLS_MAX)
    return max(interval_seconds, min(grown, interval_seconds_max))


def next_due(started_at: datetime, interval_seconds: float, chance: float) -> datetime:
    """Start to start, up to a tenth later, never earlier; not past 15 minutes by that."""
    spread = interval_seconds * (1 + SPREAD * chance)
    if interval_seconds <= POLL_SECONDS_MAX:
        spread = min(spread, POLL_SECONDS_MAX)
    return started_at + timedelta(seconds=spread)
