"""Records asked for by their id, or by their order's, and refused: no source loses one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args, get_origin

import pytest

from bus.transaction import Record, Transaction
from schemas.cursor import Cursor, Mark
from schemas.keys import split
from schemas.topics import CURSORS
from services.poller.operating import Child, due_again
from services.poller.refusals import IN_A_ROW_MAX, PASS_MIN, SET_ASIDE_AFTER
from services.poller.source import AccountSettings
from services.poller.sources import sources
from services.poller.steering import rewound
from services.poller.stream import StreamTask
from testbed.http import Request, Response, serving
from testbed.orders import Line, Order, Package
from testbed.simulator import Simulator
from testbed.simulators import simulators
from testbed.world import World
from tests.contract.virtual_clock import VirtualClock
from tests.systems.bench import KAFKA, TOKEN, Bench, account

CONNECTED_AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
INTERVAL = timedelta(seconds=300)
RECHECK = timedelta(seconds=900)
FOUND = INTERVAL + RECHECK + timedelta(seconds=900)  # the slowest list is read each 900 s
REAL_SECONDS_MAX = 60.0
REFUSALS_AN_HOUR_MAX = 4 * (IN_A_ROW_MAX + 1)  # a stopped stream asks each 900 s
FAILURES_IN_HOURS_MAX = 120  # every stream that reads it, and requests for several at once
FIRST = 20_000_001
OF_PLANS = ("planned", "shipments-single")  # read only what is to leave at some later time


def variants(source: str) -> Iterator[dict[str, Any]]:
    """The account as it is by default, then each other choice of its settings."""
    yield {}
    for name, one in sources()[source].settings.model_fields.items():
        if get_origin(one.annotation) is Literal:
            yield from ({name: choice} for choice in get_args(one.annotation))


def with_children() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every source that reads by id, and the settings with which it does."""
    for source in sorted(sources()):
        given = simulators()[source].ACCOUNT
        for keys in variants(source):
            settings = account(source, "http://127.0.0.1:1", **{**given, **keys})
            streams = sources()[source].streams(settings)
            if any(one.facts.ids_max and one.facts.name not in OF_PLANS for one in streams):
                yield source, keys
                break


CHILDREN = [pytest.param(*one, id=one[0]) for one in with_children()]


@dataclass
class Shop:
    """One system's simulator, which refuses chosen records, and an account that polls it."""

    source: str
    clock: VirtualClock
    simulator: Simulator
    bench: Bench
    refused: set[str] = field(default_factory=set)
    status: int = 404
    refusals: int = 0
    orders: dict[int, Order] = field(default_factory=dict)

    def answer(self, request: Request) -> Response:
        """The simulator's, unless the request names a record that is refused."""
        if any(one in request.target for one in self.refused):
            self.refusals += 1
            return replace(self.simulator.refusal(self.status, "refused"), headers={})
        return self.simulator.handle(request)

    async def passes(self, time: timedelta) -> None:
        """Let virtual time pass."""
        await self.clock.run(self.clock.now() + time, lambda: self.bench.alive, REAL_SECONDS_MAX)

    def pack(self, *numbers: int) -> None:
        """Orders with a package that waits for its number, so that each is read again."""
        for number in numbers:
            now = self.clock.now()
            placed = Order(number, now, now, "placed", (Line(f"{number}1", "MUG", "MUG", 2),))
            package = Package(f"{number}#1", number * 10 + 1, (("MUG", 2),), "UPS", "Ground")
            self.write(placed.with_packages([package]))

    def ship(self, *numbers: int) -> None:
        """Their packages leave with a number."""
        for number in numbers:
            order, now = self.orders[number], self.clock.now()
            left = replace(order.packages[0], tracking=f"1Z{number}", shipped_at=now)
            self.write(replace(order.with_packages([left]), updated_at=now))

    def write(self, order: Order) -> None:
        """Show an order as it is now."""
        self.orders[order.number] = order
        self.simulator.write(self.simulator.row(order))

    def children(self) -> dict[str, Mark]:
        """What is or was to be read by an id, by that id: its newest mark."""
        found: dict[str, Mark] = {}
        for record in self.bench.sink.records(KAFKA.topic(CURSORS)):
            if record.key.startswith("mark/") and record.value:
                mark = Mark.model_validate_json(record.value)
                if mark.due_stream or mark.upstream_id in found:
                    found[mark.upstream_id] = mark
        return found

    def told(self, *numbers: int) -> bool:
        """Whether their tracking numbers are on raw."""
        bodies = b"\n".join(body for _, body in self.bench.raw)
        return all(f"1Z{number}".encode() in bodies for number in numbers)

    def readers(self) -> list[StreamTask]:
        """The streams that read by id."""
        return [one for one in self.bench.streams.values() if one.facts.ids_max]


