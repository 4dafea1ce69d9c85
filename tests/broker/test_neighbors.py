"""One account never holds up another: bad ones in the same slot, and how the good ones go on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count

from bus.clock import SystemClock
from bus.settings import KafkaSettings
from services.poller.settings import PollerSettings
from services.poller.slot import Slot
from services.poller.source import AccountSettings
from services.poller.sources import sources
from testbed.simulator import Simulator
from testbed.simulators import simulators
from testbed.world import World
from tests.broker.reading import until
from tests.systems.bench import TOKEN, account

POLLS = 20  # of each stream: more than one that is held up by others' waits would ever make
# A request that hangs does so for longer than the test.
POLLER = PollerSettings(recheck_seconds=0.3, request_timeout_seconds=300)
# What their sources allow is counted for each account: a shared limit is meant to hold all up.
SOURCES = [name for name, source in sorted(sources().items()) if not source.rate.shared]
NUMBERS = count()


class Place:
    """Upstreams, each with one account, in one slot."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.accounts: list[AccountSettings] = []
        self._stack = stack

    async def upstream(self, source: str, *, token: str = TOKEN) -> Simulator:
        """One more account, and what it polls."""
        made: Simulator = simulators()[source].simulate(
            World(1, start=SystemClock().now(), orders=0, duration_seconds=0),
            token=token,
            requests_per_second=1000,
            page_size_max=100,
        )
        url = await self._stack.enter_async_context(made.serve())
        keys = {**simulators()[source].ACCOUNT, "settle_interval_seconds": 0.2}
        self.accounts.append(account(source, url, f"a{next(NUMBERS)}", **keys))
        return made

    @asynccontextmanager
    async def running(self, kafka: KafkaSettings) -> AsyncIterator[Slot]:
        """The slot with all of them."""
        broken: list[Exception] = []
        slot = Slot(0, kafka, POLLER, self.accounts, clock=SystemClock(), broken=broken.append)
        await slot.open()
        try:
            yield slot
        finally:
            await slot.close()
        assert broken == []


async def test_bad_accounts_hold_up_none_of_their_neighbors(
    topics: KafkaSettings, record_property: Callable[[str, object], None]
) -> None:
    """A bad token, an upstream that hangs, one in a storm of 429, all in the slot of good ones."""
    async with AsyncExitStack() as stack:
        place = Place(stack)
        good = [await place.upstream(source) for source in SOURCES for _ in range(2)]
        count_good, bad = len(good), []
        for source in SOURCES:
            bad.append(await place.upstream(source, token="another"))
            for fault in ("hang", "rate_limit_storm"):
                bad.append(await place.upstream(source))
                bad[-1].faults.add({"name": fault, "count": None})
        async with place.running(topics) as slot:
            labels = {made.label for made in place.accounts[count_good:]}
            troubled = [one for one in slot.streams if one.health()["account"] in labels]
            await until(lambda: all(one.requests for one in bad))
            before = [len(one.requests) for one in good]
            await until(
                lambda: all(
                    len(one.requests) >= asked + POLLS
                    for one, asked in zip(good, before, strict=True)
                )
            )
        assert [one.facts.name for one in troubled if one.cursor.succeeded_at] == []
    for row, found in (("good ones", good), ("bad ones beside", bad)):
        cell = " ".join(str(len(one.requests)) for one in found)
        record_property("figures", ["requests of each account", "accounts", row, cell])
    assert count_good >= 2
