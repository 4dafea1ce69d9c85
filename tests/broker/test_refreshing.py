"""`packages refresh` where one record stands among many, on a real Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from bus.clock import SystemClock
from bus.settings import KafkaSettings
from services.poller.refreshing import Refreshed, Wanted, refresh
from services.poller.settings import PollerSettings
from testbed.simulators.shoplazza import ShoplazzaSimulator
from tests.broker.polling import TOKEN, Polled, account, polled
from tests.systems.shop_records import fulfillment, order_id, readings

KNOWN = 300  # fulfillments of the order: two pages
QUIET = {"poll_interval_seconds": 600, "poll_interval_seconds_max": 600, "shop": "acme"}


class LateClock(SystemClock):
    """An hour behind when the second page is asked for, for the first time."""

    def __init__(self, simulator: ShoplazzaSimulator) -> None:
        self._simulator = simulator

    def now(self) -> datetime:
        late = len(readings(self._simulator)) == 1
        return super().now() - (timedelta(hours=1) if late else timedelta(0))


@asynccontextmanager
async def known(settings: KafkaSettings) -> AsyncIterator[tuple[ShoplazzaSimulator, Polled]]:
    """A shop with one order, read once."""
    simulator = ShoplazzaSimulator(token=TOKEN, requests_per_second=1000, burst=1000)
    simulator.put(order_id(1), *(fulfillment(number) for number in range(KNOWN)))
    async with (
        simulator.serve() as url,
        polled(settings, account("shoplazza", url, **QUIET)) as found,
    ):
        await found.once_read(KNOWN)
        await found.idle()
        simulator.requests.clear()
        yield simulator, found


async def again(found: Polled, number: int, clock: SystemClock) -> Refreshed:
    cursor = (await found.cursors())["head"]
    wanted = Wanted(found.settings, cursor, "fulfillments", f"ful-{number}", order_id(1))
    return await refresh(found.kafka, PollerSettings(), wanted, clock)


async def test_what_a_lost_race_has_left_on_raw_is_told(settings: KafkaSettings) -> None:
    """The first page was written, the second had to be asked for again: written is written."""
    async with known(settings) as (simulator, found):
        first, last = 0, KNOWN - 1
        corrected = (fulfillment(n, tracking_number="corrected") for n in (first, last))
        simulator.put(order_id(1), *corrected)
        came = await again(found, first, LateClock(simulator))

        assert len(readings(simulator)) == 4
        assert came == Refreshed("written", others=1)
        assert (await found.raw()).total() == KNOWN + 2


async def test_a_page_that_is_too_large_is_asked_for_in_halves(settings: KafkaSettings) -> None:
    """As its own stream would: the order has many records, though it is one."""
    async with known(settings) as (simulator, found):
        simulator.faults.add({"name": "oversized"})

        assert await again(found, 7, SystemClock()) == Refreshed("unchanged")
        assert [one["limit"] for one in readings(simulator)] == ["250", "125", "125", "125"]
