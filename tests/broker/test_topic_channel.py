"""Channel `topic` on a real Kafka: exactly once over kills, in order, and in nobody's way."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bus.admin import layout_of
from bus.clock import SystemClock
from bus.settings import KafkaSettings
from schemas.dead_letter import DeadLetter
from schemas.topics import ATTEMPTS, DEAD_LETTERS, EVENTS, Topic
from services.notifier.settings import SubscriptionEntry
from services.notifier.subscriptions import SubscriptionStore
from tests.broker.notifying import emit, notifying, owning, quick, unfinished
from tests.broker.reading import records, until

ROOT = Path(__file__).parents[2]
KILLS = 4

Told = dict[bytes | None, list[tuple[bytes | None, tuple[tuple[str, bytes], ...]]]]


def target(name: str = "erp") -> Topic:
    """The topic of a subscriber, so that it can be read as ours are."""
    return Topic(name=f"for-{name}", key="", record="", kinds=())


def to_topic(kafka: KafkaSettings, name: str = "erp", **wish: Any) -> SubscriptionEntry:
    """A subscription to every package event from the beginning."""
    channel = {"type": "topic", "topic": kafka.topic(target(name))}
    values = {"name": name, "types": ["package.*"], "start_from": "earliest", "channel": channel}
    return SubscriptionEntry.model_validate({**values, **wish})


def told(found: Iterable[ConsumerRecord]) -> Told:
    """Values and headers by key, in order."""
    by_key: Told = {}
    for one in found:
        by_key.setdefault(one.key, []).append((one.value, tuple(one.headers)))
    return by_key


@asynccontextmanager
async def administering(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """What others do to their topics."""
    admin = AIOKafkaAdminClient(**kafka.client_args())
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def make(kafka: KafkaSettings, partitions: int = 6, bytes_max: int = 8_000_000) -> None:
    """The target, as somebody else laid it out."""
    config = {"max.message.bytes": str(bytes_max)}
    name = kafka.topic(target())
    async with administering(kafka) as admin:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=config)])
    await until(lambda: exists(kafka, name))


async def exists(kafka: KafkaSettings, name: str) -> bool:
    """Whether a topic is there."""
    async with administering(kafka) as admin:
        return name in await admin.list_topics()


async def arrived(kafka: KafkaSettings, count: int, name: str = "erp") -> bool:
    """Whether so many stand on the target, once that is there."""
    if not await exists(kafka, kafka.topic(target(name))):
        return False
    return len(await records(kafka, target(name))) >= count


async def test_a_topic_gets_each_event_as_it_stands(topics: KafkaSettings) -> None:
    """Old ones and new ones, key, value and headers, in the same partitions; no delivery at all."""
    await emit(topics, range(20), 1)
    async with notifying(topics, to_topic(topics)) as service:
        await until(lambda: arrived(topics, 20))
        await emit(topics, range(20), 2)
        await until(lambda: arrived(topics, 40))
        assert service.health()["pending"] == 0

    found, events = await records(topics, target()), await records(topics, EVENTS)
    assert told(found) == told(events)
    assert {one.key: one.partition for one in found} == {one.key: one.partition for one in events}
    assert await unfinished(topics) == set()
    assert await records(topics, ATTEMPTS) == []


async def test_order_holds_on_a_topic_of_fewer_partitions(topics: KafkaSettings) -> None:
    """It was there before, laid out by somebody else; filters count as everywhere."""
    await make(topics, 2)
    for revision in (1, 2, 3):
        await emit(topics, range(15), revision)
    entry = to_topic(topics, filters=[{"not": {"suffix": {"subject": "_2"}}}])
    two = topics.model_copy(update={"partitions": 2})
    async with notifying(topics, entry):
        await until(lambda: arrived(two, 30))

    found = told(await records(two, target()))
    expected = {
        key: [one for one in events if not dict(one[1])["ce_subject"].endswith(b"_2")]
        for key, events in told(await records(topics, EVENTS)).items()
    }
    assert found == expected


async def test_an_older_owner_can_write_nothing_to_the_topic(topics: KafkaSettings) -> None:
    """As after a kill: the batch that both were given stands there once."""
    await emit(topics, range(30), 1)
    batch = await records(topics, EVENTS, 0)
    await SubscriptionStore(topics, SystemClock()).sync([to_topic(topics, start_from="earliest")])
    async with owning(topics, quick(), 0) as older, owning(topics, quick(), 0) as newer:
        failing = asyncio.gather(older.handle(batch), return_exceptions=True)
        await newer.handle(batch)
        [failure] = await failing
    async with owning(topics, quick(), 0) as last:
        await last.handle(batch)

    assert failure is not None
    assert told(await records(topics, target(), 0)) == told(batch)


@asynccontextmanager
async def process(config: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A copy of the notifier in a process of its own; killed when the block is left."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with config.with_suffix(".log").open("ab") as log:
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.notifier", "--config", str(config)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
        )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.send_signal(signal.SIGKILL)
        await running.wait()


@pytest.mark.timeout(240)
async def test_each_event_stands_there_once_whatever_is_killed(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """SIGKILL, again and again, while events are written: none missing, none twice, in order."""
    config = tmp_path / "shipfeed.toml"
    config.write_text(
        f"""
