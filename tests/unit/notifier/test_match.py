"""Which subscriptions want an event."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from schemas.events import Envelope
from schemas.subscription import Channel, LogChannel, Subscription, WriteBackChannel
from services.notifier.events import Event
from services.notifier.match import check_pattern, matcher, matcher_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def event(event_type: str, *, backfill: bool = False, echo: bool = False) -> Event:
    envelope = Envelope(attributes={"type": event_type}, data=b"{}")
    return Event(0, NOON, "", (), envelope, backfill, echo)


def wish(channel: Channel, *, echo: bool) -> Subscription:
    return Subscription(
        id="erp", types=("*",), channel=channel, echo=echo, start_offsets={}, created_at=NOON
    )


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


@pytest.mark.parametrize(
    ("channel", "asked", "expected"),
    [
        (LogChannel(), False, False),
        (LogChannel(), True, True),
        (WriteBackChannel(target="river"), False, False),
        (WriteBackChannel(target="river"), True, False),
    ],
)
def test_what_was_written_back_is_told_to_who_asks_for_it(
    channel: Channel, asked: bool, expected: bool
) -> None:
    """And never written back again, or two systems would answer each other for ever."""
    asks, found = matcher_of(wish(channel, echo=asked)), event("package.shipped", echo=True)

    assert bool(asks.wanted([found], 0)) is expected
    assert asks.wanted([event("package.shipped")], 0) != []
    lines = asks.why_not(found)
    assert len(lines) == (not expected)
    assert all("(echo)" in line for line in lines)


@pytest.mark.parametrize("pattern", ["package.shiped", "parcel.*", "pack*", "", 3, "*.shipped"])
def test_a_type_nobody_emits_is_refused_with_the_list(pattern: object) -> None:
    """A typing mistake would otherwise be a subscription that stays silent for ever."""
    with pytest.raises(ValueError, match=r"package\.shipped, package\.tracking_changed"):
        check_pattern(pattern)
