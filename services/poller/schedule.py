"""When a stream is due next.  Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

SPREAD = 0.1  # of the interval: accounts that began together drift apart
POLL_SECONDS_MAX = 900.0  # zentail seed: "polling at least once every 15 minutes"


def next_due(started_at: datetime, interval_seconds: float, chance: float) -> datetime:
    """Start to start, up to a tenth later, never earlier; not past 15 minutes by that."""
    spread = interval_seconds * (1 + SPREAD * chance)
    if interval_seconds <= POLL_SECONDS_MAX:
        spread = min(spread, POLL_SECONDS_MAX)
    return started_at + timedelta(seconds=spread)
