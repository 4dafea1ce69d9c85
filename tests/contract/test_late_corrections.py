"""A package's tracking number is corrected days after it has left: every system tells it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.poller.sources import sources
from testbed.orders import Line, Order, Package
from testbed.simulator import Simulator
from testbed.simulators import simulators
from testbed.world import World
from tests.contract.virtual_clock import VirtualClock
from tests.systems.bench import TOKEN, Bench

CONNECTED_AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
DAYS = 6  # the first package leaves on the first, its number is corrected on the last
INTERVAL = timedelta(seconds=900)
FOUND_WITHIN = timedelta(days=1) + INTERVAL
REAL_SECONDS_MAX = 90.0


class Shop:
    """Orders of the neutral kind, each of one package, in one system's simulator."""

    def __init__(self, source: str, clock: VirtualClock) -> None:
        world = World(1, start=clock.now(), orders=0, duration_seconds=0, source=source)
        self.simulator: Simulator = simulators()[source].simulate(
            world, token=TOKEN, requests_per_second=1000, page_size_max=100
        )
        self.simulator.right_clock = clock.now
        self._clock = clock
        self._orders: dict[int, Order] = {}

    def place(self, number: int) -> None:
        """An order without a package."""
        now, lines = self._clock.now(), (Line(f"{number}1", "MUG", "MUG", 2),)
        self._write(Order(number, now, now, "placed", lines))

    def ship(self, number: int, tracking: str) -> None:
        """Its package leaves with this number, or goes on under it."""
        order, now = self._orders[number], self._clock.now()
        package = Package(f"{number}#1", number * 10 + 1, (("MUG", 2),), "UPS", "Ground")
        left_at = order.packages[0].shipped_at if order.packages else now
        shipped = order.with_packages([replace(package, tracking=tracking, shipped_at=left_at)])
        self._write(replace(shipped, updated_at=now))

    def _write(self, order: Order) -> None:
        self._orders[order.number] = order
        self.simulator.write(self.simulator.row(order))


@pytest.mark.parametrize("source", sources())
async def test_a_number_corrected_days_after_shipping_is_told_once(source: str) -> None:
    """Within a day and an interval, and no package is shipped a second time for it."""
    clock = VirtualClock(CONNECTED_AT)
    shop = Shop(source, clock)
    async with shop.simulator.serve() as url:
        bench = Bench(
            url,
            source=source,
            clock=clock,
            **{
                "poll_interval_seconds": INTERVAL.total_seconds(),
                "poll_interval_seconds_max": INTERVAL.total_seconds(),
                **simulators()[source].ACCOUNT,
            },
        )
        bench.start()

        async def passes(time: timedelta) -> None:
            await clock.run(clock.now() + time, lambda: bench.alive, REAL_SECONDS_MAX)

        await passes(timedelta(hours=1))
        for number in range(1, DAYS + 1):  # others go on shipping, so no list stays at the first
            shop.place(number)
            await passes(timedelta(hours=1))
            shop.ship(number, f"1Z{number}")
            await passes(timedelta(hours=23))
        before = Counter(event.type for event in bench.events())
        shop.simulator.edits_show = False  # where a list may keep it to itself, it does
        shop.ship(1, "1Z999")
        await passes(FOUND_WITHIN)
        await bench.stop()
    told = bench.events()[before.total() :]
    print(figures(source, shop, bench))  # noqa: T201 - what a week costs

    assert (DAYS, 0) == (before["package.shipped"], before["package.tracking_changed"])
    assert ["package.tracking_changed"] == [event.type for event in told]
    assert told[0].data.package is not None
    assert ["1Z999"] == [one.number for one in told[0].data.package.trackings]
    assert [] == bench.letters


def figures(source: str, shop: Shop, bench: Bench) -> str:
    """What the upstream was asked, by the streams whose answers were written."""
    answers = {name: len(bench.cursors(name)) for name in bench.streams}
    asked = len(shop.simulator.requests)
    others = asked - sum(answers.values())
    found_by = bench.raw[-1][0].stream
    return f"{source}: {asked} requests: {answers}, others {others}; found by {found_by}"
