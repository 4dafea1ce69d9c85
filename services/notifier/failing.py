"""When an endpoint has failed for so long that it is left alone until somebody looks at it.

Time and count together: neither a quiet endpoint's one failure a day nor a busy one's bad minute
is enough.  Nothing is dropped; what is for it is held.  Pure: time is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.message import iso
from schemas.subscription import EndpointHealth
from services.notifier.breaker import FAILURES_MAX

DISABLED_AFTER = timedelta(days=5)
DISABLED_TRIES = 20
# How often other copies, and the next start, are told.
TOLD_EVERY = timedelta(hours=1)
# Before other copies, and the next start, are told the first time, and of its return: they may
# have deliveries that wait, too, after less for minutes at most.
TOLD_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Failing:
    """No try succeeded since the first of `tries` was made, at `since`; `told_at`: to others."""

    since: datetime
    tries: int
    told_at: datetime

    @property
    def reason(self) -> str:
        """For people."""
        return f"no try succeeded since {iso(self.since)}, {self.tries} were made"


def failed(before: Failing | None, health: EndpointHealth | None, now: datetime) -> Failing:
    """One failure more; what other copies found, or this one before its start, counts too."""
    succeeded_at = health.succeeded_at if health is not None else None
    if before is None or (succeeded_at is not None and succeeded_at >= before.since):
        # Another copy had a success meanwhile.
        before = Failing(now, 0, now - TOLD_EVERY + TOLD_AFTER)
    since, tries = before.since, before.tries
    if health is not None and health.failing_since is not None:
        since = min(since, health.failing_since)
        tries = max(tries, health.failed_tries)
    return Failing(since, tries + 1, before.told_at)


def returned(before: Failing | None) -> bool:
    """Whether a success now ends an outage: as many tries failed as open a breaker.

    Of whatever kind: a login that has run out is an outage too, though the endpoint answers.
    """
    return before is not None and before.tries >= FAILURES_MAX


def return_to_be_told(before: Failing, now: datetime) -> bool:
    """Whether other copies, and the next start, have to hear of a return."""
    return now - before.since >= TOLD_AFTER


def hopeless(found: Failing, now: datetime) -> bool:
    """Whether it is left alone from now on."""
    return now - found.since >= DISABLED_AFTER and found.tries >= DISABLED_TRIES


def to_be_told(found: Failing, now: datetime) -> bool:
    """Whether others have to hear of it: seldom, since telling is a write on a shared topic."""
    return now - found.told_at >= TOLD_EVERY
