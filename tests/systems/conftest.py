"""A Zentail that never throttles, with one shipped order."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from testbed.simulators.zentail import ZentailSimulator
from tests.systems.bench import TOKEN
from tests.systems.orders import order


@pytest.fixture
async def zentail() -> AsyncIterator[tuple[ZentailSimulator, str]]:
    """A simulator with one shipped order, and its URL."""
    simulator = ZentailSimulator(
        orders=[order(1)], token=TOKEN, requests_per_second=1000, burst=1000
    )
    async with simulator.serve() as url:
        yield simulator, url
