"""Pages fetched and committed on a real Kafka, beside a bare loop that only fetches them.

Then what every system's polls cost its upstream while nothing changes, beside the fewest requests
possible.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, redirect_stderr
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import Row, Target
from benchmarks.inputs.pages import PAGE_SIZE, stamp
from benchmarks.wire.economy import economy
from benchmarks.wire.polling import Workload, bare_seconds, polling
from bus.admin import ensure_topics
from bus.child import Child
from bus.clock import Clock, SystemClock
from bus.embedded import EmbeddedKafka
from bus.settings import KafkaSettings
from bus.telemetry import set_up_logging
from services.poller.sources import sources
from testbed.simulators import simulators

ROOT = Path(__file__).parents[1]
ACCOUNTS = 8  # requests in flight
PAGES = 100  # of each account: a bare pass of about half a second
ROUNDS = 5
AGE = timedelta(hours=12)  # of the first order: within the settle horizon
UNCHANGED_TARGET = Target(">=", 0.5)
NEW_TARGET = Target(">=", 0.2)
HEAD_TARGET = Target("<=", 1)
REREAD_TARGET = Target("<=", 1.5)  # the budget of settle and watch: pages overlap by a record


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds for the same pages, one after the other."""

    bare: float
    new: float
    unchanged: float


async def rows() -> list[Row]:
    """Pages a second, all new and nothing changed."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="shipfeed-bench-")))
        _as_a_service(folder / "log", stack)
        broker = await stack.enter_async_context(EmbeddedKafka(folder / "kafka"))
        work = await _served(folder, clock, stack)
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, prefix="bench")
        await ensure_topics(kafka, clock)
        slot = await stack.enter_async_context(polling(kafka, slot=0))
        await bare_seconds(work, clock)  # the server of the pages warms up
        await slot.seconds(work)  # and so does the broker, which has just started
        rounds = [
            Round(await bare_seconds(work, clock), *await slot.seconds(work)) for _ in range(ROUNDS)
        ]
        economies = await economy_rows(clock)
    return [
        _row("poller.unchanged", work, rounds, lambda one: one.unchanged, UNCHANGED_TARGET),
        _row("poller.all_new", work, rounds, lambda one: one.new, NEW_TARGET),
        *economies,
    ]


async def economy_rows(clock: Clock) -> list[Row]:
    """Requests per poll while nothing changes, heads first: beside the fewest possible."""
    heads: list[Row] = []
    others: list[Row] = []
    for name, module in simulators().items():
        if name not in sources():
            continue
        for one in await economy(sources()[name], module, clock):
            title = f"poller.requests_per_poll.{name}.{one.stream}"
            target = HEAD_TARGET if one.head else REREAD_TARGET
            row = Row(title, one.requests, "requests", one.minimum, target)
            (heads if one.head else others).append(row)
    return [*heads, *others]


def _row(
    name: str,
    work: Workload,
    rounds: Sequence[Round],
    seconds: Callable[[Round], float],
    target: Target,
) -> Row:
    """The round whose ratio is the middle one: figures of one round share what else ran then."""
    middle = sorted(rounds, key=lambda one: one.bare / seconds(one))[len(rounds) // 2]
    return Row(name, work.pages / seconds(middle), "pages/s", work.pages / middle.bare, target)


def _as_a_service(log: Path, stack: AsyncExitStack) -> None:
    """What a service's process has: log lines as JSON into a file, modules no collection looks at.

    The bare loop has it, too.
    """
    with redirect_stderr(stack.enter_context(log.open("w", encoding="utf-8"))):
        set_up_logging("bench")
    gc.freeze()


async def _served(folder: Path, clock: Clock, stack: AsyncExitStack) -> Workload:
    """The pages, behind a server in a process of its own."""
    began_at = (clock.now() - AGE).replace(microsecond=0)
    command = [sys.executable, "-m", "benchmarks.inputs.pages", "--pages", str(PAGES)]
    command += [f"--began-at={began_at.isoformat()}"]
    child = await Child.spawn(command, log=folder / "pages.log", cwd=ROOT, announces=True)
    stack.push_async_callback(child.stop, 5.0)
    base_url = str(json.loads(await child.line())["base_url"])
    starts = [stamp(began_at, number * (PAGE_SIZE - 1)) for number in range(PAGES)]
    return Workload(base_url, began_at, starts, ACCOUNTS)