[kafka]
bootstrap_servers = "{topics.bootstrap_servers}"
prefix = "{topics.prefix}"
session_timeout_ms = {topics.session_timeout_ms}
transaction_timeout_ms = {topics.transaction_timeout_ms}
[[subscriptions]]
name = "erp"
types = ["*"]
start_from = "earliest"
channel = {{ type = "topic", topic = "{topics.topic(target())}" }}
"""
    )
    await make(topics)
    killing = asyncio.Event()
    emitting = asyncio.create_task(_keep_emitting(topics, killing))
    for _ in range(KILLS):
        seen = len(await records(topics, target()))
        async with process(config):
            await until(partial(arrived, topics, seen + 1))
    killing.set()
    count = await emitting
    async with process(config):
        await until(lambda: arrived(topics, count))

    assert told(await records(topics, target())) == told(await records(topics, EVENTS))


async def _keep_emitting(kafka: KafkaSettings, until_set: asyncio.Event) -> int:
    """How many events were emitted until then."""
    revision = 0
    while not until_set.is_set():
        revision += 1
        await emit(kafka, range(50), revision)
    return 50 * revision


async def test_a_topic_that_takes_too_little_holds_up_nobody_else(topics: KafkaSettings) -> None:
    """It says what to alter; altered, it gets everything that came meanwhile."""
    await make(topics, bytes_max=1000)
    await emit(topics, range(20), 1)
    entries = [to_topic(topics), to_topic(topics, "crm")]
    async with notifying(topics, *entries) as service:
        await until(lambda: arrived(topics, 20, "crm"))
        await until(lambda: "max.message.bytes" in str(service.health()["held"]))
        await until(lambda: service.health()["held_events"] == {"erp": {"target": 20}})

    assert await records(topics, target()) == []
    name = topics.topic(target())
    async with administering(topics) as admin:
        await admin.delete_topics([name])
    async with notifying(topics, *entries):
        await until(lambda: arrived(topics, 20))

    assert told(await records(topics, target())) == told(await records(topics, EVENTS))
    assert (
        await layout_of(topics, name, SystemClock(), partitions=1, config={})
    ).partition_count == 6


async def test_an_event_larger_than_the_topic_takes_is_set_aside(topics: KafkaSettings) -> None:
    """Whole, with what to raise; the events around it are written."""
    await make(topics, bytes_max=1024 * 1024)
    await emit(topics, [1], 1)
    await emit(topics, [1], 2, padding=1_100_000)
    await emit(topics, [1], 3)
    async with notifying(topics, to_topic(topics)):
        await until(lambda: arrived(topics, 2))

    first, large, last = await records(topics, EVENTS)
    (letter,) = await records(topics, DEAD_LETTERS)
    assert told(await records(topics, target())) == told([first, last])
    assert (letter.key, letter.value, letter.partition) == (large.key, large.value, large.partition)
    assert "raise its max.message.bytes" in DeadLetter.read(dict(letter.headers)).reason


async def test_a_topic_of_ours_is_not_written_however_it_got_into_a_record(
    topics: KafkaSettings,
) -> None:
    """Not through the file, which refuses it: through the record itself."""
    await emit(topics, range(20), 1)
    store = SubscriptionStore(topics, SystemClock())
    await store.sync([to_topic(topics)])
    before = await records(topics, EVENTS)

    ours = to_topic(topics).channel.model_copy(update={"topic": topics.topic(EVENTS)})
    await store.sync([to_topic(topics).model_copy(update={"channel": ours})])
    async with owning(topics, quick(), 0) as owner:
        await until(lambda: "erp" in owner.outlets.refused)
        await owner.handle([one for one in before if one.partition == 0])

    assert "one of our own topics" in owner.outlets.refused["erp"]
    assert told(await records(topics, EVENTS)) == told(before)
