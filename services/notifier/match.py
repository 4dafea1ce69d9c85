"""Which subscriptions want an event.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeVar

from schemas.events import EVENT_TYPES, Envelope
from schemas.filters import Filter
from schemas.subscription import Subscription, WriteBackChannel
from services.notifier.filters import Compiled, Facts, compiled, why_not

EVERYTHING = "*"
FAMILY_SUFFIX = ".*"


class Matched(Protocol):
    """An event, as far as matching looks at it."""

    @property
    def offset(self) -> int:
        """On the events topic."""

    @property
    def envelope(self) -> Envelope:
        """Its attributes and data."""

    @property
    def backfill(self) -> bool:
        """Whether the fact is older than the connection to the account."""

    @property
    def echo(self) -> bool:
        """Whether it tells of what we wrote back."""


E = TypeVar("E", bound=Matched)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One revision of a subscription's wish, made once (`matcher_of`) and asked for each event."""

    types: tuple[str, ...]
    filters: tuple[Filter, ...]
    backfill: bool
    echo: bool
    holds: Compiled | None

    def takes(self, event: Matched, facts: Facts | None = None) -> bool:
        """Whether the subscription wants it; `facts`: the event's, where several ask."""
        if event.backfill and not self.backfill:
            return False
        if event.echo and not self.echo:
            return False
        if not covered(self.types, event.envelope.type):
            return False
        return self.holds is None or self.holds(facts or Facts(event.envelope))

    def wanted(self, events: Iterable[E], position: int) -> list[E]:
        """Those from the offset `position` on that it takes, or that cannot be matched."""
        return [event for event in events if event.offset >= position and self._may_take(event)]

    def _may_take(self, event: Matched) -> bool:
        try:
            return self.takes(event)
        except MemoryError:
            raise
        except Exception:
            return True  # it is counted and kept; the fan-out says what is wrong with it

    def why_not(self, event: Matched) -> list[str]:
        """A line for each thing that speaks against it; empty: it is taken."""
        lines = []
        if event.backfill and not self.backfill:
            lines.append(
                "the fact is older than the connection to its account, and the subscription "
                "does not ask for those (backfill)"
            )
        if event.echo and not self.echo:
            lines.append(
                "it tells of what was written back by Shipfeed itself, and the subscription does "
                "not ask for that (echo)"
            )
        if not covered(self.types, event.envelope.type):
            lines.append(f"the type {event.envelope.type} is none of {', '.join(self.types)}")
        return [*lines, *why_not(self.filters, Facts(event.envelope))]


def matcher(
    types: Iterable[str],
    filters: Iterable[Filter] = (),
    *,
    backfill: bool = False,
    echo: bool = False,
) -> Matcher:
    """A wish, ready to be asked."""
    asked = tuple(filters)
    return Matcher(tuple(types), asked, backfill, echo, compiled(asked))


def matcher_of(subscription: Subscription) -> Matcher:
    """A subscription's wish, ready to be asked.

    Nothing that was written back is ever written back again, whatever the wish says.
    """
    echo = subscription.echo and not isinstance(subscription.channel, WriteBackChannel)
    wish = subscription
    return matcher(wish.types, wish.filters, backfill=wish.backfill, echo=echo)


def check_pattern(pattern: object) -> object:
    """`package.shipped`, `package.*` or `*`.  Raises ValueError with the list of types."""
    if isinstance(pattern, str) and any(covers(pattern, known) for known in EVENT_TYPES):
        return pattern
    known = ", ".join([EVERYTHING, *EVENT_TYPES])
    raise ValueError(f"{pattern!r} matches no event type; there are: {known}, and families as x.*")


@lru_cache(maxsize=4096)
def covered(patterns: tuple[str, ...], event_type: str) -> bool:
    """Whether an event of this type falls under one of the patterns."""
    return any(covers(pattern, event_type) for pattern in patterns)


def covers(pattern: str, event_type: str) -> bool:
    """Whether an event of this type falls under the pattern."""
    if pattern == EVERYTHING:
        return True
    if pattern.endswith(FAMILY_SUFFIX):
        return event_type.startswith(pattern[:-1])
    return pattern == event_type
