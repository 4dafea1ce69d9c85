"""When to harm what, from a seed: pure, so that a bad run can be played again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from testbed.faults import KINDS

STRIKE_COUNT_MAX = 2  # requests in a row that meet one fault
OUTAGE_SECONDS = 12.0  # long enough for several probes
STRIKE_SECONDS_MAX = 2.0  # what a fault is late by, where the catalogue does not say


@dataclass(frozen=True, slots=True, order=True)
class Kill:
    """SIGKILL for copy `copy` (from 0) of `service`, so many seconds after the start."""

    at_seconds: float
    service: str
    copy: int


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault for one simulator to meet, so many seconds after the start."""

    at_seconds: float
    source: str
    fault: Mapping[str, Any]


def kills(
    seed: int, services: Sequence[str], *, each: int, copies: int, begin: float, end: float
) -> list[Kill]:
    """`each` kills of every service at random moments between `begin` and `end`, in order."""
    chance = Random(f"kills {seed}")
    return sorted(
        Kill(chance.uniform(begin, end), service, chance.randrange(copies))
        for service in services
        for _ in range(each)
    )


def strikes(
    seed: int, known: Mapping[str, Sequence[str]], *, each: int, begin: float, end: float
) -> list[Strike]:
    """`each` faults for every source between `begin` and `end`, in order.

    `known` are the faults that a source's simulator can carry out. They are dealt from one
    shuffled deck, so that no fault strikes twice before all have struck somewhere.
    """
    chance = Random(f"strikes {seed}")
    deck = [name for name in KINDS if any(name in names for names in known.values())]
    chance.shuffle(deck)
    left = list(deck)
    found = []
    for source in (source for _ in range(each) for source in sorted(known)):
        name = next((name for name in left if name in known[source]), None)
        if name is None:
            left += deck
            name = next(name for name in left if name in known[source])
        left.remove(name)
        found.append(Strike(chance.uniform(begin, end), source, _fault(name, chance)))
    return sorted(found, key=lambda strike: (strike.at_seconds, strike.source))


def outage(seed: int, *, begin: float, end: float) -> float:
    """When the subscriber goes away for `OUTAGE_SECONDS`: early, while there is much to deliver."""
    return Random(f"outage {seed}").uniform(begin, (begin + end) / 2)


def _fault(name: str, chance: Random) -> dict[str, Any]:
    """One that goes by: never until it is cleared, as some of the catalogue would."""
    fault: dict[str, Any] = {"name": name, "count": chance.randint(1, STRIKE_COUNT_MAX)}
    seconds = round(chance.uniform(0, STRIKE_SECONDS_MAX), 2)
    return fault if "seconds" in KINDS[name].preset else {**fault, "seconds": seconds}
