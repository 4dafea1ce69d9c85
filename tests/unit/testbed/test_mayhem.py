"""Kills and faults come from the seed."""

from __future__ import annotations

from collections import Counter

from testbed.faults import KINDS, Faults
from testbed.mayhem import STRIKE_COUNT_MAX, kills, outage, strikes

NAMES = ["status", "reset", "hang", "rate_limit_storm"]
KNOWN = {"zentail": [*NAMES, "next_token_host"], "panora": NAMES}


def test_every_service_is_killed_as_often_as_asked_and_the_seed_decides_when() -> None:
    """Sorted by time, inside the window, the same for the same seed."""
    services = ("poller", "normalizer", "notifier")
    plan = kills(7, services, each=5, copies=2, begin=2.0, end=30.0)

    assert plan == kills(7, services, each=5, copies=2, begin=2.0, end=30.0)
    assert plan != kills(8, services, each=5, copies=2, begin=2.0, end=30.0)
    assert plan == sorted(plan)
    assert {"poller": 5, "normalizer": 5, "notifier": 5} == Counter(kill.service for kill in plan)
    assert all(2.0 <= kill.at_seconds <= 30.0 and kill.copy in (0, 1) for kill in plan)


def test_every_simulator_is_struck_as_often_as_asked_and_the_seed_decides_when_and_how() -> None:
    """Sorted by time, inside the window, the same for the same seed."""
    plan = strikes(7, KNOWN, each=6, begin=2.0, end=30.0)

    assert plan == strikes(7, KNOWN, each=6, begin=2.0, end=30.0)
    assert plan != strikes(8, KNOWN, each=6, begin=2.0, end=30.0)
    assert plan == sorted(plan, key=lambda strike: strike.at_seconds)
    assert {"zentail": 6, "panora": 6} == Counter(strike.source for strike in plan)
    assert all(2.0 <= strike.at_seconds <= 30.0 for strike in plan)


def test_a_simulator_meets_what_it_knows_and_every_fault_strikes_before_one_strikes_again() -> None:
    """Five kinds, five strikes: each of them once."""
    plan = strikes(7, {"zentail": KNOWN["zentail"]}, each=5, begin=0.0, end=1.0)
    both = strikes(7, KNOWN, each=6, begin=0.0, end=1.0)

    assert set(KNOWN["zentail"]) == {strike.fault["name"] for strike in plan}
    assert all(strike.fault["name"] in KNOWN[strike.source] for strike in both)


def test_no_fault_lasts() -> None:
    """What the catalogue keeps up until it is cleared strikes a few requests, then it is over."""
    plan = strikes(7, {"zentail": list(KINDS)}, each=len(KINDS), begin=0.0, end=1.0)

    for strike in plan:
        Faults().add(dict(strike.fault))  # each is one the simulators take
        assert 1 <= strike.fault["count"] <= STRIKE_COUNT_MAX, strike


def test_the_subscriber_goes_away_early_and_the_seed_decides_when() -> None:
    """In the first half, so that there is something to deliver when it is back."""
    at_seconds = outage(7, begin=2.0, end=30.0)

    assert at_seconds == outage(7, begin=2.0, end=30.0) != outage(8, begin=2.0, end=30.0)
    assert 2.0 <= at_seconds <= 16.0