@asynccontextmanager
async def shop(source: str, **keys: Any) -> AsyncIterator[Shop]:
    """An empty shop whose account has been connected for ten minutes."""
    clock = VirtualClock(CONNECTED_AT)
    world = World(1, start=clock.now(), orders=0, duration_seconds=0, source=source)
    simulator: Simulator = simulators()[source].simulate(
        world, token=TOKEN, requests_per_second=1000, page_size_max=100
    )
    simulator.right_clock = clock.now
    holder: list[Shop] = []

    def answer(request: Request) -> Response:
        return holder[0].answer(request)

    async with serving(answer) as origin:
        seconds = INTERVAL.total_seconds()
        wanted = {
            "poll_interval_seconds": seconds,
            "poll_interval_seconds_max": seconds,
            "recheck_seconds": RECHECK.total_seconds(),
            **simulators()[source].ACCOUNT,
            **keys,
        }
        url = origin + simulator.base_path
        rate = replace(sources()[source].rate, per_second=1000, burst=1000)
        bench = Bench(url, source=source, clock=clock, rate=rate, **wanted)
        found = Shop(source, clock, simulator, bench)
        holder.append(found)
        bench.start()
        try:
            await found.passes(timedelta(minutes=10))
            yield found
        finally:
            await bench.stop()


@pytest.mark.parametrize("count", [PASS_MIN, IN_A_ROW_MAX + 3])
@pytest.mark.parametrize(("source", "keys"), CHILDREN)
async def test_an_upstream_that_refuses_every_child_for_hours_costs_none(
    source: str, keys: dict[str, Any], count: int
) -> None:
    """The stream stops, says why and counts no refusal; afterwards all are read, none set aside."""
    numbers = range(FIRST, FIRST + count)
    async with shop(source, **keys) as found:
        found.pack(*numbers)
        await found.passes(FOUND)
        found.refused = set(found.children())
        assert len(found.refused) >= count
        await found.passes(2 * SET_ASIDE_AFTER)
        stopped = [one.reason for one in found.readers() if one.state == "stopped"]
        assert stopped
        assert all("404" in reason for reason in stopped)
        assert {mark.refusals for mark in found.children().values()} == {0}
        assert found.refusals <= REFUSALS_AN_HOUR_MAX * 2 * len(found.readers())
        found.refused, found.simulator.edits_show = set(), False
        found.ship(*numbers)
        await found.passes(FOUND)
        assert found.told(*numbers)
        assert found.bench.letters == []
        assert "stopped" not in {one.state for one in found.readers()}


@pytest.mark.parametrize("status", [301, 400, 403, 404, 409, 410, 422, 451])
@pytest.mark.parametrize(("source", "keys"), CHILDREN)
async def test_one_child_that_is_refused_holds_up_no_other(
    source: str, keys: dict[str, Any], status: int
) -> None:
    """Whatever the answer: others are read within a poll, and it is once it is given again."""
    numbers = range(FIRST, FIRST + 4)
    async with shop(source, **keys) as found:
        found.pack(*numbers)
        await found.passes(FOUND)
        refused = min(found.children())
        found.refused, found.status = {refused}, status
        await found.passes(timedelta(minutes=20))
        assert sum(int(str(one.health()["refused"])) for one in found.readers()) == 1
        found.ship(*numbers)
        await found.passes(FOUND)
        given = [one for one in numbers if found.told(one)]
        assert len(given) >= len(numbers) - 1
        assert found.bench.letters == []
        assert "stopped" not in {one.state for one in found.readers()}
        found.refused = set()
        await found.passes(timedelta(seconds=900) + INTERVAL)
        assert found.told(*numbers)


