"""When a stream is due next."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.poller.schedule import next_due

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("interval", "chance", "seconds"),
    [(120, 0.0, 120), (120, 0.5, 126), (900, 0.9, 900), (850, 1.0, 900), (3600, 0.5, 3780)],
)
def test_polls_are_two_to_fifteen_minutes_apart(
    interval: float, chance: float, seconds: float
) -> None:
    """Zentail seed: "at least once every 15 minutes and as fast as once every 2 minutes"."""
    assert (next_due(NOW, interval, chance) - NOW).total_seconds() == pytest.approx(seconds)
