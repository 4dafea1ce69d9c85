"""Upstreams that never throttle: a Zentail with one shipped order, an empty Shoplazza."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from testbed.simulators.zentail import ZentailSimulator
from tests.systems.bench import TOKEN
from tests.systems.orders import order
from tests.systems.shop_records import Shop, unthrottled


@pytest.fixture
async def zentail() -> AsyncIterator[tuple[ZentailSimulator, str]]:
    """A simulator with one shipped order, and its URL."""
    simulator = ZentailSimulator(
        orders=[order(1)], token=TOKEN, requests_per_second=1000, burst=1000
    )
    async with simulator.serve() as url:
        yield simulator, url


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """An empty simulator, and its URL."""
    simulator = unthrottled()
    async with simulator.serve() as url:
        yield simulator, url
