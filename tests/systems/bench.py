"""A real account loop over real HTTP, writing into memory where a slot's Committer stands."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from bus.clock import Clock, SystemClock
from bus.settings import KafkaSettings, checked
from bus.table import Table
from bus.transaction import Record, Transaction, refuse_too_large
from schemas.cursor import Cursor
from schemas.dead_letter import DeadLetter
from schemas.raw import Provenance
from schemas.topics import CURSORS, DEAD_LETTERS, RAW
from services.normalizer.mappers import discovered
from services.normalizer.merge import merge
from services.normalizer.model import Event, Fulfillment, RawRef
from services.poller.account import Account, Surroundings
from services.poller.settings import PollerSettings
from services.poller.slot import stream_tasks
from services.poller.source import AccountSettings, Rate
from services.poller.sources import sources
from services.poller.stream import StreamTask
from testbed.simulators.zentail import ZentailSimulator

KAFKA = KafkaSettings(bootstrap_servers="nowhere:1", prefix="t")
DEADLINE_SECONDS = 60.0  # of what takes a second at most on a quiet machine
Zentail = tuple[ZentailSimulator, str]
"""A simulator and its URL."""
TOKEN = "s3cret-token"
os.environ["SYSTEMS_TEST_TOKEN"] = TOKEN


class EagerClock(SystemClock):
    """Real time; jitter is always its smallest, so that retries follow at once."""

    def chance(self) -> float:
        return 0.0


def account(source: str, base_url: str, name: str = "acme", **keys: Any) -> AccountSettings:
    """The settings of an account that polls often; every secret it has is the token."""
    fields = sources()[source].settings.model_fields.items()
    secrets = [key for key, field in fields if field.annotation is SecretStr]
    table = {
        "source": source,
        "name": name,
        "base_url": base_url,
        **dict.fromkeys(secrets, "env:SYSTEMS_TEST_TOKEN"),
        "poll_interval_seconds": 0.2,
        "poll_interval_seconds_max": 0.2,
        **keys,
    }
    return checked(sources()[source].settings, table, "[[accounts]]")


@dataclass
class MemorySink:
    """Committed transactions, in order; durable at once, so that who sees one sees all of it."""

    transactions: list[Transaction] = field(default_factory=list)

    def submit(self, transaction: Transaction) -> asyncio.Future[None]:
        for record in transaction.records:
            refuse_too_large(record)
        self.transactions.append(transaction)
        durable = asyncio.get_running_loop().create_future()
        durable.set_result(None)
        return durable

    def records(self, topic: str) -> list[Record]:
        """What was written to a topic."""
        return [r for t in self.transactions for r in t.records if r.topic == topic]


class Bench:
    """One account and its streams.  `restart` throws all memory away but what was committed."""

    def __init__(
        self,
        base_url: str,
        name: str = "acme",
        source: str = "zentail",
        clock: Clock | None = None,
        **keys: Any,
    ) -> None:
        self._clock = clock or EagerClock()
        poller = {key: keys.pop(key) for key in list(keys) if key in PollerSettings.model_fields}
        found = sources()[source]
        self._rate: Rate = keys.pop("rate", found.rate)
        self._found = found
        self.settings = account(source, base_url, name, **keys)
        self.poller = PollerSettings(**{"recheck_seconds": 0.3, **poller})
        self.sink = MemorySink()
        self.streams: dict[str, StreamTask] = {}
        self._account: Account | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, only: tuple[str, ...] = ()) -> None:
        """Restore from what was committed and run the streams, or `only` those named."""
        table = Table(KAFKA, CURSORS, 0)
        for transaction in self.sink.transactions:
            table.apply(transaction.records)
        around = Surroundings(KAFKA, self.poller, self._clock, table, self.sink)
        self._account = Account(around, self.settings, self._rate, self._found.login(self.settings))
        self.streams = {task.facts.name: task for task in stream_tasks(self._account)}
        self._tasks = [
            asyncio.create_task(task.run())
            for name, task in self.streams.items()
            if not only or name in only
        ]

    @property
    def account(self) -> Account:
        """What its streams share, once started."""
        assert self._account is not None
        return self._account

    async def stop(self) -> None:
        """As a crash would: nothing is finished."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._account is not None:
            await self._account.close()

    async def until(self, true: Callable[[], bool], what: str) -> None:
        """Wait for it; fails with `what` and the streams' states after the deadline."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not true():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            states = {name: (task.state, task.reason) for name, task in self.streams.items()}
            raise AssertionError(f"never: {what}; streams: {states}") from None

    async def polls(self, stream: str, count: int) -> None:
        """Wait for so many commits of a stream, and until it shows them."""
        task = self.streams[stream]
        await self.until(
            lambda: len(self.cursors(stream)) >= count and task.state != "starting",
            f"{count} polls of {stream}",
        )

    @property
    def alive(self) -> int:
        """How many streams run."""
        return sum(not task.done() for task in self._tasks)

    @property
    def raw(self) -> list[tuple[Provenance, bytes]]:
        """Provenance and bytes of each raw record."""
        return [
            (Provenance.read(dict(record.headers)), record.value or b"")
            for record in self.sink.records(KAFKA.topic(RAW))
        ]

    @property
    def ids(self) -> list[str]:
        """Upstream ids on raw, in order."""
        return [provenance.upstream_id for provenance, _ in self.raw]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """Decoded raw records, in order."""
        return [json.loads(body) for _, body in self.raw]

    @property
    def letters(self) -> list[tuple[DeadLetter, Record]]:
        """What was set aside."""
        found = self.sink.records(KAFKA.topic(DEAD_LETTERS))
        return [(DeadLetter.read(dict(record.headers)), record) for record in found]

    def history(self) -> list[tuple[Sequence[Event], Fulfillment]]:
        """What a normalizer makes of each raw record that changes something: events, new state."""
        stored: dict[str, Fulfillment] = {}
        found: list[tuple[Sequence[Event], Fulfillment]] = []
        for offset, (provenance, body) in enumerate(self.raw):
            snapshot = discovered()[provenance.source].map(body, provenance)
            reference = RawRef(topic=KAFKA.topic(RAW), partition=0, offset=offset)
            outcome = merge(stored.get(provenance.key), snapshot, provenance, reference)
            if outcome.state is not None:
                stored[provenance.key] = outcome.state
                found.append((outcome.events, outcome.state))
        return found

    def events(self) -> list[Event]:
        """All that it tells."""
        return [event for told, _ in self.history() for event in told]

    def cursors(self, stream: str) -> list[Cursor]:
        """Every state a stream's cursor was stored in."""
        return [
            Cursor.model_validate_json(record.value or b"")
            for record in self.sink.records(KAFKA.topic(CURSORS))
            if record.key.startswith("cursor/") and record.key.endswith(f"/{stream}")
        ]


@contextmanager
def nobody_listens() -> Iterator[str]:
    """`http://HOST:PORT` that refuses connections, and that no other process can be given."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@asynccontextmanager
async def running(
    base_url: str, *, only: tuple[str, ...] = ("head",), **keys: Any
) -> AsyncIterator[Bench]:
    """A started bench, stopped at the end."""
    bench = Bench(base_url, **keys)
    bench.start(only)
    try:
        yield bench
    finally:
        await bench.stop()