@pytest.mark.parametrize("status", [500, 202])
@pytest.mark.parametrize(("source", "keys"), CHILDREN)
async def test_one_child_that_always_fails_costs_few_requests_and_holds_up_no_other(
    source: str, keys: dict[str, Any], status: int
) -> None:
    """It is asked for each five minutes at most in the end, and is never set aside."""
    numbers = range(FIRST, FIRST + 4)
    async with shop(source, **keys) as found:
        found.pack(*numbers)
        await found.passes(FOUND)
        found.refused, found.status = {min(found.children())}, status
        await found.passes(timedelta(hours=3))
        found.ship(*numbers)
        await found.passes(FOUND)
        assert len([one for one in numbers if found.told(one)]) >= len(numbers) - 1
        assert found.bench.letters == []
        assert found.refusals <= FAILURES_IN_HOURS_MAX
        found.refused = set()
        await found.passes(timedelta(seconds=900) + INTERVAL)
        assert found.told(*numbers)


@pytest.mark.parametrize("remedy", ["list", "rewind", "redrive"])
@pytest.mark.parametrize(("source", "keys"), CHILDREN)
async def test_what_was_set_aside_is_asked_for_again(
    source: str, keys: dict[str, Any], remedy: str
) -> None:
    """Refused for an hour it is one dead letter; a list, a rewind or a redrive brings it back."""
    deep = {} if remedy == "list" else {"settle_horizon_hours": 0, "lookback_seconds": 0}
    async with shop(source, **{**keys, **deep}) as found:
        found.pack(FIRST)
        await found.passes(FOUND)
        found.refused = set(found.children())
        await found.passes(SET_ASIDE_AFTER - INTERVAL)
        assert found.bench.letters == []
        assert max(mark.refusals for mark in found.children().values()) >= 3
        await found.passes(SET_ASIDE_AFTER)
        ((letter, record),) = found.bench.letters
        assert "404" in letter.reason
        found.refused = set()
        found.simulator.edits_show = False
        found.ship(FIRST)
        if remedy == "list":
            await found.passes(timedelta(hours=1) + FOUND)
        else:
            await found.bench.stop()
            apply = rewind if remedy == "rewind" else redrive
            found.bench.sink.transactions.append(Transaction(apply(found)))
            found.bench.start()
            await found.passes(FOUND)
        assert found.told(FIRST)
        assert len(found.bench.letters) == 1
        assert record.key.startswith(f"{source}/acme/")


def rewind(found: Shop) -> list[Record]:
    """What `cursors rewind` writes, for every list that can be rewound."""
    settings: AccountSettings = found.bench.settings
    written = []
    for stream in sources()[found.source].streams(settings):
        if stream.facts.rewinds:
            cursor: Cursor = found.bench.cursors(stream.facts.name)[-1]
            to = CONNECTED_AT + timedelta(minutes=1)
            again = rewound(cursor, stream.facts, settings, to)
            written.append(Record(KAFKA.topic(CURSORS), 0, again.key, again.to_json()))
    return written


def redrive(found: Shop) -> list[Record]:
    """What `dead-letters redrive` writes."""
    ((letter, record),) = found.bench.letters
    resource, upstream_id = split(record.key)[2:]
    child = Child(resource, upstream_id, letter.stream, letter.at)
    known = found.children().get(upstream_id)
    mark = due_again(found.source, "acme", child, known.to_json() if known else None)
    return [Record(KAFKA.topic(CURSORS), 0, mark.key, mark.to_json())]
