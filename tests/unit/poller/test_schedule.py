"""When a stream is due next."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.poller.schedule import adapted_seconds, next_due

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


@pytest.mark.parametrize(
    ("interval", "longest", "quiet", "seconds"),
    [
        (120, 300, 0, 120),
        (120, 300, 1, 150),
        (120, 300, 4, 292.97),
        (120, 300, 5, 300),
        (120, 300, 10**6, 300),
        (120, 0, 9, 120),
        (3600, 300, 9, 3600),
    ],
)
def test_an_interval_grows_while_nothing_changes(
    interval: float, longest: float, quiet: int, seconds: float
) -> None:
    """Never shorter than it was set, never longer than its bound."""
    assert adapted_seconds(interval, longest, quiet) == pytest.approx(seconds, abs=0.01)
