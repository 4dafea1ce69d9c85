"""A label is made days before its package leaves: its record goes on raw again at that instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testbed.orders import Line, Order, Package
from testbed.simulator import Simulator
from testbed.simulators import simulators
from testbed.world import World
from tests.contract.virtual_clock import VirtualClock
from tests.systems.bench import TOKEN, Bench

CONNECTED_AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
LEAVES_AT = CONNECTED_AT + 60 * HOUR
BEGINS_AT = datetime(2026, 3, 2, 10, tzinfo=UTC)  # its date, where that begins first
REAL_SECONDS_MAX = 60.0


@pytest.mark.parametrize(
    ("source", "leaves_at"), [("zentail", LEAVES_AT), ("tradecloud", BEGINS_AT)]
)
async def test_a_planned_departure_is_read_again_though_nothing_changed(
    source: str, leaves_at: datetime
) -> None:
    """Once, at that instant, and after a restart in between too."""
    clock = VirtualClock(CONNECTED_AT)
    world = World(1, start=clock.now(), orders=0, duration_seconds=0, source=source)
    simulator: Simulator = simulators()[source].simulate(
        world, token=TOKEN, requests_per_second=1000, page_size_max=100
    )
    simulator.right_clock = clock.now
    async with simulator.serve() as url:
        keys: dict[str, Any] = {"poll_interval_seconds": 900, "poll_interval_seconds_max": 900}
        bench = Bench(url, source=source, clock=clock, **keys, **simulators()[source].ACCOUNT)
        bench.start()

        async def passes(until: datetime) -> None:
            await clock.run(until, lambda: bench.alive, REAL_SECONDS_MAX)

        await passes(CONNECTED_AT + HOUR)
        placed = Order(1, clock.now(), clock.now(), "placed", (Line("11", "MUG", "MUG", 2),))
        package = Package("1#1", 11, (("MUG", 2),), "UPS", "Ground", "1Z1", LEAVES_AT)
        simulator.write(simulator.row(placed.with_packages([package])))
        await passes(CONNECTED_AT + 2 * HOUR)
        before = len(bench.raw)
        await bench.stop()
        bench.start()
        await passes(leaves_at - HOUR)
        assert len(bench.raw) == before
        await passes(leaves_at + 3 * HOUR)
        await bench.stop()
    again = bench.raw[before:]

    assert [body for _, body in again] == [body for _, body in bench.raw[before - 1 : before]]
    assert leaves_at <= again[0][0].observed_at <= leaves_at + HOUR
