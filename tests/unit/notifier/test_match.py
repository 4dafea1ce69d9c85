"""Which subscriptions want an event."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from schemas.events import Envelope
from services.notifier.events import Event
from services.notifier.match import check_pattern, matcher


def event(event_type: str, *, backfill: bool = False) -> Event:
    envelope = Envelope(attributes={"type": event_type}, data=b"{}")
    return Event(0, datetime(2026, 1, 1, tzinfo=UTC), "", (), envelope, backfill)


@pytest.mark.parametrize(
    ("types", "backfill", "event_type", "event_is_backfill", "expected"),
    [
        (["package.shipped"], False, "package.shipped", False, True),
        (["package.shipped"], False, "package.removed", False, False),
        (["package.*"], False, "package.removed", False, True),
        (["package.*"], False, "packages.removed", False, False),
        (["package.*"], False, "fulfillment.shipped", False, False),
        (["*"], False, "fulfillment.shipped", False, True),
        (["package.created", "fulfillment.*"], False, "fulfillment.shipped", False, True),
        (["*"], False, "package.shipped", True, False),
        (["*"], True, "package.shipped", True, True),
    ],
)
def test_type_and_age_decide(
    types: list[str], backfill: bool, event_type: str, event_is_backfill: bool, expected: bool
) -> None:
    """Exact types, families, everything; old facts only when asked for."""
    found = event(event_type, backfill=event_is_backfill)
    asked = matcher(types, backfill=backfill)

    assert bool(asked.wanted([found], 0)) is expected
    assert (asked.why_not(found) == []) is expected


@pytest.mark.parametrize("pattern", ["package.shiped", "parcel.*", "pack*", "", 3, "*.shipped"])
def test_a_type_nobody_emits_is_refused_with_the_list(pattern: object) -> None:
    """A typing mistake would otherwise be a subscription that stays silent for ever."""
    with pytest.raises(ValueError, match=r"package\.shipped, package\.tracking_changed"):
        check_pattern(pattern)
