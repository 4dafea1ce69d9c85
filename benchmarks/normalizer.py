"""Raw to event on a real Kafka, exactly once: the normalizer beside Quix Streams doing the same.

Beside a copy that does nothing, too; then how long it restores a large state, and how soon an event
can be read.

Everything measured is a process of its own, one after the other, on records that are written once.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import Row, Target
from benchmarks.inputs.orders import VERSIONS, versions
from benchmarks.inputs.states import PACKAGES_PER_ORDER, states
from benchmarks.peers import output, pass_through, quix
from benchmarks.wire.afresh import afresh
from benchmarks.wire.latency import latencies_ms
from benchmarks.wire.restoring import Restored, restored
from benchmarks.wire.subject import Running, Subject, measured
from benchmarks.wire.throughput import Sample, drained, rate, written
from bus.admin import ensure_topics
from bus.clock import Clock, SystemClock
from bus.embedded import EmbeddedKafka
from bus.settings import KafkaSettings
from services.normalizer.handler import SERVICE

PARTITIONS = 4
ORDERS = 200_000  # in the backlog, each in all its versions
ROUNDS = 3
PACKAGES = 1_000_000  # to restore
LIGHT_RECORDS = 4_000
LIGHT_PER_SECOND = 200.0

QUIX_TARGET, QUIX_GOAL = Target(">=", 1.5), Target(">=", 2.5)
PASS_THROUGH_TARGET, PASS_THROUGH_GOAL = Target(">=", 0.35), Target(">=", 0.6)
RESTORE_SECONDS, RESTORE_GOAL = 15.0, Target("<=", 10 / 15)
RESTORE_MB, RESIDENT_GOAL = 1500.0, Target("<=", 1000 / 1500)
MEDIAN_MS, P99_MS = 50.0, 200.0
ALLOWED = Target("<=", 1)

OURS = Subject(SERVICE, "services.normalizer")
QUIX = Subject(quix.NAME, "benchmarks.peers.quix")
PASS_THROUGH = Subject(pass_through.NAME, "benchmarks.peers.pass_through")
OUTPUT = Subject(output.NAME, "benchmarks.peers.output")

Round = dict[Subject, float]
"""Raw records a second of each through the same backlog, one after the other."""


async def rows() -> list[Row]:
    """Throughput, restore, latency."""
    clock = SystemClock()
    with TemporaryDirectory(prefix="shipfeed-bench-") as name:
        folder = Path(name)
        async with EmbeddedKafka(folder / "kafka") as broker:
            address = broker.bootstrap_servers
            return [
                *await throughput_rows(address, folder, clock, ORDERS),
                *await restore_rows(address, folder, clock, PACKAGES),
                *await latency_rows(address, folder, clock),
            ]


async def throughput_rows(address: str, folder: Path, clock: Clock, orders: int) -> list[Row]:
    """Ours beside each peer, from the round whose ratio to it is the middle one.

    And what writes as much as we do without any work beside the one that copies raw: no normalizer
    can come nearer to that one.
    """
    kafka = await _feed(address, "bench", clock)
    records = await written(kafka, versions(kafka, orders))
    rounds = [await _round(kafka, folder, clock, records) for _ in range(ROUNDS)]
    size = f"{VERSIONS}x{orders}"
    return [
        _beside(f"normalizer.quix.{size}", rounds, OURS, QUIX, QUIX_TARGET, QUIX_GOAL),
        _beside(
            f"normalizer.pass_through.{size}",
            rounds,
            OURS,
            PASS_THROUGH,
            PASS_THROUGH_TARGET,
            PASS_THROUGH_GOAL,
        ),
        _beside(f"output.pass_through.{size}", rounds, OUTPUT, PASS_THROUGH),
    ]


async def restore_rows(address: str, folder: Path, clock: Clock, packages: int) -> list[Row]:
    """A whole state, beside what it may take."""
    kafka = await _feed(address, "restore", clock)
    await written(kafka, states(kafka, int(packages / PACKAGES_PER_ORDER)))

    async def measure(running: Running) -> Restored:
        return await restored(running, PARTITIONS, clock)

    found = await measured(OURS, kafka, folder, measure)
    name, share = f"normalizer.restore.{packages}", packages / PACKAGES
    seconds, megabytes = RESTORE_SECONDS * share, RESTORE_MB * share
    per_package = found.resident_mb * 1e6 / packages
    return [
        Row(name, found.seconds, "s", seconds, ALLOWED, RESTORE_GOAL),
        Row(f"{name}.resident", found.resident_mb, "MB", megabytes, ALLOWED, RESIDENT_GOAL),
        Row(f"{name}.each", per_package, "B/package", RESTORE_MB, ALLOWED, RESIDENT_GOAL),
    ]


async def latency_rows(address: str, folder: Path, clock: Clock) -> list[Row]:
    """From the commit of a raw record to the instant its first event can be read."""
    kafka = await _feed(address, "light", clock)
    records = list(versions(kafka, LIGHT_RECORDS, count=1))

    async def measure(running: Running) -> list[float]:
        await restored(running, PARTITIONS, clock)
        return await latencies_ms(kafka, records, clock, LIGHT_PER_SECOND)

    found = statistics.quantiles(
        await measured(OURS, kafka, folder, measure), n=100, method="inclusive"
    )
    return [
        Row("normalizer.latency_p50", found[49], "ms", MEDIAN_MS, ALLOWED),
        Row("normalizer.latency_p99", found[98], "ms", P99_MS, ALLOWED),
    ]


async def _feed(address: str, prefix: str, clock: Clock) -> KafkaSettings:
    kafka = KafkaSettings(bootstrap_servers=address, prefix=prefix, partitions=PARTITIONS)
    await ensure_topics(kafka, clock)
    return kafka


async def _round(kafka: KafkaSettings, folder: Path, clock: Clock, records: int) -> Round:
    found: Round = {}
    for subject in (OURS, QUIX, PASS_THROUGH, OUTPUT):
        group = subject.group(kafka)
        await afresh(kafka, group, clock)

        async def drain(_: Running, group: str = group) -> list[Sample]:
            return await drained(kafka, group, clock)

        samples = await measured(subject, kafka, folder, drain)
        found[subject] = rate(samples, records)
    return found


def _beside(
    name: str,
    rounds: Sequence[Round],
    one: Subject,
    peer: Subject,
    *bounds: Target,
) -> Row:
    middle = sorted(rounds, key=lambda found: found[one] / found[peer])[len(rounds) // 2]
    return Row(name, middle[one], "records/s", middle[peer], *(bounds or [None]))
