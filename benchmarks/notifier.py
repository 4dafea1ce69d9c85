"""Event to webhook on a real Kafka, with nothing forgotten: the notifier beside a bare loop.

The loop posts the same bodies with the same client, as many at once, and keeps nothing.  Then how
fast events are fanned out, and what one dead endpoint costs the others.

Everything measured is a process of its own, one after the other; so are the endpoints.
"""

from __future__ import annotations

import base64
import statistics
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import Row, Target
from benchmarks.inputs.events import events
from benchmarks.wire.delivering import attempted, bare_per_second, endpoints, p99s_ms
from benchmarks.wire.restoring import restored
from benchmarks.wire.subject import Running, Subject, measured
from benchmarks.wire.throughput import Sample, drained, rate, written
from bus.admin import ensure_topics
from bus.clock import Clock, SystemClock
from bus.embedded import EmbeddedKafka
from bus.errors import Stop
from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.events import EVENT_TYPES
from schemas.topics import EVENTS

PARTITIONS = 6
CONCURRENCY_EACH = 8  # posts in flight to one endpoint from each partition
ROUNDS = 3
ORDERS = 1_200  # delivered: some five events each
FAN_OUT_ORDERS = 20_000
ENDPOINTS = 50
LIGHT_EVENTS = 96  # while all live, and as many while one is dead
DEAD_TIMEOUT_SECONDS = 2.0
LIGHT_PER_SECOND = 8.0  # events, each for every endpoint

BARE_TARGET = Target(">=", 0.4)
FAN_OUT_PER_SECOND = 10_000.0
DEAD_TARGET = Target("<=", 1.2)

SERVICE = "notifier"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
CONFIG = f"""
[notifier]
allow_networks = ["127.0.0.0/8"]
concurrency = {PARTITIONS * CONCURRENCY_EACH}
pending_max = 1_000_000
total_timeout_seconds = {{seconds}}
"""
SUBSCRIPTION = """
[[subscriptions]]
name = "{name}"
types = ["{types}"]
start_from = "earliest"
backfill = true
channel = {{ type = "webhook", url = "{url}", secret = "file:{secret}" }}
"""


@dataclass(frozen=True, slots=True)
class Bench:
    """What all measurements share."""

    address: str
    folder: Path
    clock: Clock

    async def feed(self, prefix: str) -> KafkaSettings:
        """Topics of its own."""
        kafka = KafkaSettings(bootstrap_servers=self.address, prefix=prefix, partitions=PARTITIONS)
        await ensure_topics(kafka, self.clock)
        return kafka

    def subject(
        self, wishes: Iterable[tuple[str, str, str]], *, timeout_seconds: float = 15.0
    ) -> Subject:
        """The notifier with subscriptions of (name, types, url)."""
        secret = self.folder / "secret"
        secret.write_text(SECRET, encoding="utf-8")
        tables = [
            SUBSCRIPTION.format(name=name, types=types, url=url, secret=secret)
            for name, types, url in wishes
        ]
        return Subject(
            SERVICE, "services.notifier", "".join([CONFIG.format(seconds=timeout_seconds), *tables])
        )


async def rows() -> list[Row]:
    """Deliveries, fan-out, one dead endpoint among many."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="shipfeed-bench-")))
        broker = await stack.enter_async_context(EmbeddedKafka(folder / "kafka"))
        bench = Bench(broker.bootstrap_servers, folder, SystemClock())
        return [
            await delivery_row(bench, ORDERS),
            await fan_out_row(bench, FAN_OUT_ORDERS),
            await dead_row(bench),
        ]


async def delivery_row(bench: Bench, orders: int) -> Row:
    """The round whose ratio is the middle one: figures of one round share what else ran then."""
    rounds = [await _delivery_round(bench, orders, number) for number in range(ROUNDS)]
    ours, bare = sorted(rounds, key=lambda one: one[0] / one[1])[ROUNDS // 2]
    return Row("notifier.deliveries", ours, "deliveries/s", bare, BARE_TARGET)


async def _delivery_round(bench: Bench, orders: int, number: int) -> tuple[float, float]:
    kafka = await bench.feed(f"deliveries-{number}")
    count = await written(kafka, events(kafka, orders))
    async with endpoints(bench.folder) as taking:
        subject = bench.subject([("erp", "*", f"{taking.url}/erp")])

        async def measure(_: Running) -> list[Sample]:
            return await attempted(kafka, count, bench.clock)

        samples = await measured(subject, kafka, bench.folder, measure)
        arrived = await taking.count()
        if arrived != count:
            raise Stop(f"{arrived} deliveries arrived, {count} were due: some were tried again")
        bare = await bare_per_second(
            f"{taking.url}/bare", orders, PARTITIONS, CONCURRENCY_EACH, bench.folder
        )
    return rate(samples, count), bare


async def fan_out_row(bench: Bench, orders: int) -> Row:
    """A subscription to each type, so that each event is wanted by one; nobody ever answers."""
    kafka = await bench.feed("fan-out")
    count = await written(kafka, events(kafka, orders))
    async with endpoints(bench.folder) as taking:
        wishes = [(name.replace(".", "-").replace("_", "-"), name) for name in EVENT_TYPES]
        subject = bench.subject((name, kind, f"{taking.url}/dead/{name}") for name, kind in wishes)

        async def measure(_: Running) -> list[Sample]:
            return await drained(kafka, subject.group(kafka), bench.clock, EVENTS)

        samples = await measured(subject, kafka, bench.folder, measure)
    name = f"notifier.fan_out.{len(EVENT_TYPES)}x{count}"
    return Row(name, rate(samples, count), "events/s", FAN_OUT_PER_SECOND, Target(">=", 1))


async def dead_row(bench: Bench) -> Row:
    """The 99th percentile of the endpoints that live, once one more of them is dead."""
    all_alive: list[float] = []
    beside_dead: list[float] = []
    for number in range(ROUNDS):
        before, after = await _before_and_after(bench, f"light-{number}")
        all_alive += before
        beside_dead += after
    ours, without = statistics.median(beside_dead), statistics.median(all_alive)
    return Row("notifier.p99_beside_dead", ours, "ms", without, DEAD_TARGET)


async def _before_and_after(bench: Bench, prefix: str) -> tuple[list[float], list[float]]:
    """While all live, then while one answers nothing any more: its tries time out meanwhile."""
    kafka = await bench.feed(prefix)
    first = list(
        {record.key: record for record in events(kafka, 2 * LIGHT_EVENTS, count=1)}.values()
    )
    async with endpoints(bench.folder) as taking:
        paths = [f"erp-{number}" for number in range(ENDPOINTS)]
        subject = bench.subject(
            ((name, "*", f"{taking.url}/{name}/") for name in paths),
            timeout_seconds=DEAD_TIMEOUT_SECONDS,
        )

        async def p99s(records: Sequence[Record], living: int) -> list[float]:
            return await p99s_ms(
                kafka,
                records,
                taking,
                bench.clock,
                per_second=LIGHT_PER_SECOND,
                endpoints_each=living,
            )

        async def measure(running: Running) -> tuple[list[float], list[float]]:
            await restored(running, PARTITIONS, bench.clock)
            before = await p99s(first[:LIGHT_EVENTS], ENDPOINTS)
            await taking.dies(f"{paths[0]}/")
            return before, await p99s(first[LIGHT_EVENTS:], ENDPOINTS - 1)

        return await measured(subject, kafka, bench.folder, measure)
