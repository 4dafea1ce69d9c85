"""What a target account may be asked: its rate, over all copies and partitions, and its pauses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from bus.clock import SystemClock
from services.notifier.write_backs.accounts import Accounts
from services.notifier.write_backs.settings import TargetEntry

NOW = datetime(2026, 3, 2, tzinfo=UTC)


class StillClock(SystemClock):
    """Seconds pass when a test says so."""

    def __init__(self) -> None:
        self.at = 100.0

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return self.at


def accounts(clock: StillClock, target: object) -> Accounts:
    """One that takes six requests a second, over six partitions."""
    entry = TargetEntry(name="shop", system="shop", secret="env:NONE", requests_per_second=6)
    return Accounts([(entry, target)], clock, 6)  # type: ignore[list-item]


def test_a_copy_has_the_share_of_the_rate_that_it_has_of_the_partitions() -> None:
    """With half of them half of it, and with none what one has."""
    clock = StillClock()
    shop = accounts(clock, SimpleNamespace(sent=0))
    account = shop["shop"]
    waits = []
    for owned in (0, 1, 3, 6):
        leave = [shop.join() for _ in range(owned)]
        clock.at += 100  # whatever was owed is paid
        while account.wait_seconds(NOW) == 0:
            account.begin()
        waits.append(account.wait_seconds(NOW))
        for end in leave:
            end()

    assert waits == pytest.approx([1, 1, 1 / 3, 1 / 6])


def test_what_a_step_sent_beyond_its_first_request_is_paid_for_by_those_after_it() -> None:
    """It is not held up in its middle, and the rate holds all the same."""
    clock, target = StillClock(), SimpleNamespace(sent=0)
    account = accounts(clock, target)["shop"]
    account.begin()
    target.sent += 4

    assert account.wait_seconds(NOW) == pytest.approx(4)
    clock.at += 4
    assert account.wait_seconds(NOW) == 0


def test_a_pause_is_for_the_whole_account_and_the_longest_counts() -> None:
    """However the rate stands."""
    account = accounts(StillClock(), SimpleNamespace(sent=0))["shop"]
    account.pause(NOW + timedelta(seconds=60))
    account.pause(NOW + timedelta(seconds=20))

    assert account.wait_seconds(NOW) == 60
    assert account.wait_seconds(NOW + timedelta(seconds=60)) == 0
