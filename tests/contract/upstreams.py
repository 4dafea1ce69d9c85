"""A simulator of any system and a real account of it, with every record changed in rounds.

Nothing here names a system: what one needs is its simulator's ACCOUNT, and settings of a known
name that its source has.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from bus.telemetry import SEEN_UNCHANGED
from schemas.cursor import Cursor
from schemas.raw import Provenance
from schemas.topics import CURSORS, RAW
from services.poller.sources import sources
from testbed.http import Request, Response, serving
from testbed.orders import Line, Order, Package
from testbed.simulator import Shown, Simulator
from testbed.simulators import simulators
from testbed.world import World
from tests.contract.fast_clock import FastClock
from tests.systems.bench import KAFKA, TOKEN, Bench, account

SPEED = 5  # times real time
BY_PARENT_PAGES = 3  # larger pages where each order costs a request anyway
SLOW_SECONDS = 60
FIRST_NUMBER = 20_000_001
# Seconds of the account's clock; a setting is given where a source has it.
QUICK: dict[str, Any] = {
    "poll_interval_seconds": 0.25,
    "poll_interval_seconds_max": 0.25,
    "settle_interval_seconds": 0.4,
    "lookback_seconds": 0.1,  # the oldest stamp of a round is 24 ms old when it is written
}

Version = tuple[str, str, str]
"""Resource, upstream id, JSON in canonical form."""


Heard = Callable[[Request, Response], None]


def unheard(request: Request, response: Response) -> None:
    """What nobody listens to."""


def version(resource: str, upstream_id: str, record: dict[str, Any]) -> Version:
    """One version of one record, however it was spelled."""
    return resource, upstream_id, json.dumps(record, sort_keys=True)


def order(number: int, turn: int, at: datetime) -> Order:
    """The order's state in a round: each has another tracking number, but the first has none."""
    lines = (Line(f"{number}1", "MUG-BLU", "MUG-BLU", 1),)
    placed = Order(number, at, at, "placed", lines)
    package = Package(f"{number}#1", number * 10 + 1, (("MUG-BLU", 1),), "UPS", "Ground")
    if turn:
        package = replace(package, tracking=f"1Z{number}{turn:04d}", shipped_at=at)
    return placed.with_packages([package])


@dataclass
class Observed:
    """What an account has committed, taken in as it grows."""

    bench: Bench
    volatile: frozenset[str]
    versions: Counter[Version] = field(default_factory=Counter)
    passes: Counter[str] = field(default_factory=Counter)
    taken: int = 0

    def take(self) -> None:
        """Look at what was committed since the last look."""
        for transaction in self.bench.sink.transactions[self.taken :]:
            self.taken += 1
            for record in transaction.records:
                if record.topic == KAFKA.topic(RAW):
                    provenance = Provenance.read(dict(record.headers))
                    self._add(provenance, json.loads(record.value or b""))
                elif record.topic == KAFKA.topic(CURSORS) and record.key.startswith("cursor/"):
                    cursor = Cursor.model_validate_json(record.value or b"")
                    self.passes[cursor.stream] += cursor.sweep is None

    def _add(self, provenance: Provenance, body: dict[str, Any]) -> None:
        kept = {name: value for name, value in body.items() if name not in self.volatile}
        self.versions[version(provenance.resource, provenance.upstream_id, kept)] += 1

    @property
    def raw(self) -> int:
        """Records on raw."""
        return self.versions.total()

    @property
    def repeated(self) -> int:
        """Records on raw beyond the first of their version."""
        return self.raw - len(self.versions)


