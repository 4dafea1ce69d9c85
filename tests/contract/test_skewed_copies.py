"""A copy whose clock was an hour ahead is gone: the next one goes on at once, with every system."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from services.poller.sources import sources
from testbed.simulators import simulators
from tests.contract.test_late_corrections import Shop
from tests.contract.virtual_clock import VirtualClock
from tests.systems.bench import Bench

AHEAD = timedelta(hours=1)
INTERVAL = timedelta(seconds=120)
SLOWEST = timedelta(seconds=900)
CONNECTED_AT = datetime.fromisoformat("2026-03-01T08:00:00Z")
REAL_SECONDS_MAX = 60.0
ORDERS = range(20_000_001, 20_000_004)


class ClockAhead:
    """Another copy's clock, which shows what will be an hour from now."""

    def __init__(self, right: VirtualClock) -> None:
        self._right = right

    def now(self) -> datetime:
        return self._right.now() + AHEAD

    def monotonic(self) -> float:
        return self._right.monotonic()

    def chance(self) -> float:
        return self._right.chance()

    async def sleep(self, seconds: float) -> None:
        await self._right.sleep(seconds)


@pytest.mark.parametrize("mode", ["", "per_order"])
@pytest.mark.parametrize("source", sorted(sources()))
async def test_the_successor_of_a_copy_an_hour_ahead_reads_changes_at_once(
    source: str, mode: str
) -> None:
    """Lists and what is read by its id: nothing waits until the right clock has caught up."""
    if mode and "mode" not in sources()[source].settings.model_fields:
        return
    clock = VirtualClock(CONNECTED_AT)
    shop = Shop(source, clock)
    async with shop.simulator.serve() as url:
        keys = {
            "poll_interval_seconds": INTERVAL.total_seconds(),
            "poll_interval_seconds_max": INTERVAL.total_seconds(),
            **simulators()[source].ACCOUNT,
            **({"mode": mode} if mode else {}),
        }
        ahead = Bench(url, source=source, clock=ClockAhead(clock), **keys)
        ahead.start()
        for number in ORDERS:
            shop.place(number)
        await clock.run(clock.now() + SLOWEST, lambda: ahead.alive, REAL_SECONDS_MAX)
        for number in ORDERS:
            shop.ship(number, f"1Z{number}")
        await clock.run(clock.now() + SLOWEST, lambda: ahead.alive, REAL_SECONDS_MAX)
        await ahead.stop()
        right = Bench(url, source=source, clock=clock, **keys)
        right.sink = ahead.sink
        before = len(right.raw)
        right.start()
        for number in ORDERS:
            shop.ship(number, f"1Y{number}")
        await clock.run(clock.now() + SLOWEST + INTERVAL, lambda: right.alive, REAL_SECONDS_MAX)
        await right.stop()
    told = b"".join(body for _, body in right.raw[before:])
    assert [number for number in ORDERS if f"1Y{number}".encode() not in told] == []
    assert [one.state for one in right.streams.values() if one.state == "degraded"] == []
