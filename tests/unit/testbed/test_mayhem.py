"""Kills come from the seed."""

from __future__ import annotations

from collections import Counter

from testbed.mayhem import kills


def test_every_service_is_killed_as_often_as_asked_and_the_seed_decides_when() -> None:
    """Sorted by time, inside the window, the same for the same seed."""
    services = ("poller", "normalizer", "notifier")
    plan = kills(7, services, each=5, copies=2, begin=2.0, end=30.0)

    assert plan == kills(7, services, each=5, copies=2, begin=2.0, end=30.0)
    assert plan != kills(8, services, each=5, copies=2, begin=2.0, end=30.0)
    assert plan == sorted(plan)
    assert {"poller": 5, "normalizer": 5, "notifier": 5} == Counter(kill.service for kill in plan)
    assert all(2.0 <= kill.at_seconds <= 30.0 and kill.copy in (0, 1) for kill in plan)
