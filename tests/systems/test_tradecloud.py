"""Tradecloud's own claims, one for each line of the documents the source was built from.

"Seed" is the vendor's page "Polling usage".
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.poller.source import Rate
from testbed.audit import audit
from testbed.simulators.tradecloud import simulate
from testbed.world import World
from tests.systems.bench import TOKEN, running
from tests.systems.tradecloud_records import HISTORY, KEYS, Told, whole_polls

STREAMS = ("orders", "shipments", "orders-settle", "shipments-settle")
UNBOUNDED = 1000.0
QUICK: dict[str, Any] = {
    "rate": Rate(per_second=UNBOUNDED, burst=UNBOUNDED, in_turn=True),
    "settle_interval_seconds": 0.5,
}


@pytest.mark.parametrize("inclusive", [False, True])
async def test_a_small_world_is_told_without_a_gap(inclusive: bool) -> None:
    """Polled, mapped and merged, judged by who knows what was true: 0 / 0 / 0."""
    world = World(5, start=datetime.now(UTC), orders=60, duration_seconds=3, source="tradecloud")
    simulator = simulate(world, token=TOKEN, requests_per_second=UNBOUNDED, page_size_max=7)
    simulator.inclusive = inclusive
    async with simulator.serve() as url:
        async with running(url, only=STREAMS, **KEYS, **QUICK) as bench:
            await bench.until(lambda: simulator.finished(simulator.clock()), "its end")
            await whole_polls(bench, "orders", 2)
            await whole_polls(bench, "shipments-settle", 2)
            told = Told(bench)
    report = audit(world.truth(simulator.clock()), told.received, told.fulfillments)
    assert report.findings == []
    assert report.shipped_in_world > 50
    assert bench.letters == []
