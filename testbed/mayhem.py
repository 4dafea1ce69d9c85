"""When to kill what, from a seed: pure, so that a bad run can be played again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True, order=True)
class Kill:
    """SIGKILL for copy `copy` (from 0) of `service`, so many seconds after the start."""

    at_seconds: float
    service: str
    copy: int


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
