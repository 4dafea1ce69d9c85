"""What a poll costs an upstream while nothing changes, counted in the simulator's request log.

For every system there is, with nobody named: its account loop over real HTTP, its streams one at a
time, so that each request is known by its stream.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from math import ceil
from types import ModuleType

from pydantic import SecretStr

from benchmarks.wire.polling import UNLIMITED
from bus.clock import Clock
from bus.errors import Stop
from bus.settings import KafkaSettings, checked
from bus.table import Table
from bus.transaction import Record, Transaction
from schemas.cursor import Cursor, cursor_key
from schemas.message import iso
from schemas.topics import CURSORS
from services.poller.account import Account, Surroundings
from services.poller.marks import Marks
from services.poller.settings import PollerSettings
from services.poller.slot import stream_tasks
from services.poller.source import HEAD_WEIGHT, AccountSettings, Facts
from services.poller.sources import Source
from services.poller.stream import StreamTask
from testbed.simulator import Simulator
from testbed.timeline import timeline
from testbed.world import World

TOKEN = "shipfeed-bench"  # noqa: S105 - of a simulator
TOKEN_NAME = "SHIPFEED_BENCH_ECONOMY_TOKEN"  # noqa: S105 - the name of a variable
SEED = 7
ORDERS = 240  # of no page size a multiple: a page that is exactly full tells of more
HISTORY = timedelta(hours=12)  # the first order is so old: beyond any lookback
CHANGES = timedelta(hours=3)  # what is told of an order happens in these
STEP = timedelta(minutes=1)  # from one order's last update to the next one's
PAGE_SIZE_MAX = 1000  # the sources know their upstreams' own
INTERVAL_SECONDS = 0.2
POLLS = 3  # counted of each stream
WARM_UP_SECONDS_MAX = 60.0
SILENCE_SECONDS = 2.0  # without a poll: the stream has nothing to read
CHECK_SECONDS = 0.02
CURSOR_KEYS = cursor_key("", "", "").rstrip("/") + "/"


@dataclass(frozen=True, slots=True)
class Economy:
    """Requests per poll of one stream, and the fewest that could have told as much.

    `head`: it is a stream whose delay people feel; the others re-read on purpose.
    """

    stream: str
    requests: float
    minimum: int
    head: bool


@dataclass
class _Polls:
    """A sink that keeps how many requests were logged when each poll of a stream had ended."""

    simulator: Simulator
    ended: dict[str, list[int]] = field(default_factory=dict)

    def submit(self, transaction: Transaction) -> asyncio.Future[None]:
        """Takes everything."""
        for record in transaction.records:
            self._take(record)
        durable = asyncio.get_running_loop().create_future()
        durable.set_result(None)
        return durable

    def _take(self, record: Record) -> None:
        if record.key.startswith(CURSOR_KEYS) and record.value is not None:
            cursor = Cursor.model_validate_json(record.value)
            if cursor.sweep is None:
                self.ended.setdefault(cursor.stream, []).append(len(self.simulator.requests))


async def economy(source: Source, module: ModuleType, clock: Clock) -> list[Economy]:
    """Every stream that still has something to do once all is read."""
    began_at = clock.now() - HISTORY
    simulator = _filled(source, module, began_at)
    async with simulator.serve() as base_url:
        settings = _settings(source, module, base_url, began_at)
        polls = _Polls(simulator)
        kafka = KafkaSettings(prefix="bench")
        around = Surroundings(kafka, PollerSettings(), clock, Table(kafka, CURSORS, 0), polls)
        account = Account(around, settings, UNLIMITED, source.login(settings))
        try:
            await _warmed_up(account, polls)
            names = [task.facts.name for task in stream_tasks(account) if not task.cursor.done]
            found = [await _measured(account, polls, name) for name in names]
        finally:
            await account.close()
    return [one for one in found if one is not None]


def _filled(source: Source, module: ModuleType, began_at: datetime) -> Simulator:
    """Orders as they stand at the end of their stories, each last updated at an instant of its own.

    Instants that fill a page make a pass longer; whether it is then complete is a matter of tests.
    """
    nothing = World(SEED, start=began_at, orders=0, source=source.name, account="bench")
    simulator: Simulator = module.simulate(
        nothing, token=TOKEN, requests_per_second=1e6, page_size_max=PAGE_SIZE_MAX
    )
    moments = timeline(
        SEED,
        orders=ORDERS,
        duration_seconds=CHANGES.total_seconds(),
        start=began_at,
        package_ids=False,
        source=source.name,
    )
    ends = {moment.order.number: moment.order for moment in moments}
    for place, order in enumerate(ends.values()):
        at = began_at + CHANGES + place * STEP
        simulator.write(simulator.row(replace(order, updated_at=at)))
    return simulator


def _settings(
    source: Source, module: ModuleType, base_url: str, began_at: datetime
) -> AccountSettings:
    os.environ[TOKEN_NAME] = TOKEN
    fields = source.settings.model_fields.items()
    secrets = [name for name, one in fields if one.annotation is SecretStr]
    table = {
        "source": source.name,
        "name": "bench",
        "base_url": base_url,
        **({"start_from": iso(began_at)} if source.settings.takes("start_from") else {}),
        "poll_interval_seconds": INTERVAL_SECONDS,
        "poll_interval_seconds_max": INTERVAL_SECONDS,
        "settle_interval_seconds": INTERVAL_SECONDS,
        **dict.fromkeys(secrets, f"env:{TOKEN_NAME}"),
        **module.ACCOUNT,
    }
    return checked(source.settings, table, "bench")


async def _warmed_up(account: Account, polls: _Polls) -> None:
    """Every list read twice to its end, and what they found read by its id."""
    async with _running(account) as tasks:
        lists = [task.facts.name for task in tasks if not task.facts.ids_max]

        def ready() -> bool:
            done = {task.facts.name for task in tasks if task.cursor.done}
            read = all(name in done or len(polls.ended.get(name, ())) > 1 for name in lists)
            now, all_facts = account.around.clock.now(), [task.facts for task in tasks]
            return read and not any(
                _marks(account, facts).due_count(facts.name, now)
                for facts in all_facts
                if facts.ids_max
            )

        if not await _within(WARM_UP_SECONDS_MAX, ready, account.around.clock):
            states = [(task.facts.name, task.state, task.reason) for task in tasks]
            raise Stop(f"{account.settings.label}: never read to its end: {states}")


async def _measured(account: Account, polls: _Polls, name: str) -> Economy | None:
    """One stream alone; None when nothing is due for it."""
    ended = polls.ended.setdefault(name, [])
    ended.clear()
    async with _running(account, name) as (task,):
        while len(ended) <= POLLS:
            goes_on = partial(_more, ended, len(ended))
            if not await _within(SILENCE_SECONDS, goes_on, account.around.clock):
                break
    if len(ended) < 2:
        return None
    requests = (ended[-1] - ended[0]) / (len(ended) - 1)
    facts = task.facts
    records = len(_marks(account, facts))
    return Economy(name, requests, fewest(facts, records), facts.weight == HEAD_WEIGHT)


def fewest(facts: Facts, records: int) -> int:
    """Requests that one poll needs at the least, where so many records are known.

    What is read by its id comes with one.  A head that asks for what changed since an instant
    needs one to learn that nothing did; a list whose position is no instant cannot ask so, and is
    read whole, as a settle sweep is on purpose.
    """
    changed_since = facts.rewinds and facts.weight == HEAD_WEIGHT
    return 1 if facts.ids_max or changed_since else max(1, ceil(records / facts.page_size))


def _marks(account: Account, facts: Facts) -> Marks:
    return account.marks(facts.parents or facts.resource)


def _more(ended: Sequence[int], than: int) -> bool:
    return len(ended) > than


@asynccontextmanager
async def _running(account: Account, only: str = "") -> AsyncIterator[list[StreamTask]]:
    tasks = [task for task in stream_tasks(account) if only in ("", task.facts.name)]
    running = [asyncio.create_task(task.run()) for task in tasks]
    try:
        yield tasks
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _within(seconds: float, true: Callable[[], bool], clock: Clock) -> bool:
    """Whether it became true in that time."""
    until = clock.monotonic() + seconds
    while not true():
        if clock.monotonic() > until:
            return False
        await clock.sleep(CHECK_SECONDS)
    return True
