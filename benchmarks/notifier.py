"""Event to webhook on a real Kafka, with nothing forgotten: the notifier beside a bare loop.

The loop posts the same bodies with the same client, as many at once, and keeps nothing.  Then how
fast events are fanned out, and what one dead endpoint costs the others.

Everything measured is a process of its own, one after the other; so are the endpoints.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import Row, Target
from benchmarks.inputs.events import events
from benchmarks.wire.delivering import attempted, bare_per_second, endpoints, p99_ms
from benchmarks.wire.restoring import restored
from benchmarks.wire.subject import Running, Subject, measured
from benchmarks.wire.throughput import Sample, drained, rate, written
from bus.admin import ensure_topics
from bus.clock import Clock, SystemClock
from bus.embedded import EmbeddedKafka
from bus.errors import Stop
from bus.settings import KafkaSettings
from schemas.events import EVENT_TYPES
from schemas.topics import EVENTS

PARTITIONS = 6
CONCURRENCY_EACH = 8  # posts in flight to one endpoint from each partition
ROUNDS = 3
ORDERS = 1_200  # delivered: some five events each
FAN_OUT_ORDERS = 20_000
ENDPOINTS = 50
LIGHT_EVENTS = 100
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

    def subject(self, wishes: Iterable[tuple[str, str, str]]) -> Subject:
        """The notifier with subscriptions of (name, types, url)."""
        secret = self.folder / "secret"
        secret.write_text(SECRET, encoding="utf-8")
        tables = [
            SUBSCRIPTION.format(name=name, types=types, url=url, secret=secret)
            for name, types, url in wishes
        ]
        return Subject(SERVICE, "services.notifier", "".join([CONFIG, *tables]))


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
    """The 99th percentile of the endpoints that live, while one more is dead and while it lives."""
    rounds = []
    for number in range(ROUNDS):
        alive = await _light_p99_ms(bench, f"alive-{number}", dead=False)
        rounds.append((await _light_p99_ms(bench, f"dead-{number}", dead=True), alive))
    beside_dead, alive = sorted(rounds, key=lambda one: one[0] / one[1])[ROUNDS // 2]
    return Row("notifier.p99_beside_dead", beside_dead, "ms", alive, DEAD_TARGET)


async def _light_p99_ms(bench: Bench, prefix: str, *, dead: bool) -> float:
    kafka = await bench.feed(prefix)
    first = {record.key: record for record in events(kafka, LIGHT_EVENTS, count=1)}
    async with endpoints(bench.folder) as taking:
        paths = [f"erp-{number}" for number in range(ENDPOINTS)]
        wishes = [(name, "*", f"{taking.url}/{name}") for name in paths]
        if dead:
            wishes[0] = (paths[0], "*", f"{taking.url}/dead")

        async def measure(running: Running) -> float:
            await restored(running, PARTITIONS, bench.clock)
            return await p99_ms(
                kafka,
                list(first.values()),
                taking,
                bench.clock,
                per_second=LIGHT_PER_SECOND,
                endpoints_each=ENDPOINTS - dead,
            )

        return await measured(bench.subject(wishes), kafka, bench.folder, measure)
