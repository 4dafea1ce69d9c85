"""Deliveries measured from outside: on the attempts topic, and where they arrive."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.inputs.endpoints import Arrival
from benchmarks.wire.latency import commits
from benchmarks.wire.subject import ROOT
from benchmarks.wire.throughput import Sample
from bus.child import Child
from bus.clock import Clock
from bus.errors import Stop
from bus.settings import KafkaSettings
from bus.transaction import Record, Writer
from schemas.topics import ATTEMPTS, RECORD_BYTES_MAX

FETCH_BYTES_MIN = 64 * 1024  # fewer, larger answers: reading takes little from what is measured
FETCH_WAIT_MS = 200
DELIVERED_SECONDS_MAX = 120.0
CHECK_SECONDS = 0.1
WARM_UP_SHARE = 0.25  # connections are opened meanwhile
PERCENT = 100
PARTS = 4


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The process that takes posts."""

    url: str

    async def count(self) -> int:
        """Posts answered so far."""
        return int(await self._told("count"))

    async def arrivals(self) -> list[Arrival]:
        """All of them."""
        return [(path, name, at) for path, name, at in await self._told("arrivals")]

    async def dies(self, name: str) -> None:
        """What is posted below `/name` is not answered any more."""
        await self._told(f"dies/{name}")

    async def _told(self, what: str) -> Any:
        async with httpx2.AsyncClient(trust_env=False) as client:
            return (await client.get(f"{self.url}/{what}")).json()


@asynccontextmanager
async def endpoints(folder: Path) -> AsyncIterator[Endpoints]:
    """New ones, which nothing was posted to."""
    command = [sys.executable, "-m", "benchmarks.inputs.endpoints"]
    child = await Child.spawn(command, log=folder / "endpoints.log", cwd=ROOT, announces=True)
    try:
        yield Endpoints(json.loads(await child.line())["base_url"])
    finally:
        await child.stop(5.0)


async def bare_per_second(url: str, orders: int, clients: int, each: int, folder: Path) -> float:
    """What the bare loop makes of the events of so many orders."""
    command = [sys.executable, "-m", "benchmarks.peers.bare_posts", "--url", url]
    command += [f"--orders={orders}", f"--clients={clients}", f"--each={each}"]
    child = await Child.spawn(command, log=folder / "bare.log", cwd=ROOT, announces=True)
    try:
        return float(json.loads(await child.line())["posts_per_second"])
    finally:
        await child.stop(5.0)


async def attempted(kafka: KafkaSettings, count: int, clock: Clock) -> list[Sample]:
    """How many tries were committed by when, until there are `count`.  Raises TimeoutError."""
    consumer = AIOKafkaConsumer(
        **kafka.client_args(),
        isolation_level="read_committed",
        fetch_min_bytes=FETCH_BYTES_MIN,
        fetch_max_wait_ms=FETCH_WAIT_MS,
        max_partition_fetch_bytes=RECORD_BYTES_MAX,
    )
    await consumer.start()
    samples: list[Sample] = []
    try:
        places = range(kafka.partition_count(ATTEMPTS))
        consumer.assign([TopicPartition(kafka.topic(ATTEMPTS), number) for number in places])
        await consumer.seek_to_beginning()
        found = 0
        async with asyncio.timeout(DELIVERED_SECONDS_MAX):
            while found < count:
                fetched = await consumer.getmany(timeout_ms=FETCH_WAIT_MS)
                found += sum(map(len, fetched.values()))
                if fetched:
                    samples.append((clock.monotonic(), found))
    finally:
        await consumer.stop()
    return samples


async def p99s_ms(
    kafka: KafkaSettings,
    records: Sequence[Record],
    taking: Endpoints,
    clock: Clock,
    *,
    per_second: float,
    endpoints_each: int,
) -> list[float]:
    """From the commit of an event to its arrival at each of so many endpoints that live.

    A figure for each part of the time, so that a hiccup of the machine is in one of them.  Each
    record's key must be new.  Raises Stop when something has not arrived in time.
    """
    writer = Writer(kafka, f"{kafka.prefix}.light")
    due = await taking.count() + len(records) * endpoints_each
    await writer.start()
    try:
        committed_at = await commits(writer, records, clock, per_second, records_max=1)
    finally:
        await writer.close()
    deadline = clock.monotonic() + DELIVERED_SECONDS_MAX
    while (count := await taking.count()) < due:
        if clock.monotonic() > deadline:
            raise Stop(f"{count} deliveries arrived, {due} were due")
        await clock.sleep(CHECK_SECONDS)
    keys = {dict(record.headers)["ce_id"].decode(): record.key for record in records}
    took: dict[str, list[float]] = {record.key: [] for record in records}
    for _, name, at in await taking.arrivals():
        if name in keys:
            took[keys[name]].append((at - committed_at[keys[name]]) * 1000)
    measured = list(took.values())[int(len(records) * WARM_UP_SHARE) :]
    size = len(measured) // PARTS
    parts = [measured[place * size : (place + 1) * size] for place in range(PARTS)]
    return [_p99([each for event in part for each in event]) for part in parts]


def _p99(found: Sequence[float]) -> float:
    return statistics.quantiles(found, n=PERCENT, method="inclusive")[-1]
