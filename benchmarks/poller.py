"""Pages fetched and committed on a real Kafka, beside a bare loop that only fetches them."""

from __future__ import annotations

import json
import sys
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import Row, Target
from benchmarks.inputs.pages import PAGE_SIZE, stamp
from benchmarks.wire.polling import Workload, bare_seconds, polled_seconds
from bus.admin import ensure_topics
from bus.child import Child
from bus.clock import Clock, SystemClock
from bus.embedded import EmbeddedKafka
from bus.settings import KafkaSettings

ROOT = Path(__file__).parents[1]
ACCOUNTS = 8  # requests in flight
PAGES = 50  # of each account
AGE = timedelta(hours=12)  # of the first order: within the settle horizon
UNCHANGED_TARGET = Target(">=", 0.5)
NEW_TARGET = Target(">=", 0.2)


async def rows() -> list[Row]:
    """Pages a second, all new and nothing changed."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="shipfeed-bench-")))
        broker = await stack.enter_async_context(EmbeddedKafka(folder / "kafka"))
        work = await _served(folder, clock, stack)
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, prefix="bench")
        await ensure_topics(kafka, clock)
        await bare_seconds(work, clock)  # the server warms up
        bare = await bare_seconds(work, clock)
        new, unchanged = await polled_seconds(work, kafka, slot=0)
    rate = work.pages / bare
    return [
        Row("poller.unchanged", work.pages / unchanged, "pages/s", rate, UNCHANGED_TARGET),
        Row("poller.all_new", work.pages / new, "pages/s", rate, NEW_TARGET),
    ]


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
