"""Polling measured where it happens: real HTTP, real transactions, one slot's writer.

No rate of an upstream holds it back here; all else is as a slot runs it.  Clients are made before
the watch starts, ours and the bare loop's alike: each reads certificates for 20 ms.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import httpx2

from bus.clock import Clock, SystemClock
from bus.committer import Committer
from bus.errors import RetryLater, Stop
from bus.settings import KafkaSettings, checked
from bus.table import Table
from bus.transaction import Writer
from schemas.message import iso
from schemas.topics import CURSORS
from services.poller.account import Account, Surroundings
from services.poller.settings import PollerSettings
from services.poller.slot import stream_tasks
from services.poller.source import AccountSettings, Rate
from services.poller.sources import zentail

UNLIMITED = Rate(per_second=1e9, burst=1e9)
TOKEN = "SHIPFEED_BENCH_TOKEN"  # noqa: S105 - the name of a variable
WAIT_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Workload:
    """So many accounts at once, each reading the same pages from `base_url`."""

    base_url: str
    began_at: datetime
    starts: Sequence[str]
    accounts: int

    @property
    def pages(self) -> int:
        """How many are fetched in a pass of all accounts."""
        return self.accounts * len(self.starts)

    def settings(self, name: str) -> AccountSettings:
        """An account that reads everything from the first page on, in every pass."""
        os.environ[TOKEN] = "bench"
        table = {
            "source": "zentail",
            "name": name,
            "base_url": self.base_url,
            "token": f"env:{TOKEN}",
            "start_from": iso(self.began_at),
            "settle_interval_seconds": 0.2,
        }
        return checked(zentail.Settings, table, "bench")


async def bare_seconds(work: Workload, clock: Clock) -> float:
    """How long it takes to only fetch every page, as many at once."""
    async with AsyncExitStack() as stack:
        made = [httpx2.AsyncClient(trust_env=False) for _ in range(work.accounts)]
        clients = [await stack.enter_async_context(client) for client in made]
        began = clock.monotonic()
        await asyncio.gather(*(_fetched(work, client) for client in clients))
        return clock.monotonic() - began


async def _fetched(work: Workload, client: httpx2.AsyncClient) -> None:
    for start in work.starts:
        params = {"lastUpdatedTs": start, "limit": "100"}
        (await client.get(f"{work.base_url}/salesOrder", params=params)).raise_for_status()


class Polling:
    """A slot that any number of rounds are polled in, each by accounts of its own."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._rounds = 0

    async def seconds(self, work: Workload) -> tuple[float, float]:
        """How long all pages take when all of it is new, and when nothing has changed."""
        self._rounds += 1
        settings = [work.settings(f"round-{self._rounds}-{n}") for n in range(work.accounts)]
        accounts = [Account(self._around, one, UNLIMITED) for one in settings]
        try:
            return await _pass(accounts, "backfill"), await _pass(accounts, "settle")
        finally:
            await asyncio.gather(*(account.close() for account in accounts))


@asynccontextmanager
async def polling(kafka: KafkaSettings, slot: int) -> AsyncIterator[Polling]:
    """An empty slot."""
    writer = Writer(kafka, f"{kafka.prefix}.poll.{slot}")
    await writer.start()
    table = Table(kafka, CURSORS, slot)
    await table.restore()
    committer = Committer(writer, _lost)
    try:
        yield Polling(Surroundings(kafka, PollerSettings(), SystemClock(), table, committer))
    finally:
        await committer.close()


async def _pass(accounts: Sequence[Account], stream: str) -> float:
    """Until each account's stream has committed the end of its first pass."""
    clock = accounts[0].around.clock
    tasks = [task for one in accounts for task in stream_tasks(one) if task.facts.name == stream]
    began = clock.monotonic()
    running = [asyncio.create_task(task.run()) for task in tasks]
    try:
        while not all(task.cursor.position for task in tasks):
            await clock.sleep(WAIT_SECONDS)
            ran = zip(running, tasks, strict=True)
            if any(run.done() and not task.cursor.position for run, task in ran):
                raise Stop("a stream ended in mid-pass; its log line says why")
        return clock.monotonic() - began
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _lost(error: RetryLater) -> None:
    raise error
