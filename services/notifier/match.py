"""Which subscriptions want an event.  Pure."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.events import EVENT_TYPES

EVERYTHING = "*"
FAMILY_SUFFIX = ".*"


def check_pattern(pattern: object) -> object:
    """`package.shipped`, `package.*` or `*`.  Raises ValueError with the list of types."""
    if isinstance(pattern, str) and any(covers(pattern, known) for known in EVENT_TYPES):
        return pattern
    known = ", ".join([EVERYTHING, *EVENT_TYPES])
    raise ValueError(f"{pattern!r} matches no event type; there are: {known}, and families as x.*")


def covers(pattern: str, event_type: str) -> bool:
    """Whether an event of this type falls under the pattern."""
    if pattern == EVERYTHING:
        return True
    if pattern.endswith(FAMILY_SUFFIX):
        return event_type.startswith(pattern[:-1])
    return pattern == event_type


def wants(types: Iterable[str], backfill: bool, event_type: str, event_is_backfill: bool) -> bool:
    """Whether a subscription to `types` gets the event; old facts only when it asked for them."""
    if event_is_backfill and not backfill:
        return False
    return any(covers(pattern, event_type) for pattern in types)
