"""Acme Parcels' own claims, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testbed.simulators.acme_parcels import AcmeParcelsSimulator, simulate
from testbed.world import World
from tests.systems.bench import TOKEN, running

START = datetime.now(UTC) - timedelta(hours=1)
KEYS: dict[str, Any] = {"source": "acme_parcels", "start_from": START}
ALL = ("head", "settle", "backfill")


@pytest.fixture
async def acme() -> AsyncIterator[tuple[AcmeParcelsSimulator, str]]:
    """A world that has ended, in pages of 7, and its URL."""
    world = World(7, start=START, orders=40, duration_seconds=30, source="acme_parcels")
    simulator = simulate(world, token=TOKEN, requests_per_second=1000, page_size_max=7)
    async with simulator.serve() as url:
        yield simulator, url


async def test_each_order_is_read_and_each_shipped_parcel_told(
    acme: tuple[AcmeParcelsSimulator, str],
) -> None:
    """By keyset over pages with ties; all three streams together write an order once."""
    simulator, url = acme
    async with running(url, only=ALL, **KEYS) as bench:
        await bench.until(lambda: bench.streams["backfill"].state == "done", "history read")
        told = [event.type for event in bench.events()]
    rows = simulator.visible(datetime.now(UTC))
    parcels = [parcel for row in rows for parcel in row.body["parcels"]]
    assert sorted(bench.ids) == sorted(str(row.key) for row in rows)
    assert told.count("package.created") == len(parcels)
    assert told.count("package.shipped") == sum(one["state"] == "shipped" for one in parcels) > 40


async def test_a_poll_that_finds_nothing_new_is_one_request(
    acme: tuple[AcmeParcelsSimulator, str],
) -> None:
    """It asks from a minute before the last poll began."""
    simulator, url = acme
    async with running(url, source="acme_parcels") as bench:
        await bench.polls("head", 3)
    assert len(simulator.requests) in (3, 4)  # the last one may not be written yet