class Upstream:
    """One simulated system, an account that polls all its streams, and what either has said."""

    def __init__(
        self, source: str, simulator: Simulator, url: str, clock: FastClock, **keys: Any
    ) -> None:
        found = sources()[source]
        self.by_parent = reads_by_parent(source)
        wanted = {
            **QUICK,
            "start_from": clock.now() - timedelta(minutes=6),  # a clock may be 5 behind
            "watch_after_seconds": [3 if self.by_parent else 1],
        }
        known = {key: value for key, value in wanted.items() if found.settings.takes(key)}
        self.source, self.simulator, self.clock, self.url = source, simulator, clock, url
        self.bench = Bench(
            url,
            source=source,
            clock=clock,
            rate=replace(found.rate, per_second=1000, burst=1000),
            **{**known, **simulators()[source].ACCOUNT, **keys},
        )
        streams = found.streams(self.bench.settings)
        volatile = frozenset().union(*(stream.facts.volatile for stream in streams))
        self.observed = Observed(self.bench, volatile)
        self.written: set[Version] = set()
        self._logged = 0
        self._turn = 0

    def write(self, count: int, *, tied: bool = False) -> None:
        """The next round: every order of the first changes, and as many again are new.

        All at one instant, or one after the other.
        """
        now = self.simulator.clock()
        new = [FIRST_NUMBER + 1000 * self._turn + index for index in range(count)]
        changed = [FIRST_NUMBER + index for index in range(count)] if self._turn else []
        for place, number in enumerate([*changed, *new]):
            at = now if tied else now - timedelta(milliseconds=2 * count - place)
            written = order(number, self._turn, at)
            self.simulator.write(self.simulator.row(written))
        self._turn += 1

    def complete(self) -> bool:
        """Whether the versions on raw are those that the simulator has ever shown."""
        log: Sequence[Shown] = self.simulator.log[self._logged :]
        self._logged += len(log)
        self.written.update(version(*one) for one in log)
        self.observed.take()
        return self.observed.versions.keys() == self.written

    async def converged(self, what: str) -> None:
        """Wait until everything written is on raw; names what is not."""
        try:
            await self.bench.until(self.complete, f"converged: {what}")
        except AssertionError as error:
            missing = sorted(self.written - self.observed.versions.keys())[:2]
            strange = sorted(self.observed.versions.keys() - self.written)[:2]
            raise AssertionError(
                f"{error}\nnot on raw: {missing}\nnever shown: {strange}"
            ) from None

    async def passed(self, count: int) -> None:
        """Wait until every list, but slow ones, was read to its end so many more times.

        What is done by then has passed: it reads nothing ever again.
        """
        self.observed.take()
        before = self.observed.passes.copy()
        streams = self.bench.streams
        lists = [name for name in self._quick() if not streams[name].facts.ids_max]

        def more() -> bool:
            self.observed.take()
            passes = self.observed.passes
            return all(
                streams[name].cursor.done or passes[name] >= before[name] + count for name in lists
            )

        await self.bench.until(more, f"{count} more passes of {lists}")

    async def crash(self) -> None:
        """The account is gone in the middle of it; what comes back makes no slow sweep at once."""
        await self.bench.stop()
        self.bench.start(self._quick())

    def _quick(self) -> tuple[str, ...]:
        streams = self.bench.streams.items()
        return tuple(name for name, one in streams if one.facts.interval_seconds < SLOW_SECONDS)

    def in_mid_sweep(self) -> bool:
        """Whether some pages of a pass are read and others are not."""
        return any(one.cursor.sweep is not None for one in self.bench.streams.values())

    def reread(self) -> int:
        """Records of this source that were read again unchanged, in this process."""
        return int(SEEN_UNCHANGED.labels(self.source)._value.get())


def reads_by_parent(source: str) -> bool:
    """Whether it takes one request for each order to read what was shipped of it."""
    settings = account(source, "http://127.0.0.1:1", **simulators()[source].ACCOUNT)
    return any(stream.facts.parents for stream in sources()[source].streams(settings))


def simulator_class(source: str) -> type[Simulator]:
    """What stands in for a system."""
    found = vars(simulators()[source]).values()
    return next(
        one
        for one in found
        if isinstance(one, type) and issubclass(one, Simulator) and one is not Simulator
    )


@asynccontextmanager
async def upstream(
    source: str, *, page_size_max: int = 5, heard: Heard = unheard, **keys: Any
) -> AsyncIterator[Upstream]:
    """An empty upstream that never throttles and an account of it that has not begun.

    `heard` is told of every request and its answer.
    """
    clock = FastClock(SPEED)
    world = World(1, start=clock.now(), orders=0, duration_seconds=0)
    simulator: Simulator = simulators()[source].simulate(
        world,
        token=TOKEN,
        requests_per_second=100_000,
        page_size_max=page_size_max * (BY_PARENT_PAGES if reads_by_parent(source) else 1),
    )
    simulator.right_clock = clock.now

    def answer(request: Request) -> Response:
        response = simulator.handle(request)
        heard(request, response)
        return response

    async with serving(answer) as origin:
        found = Upstream(source, simulator, origin + simulator.base_path, clock, **keys)
        try:
            yield found
        finally:
            await found.bench.stop()
