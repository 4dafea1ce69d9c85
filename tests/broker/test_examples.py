"""The programs in `examples/`, run as they are against a real Kafka that a normalizer writes to."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from bus.settings import KafkaSettings
from schemas.topics import EVENTS, FULFILLMENTS
from tests.broker.normalizing import Raw, event_ids, normalizing, produce, raw, settled
from tests.broker.programs import EXAMPLES, LINE_SECONDS_MAX, lines, running
from tests.broker.reading import records, until
from tests.published import complaints, header_complaints

LINES_MAX = 30
PROGRAMS = sorted(path for path in EXAMPLES.iterdir() if path.is_file())


def reader(name: str, kafka: KafkaSettings, *, shell: bool = False) -> list[str]:
    """The command of an example that reads topics."""
    program = "sh" if shell else sys.executable
    return [program, str(EXAMPLES / name), kafka.bootstrap_servers, kafka.prefix]


async def normalized(kafka: KafkaSettings, shown: list[Raw]) -> None:
    """These records, and everything that follows from them, for every reader to see."""
    await produce(kafka, shown)
    await settled(kafka)
    for topic in (FULFILLMENTS, EVENTS):
        await records(kafka, topic)  # up to the end: no transaction is open before it


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_an_example_is_short(path: Path) -> None:
    """It is there to be read."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES_MAX


async def test_a_python_consumer_sees_each_shipment_and_commits(topics: KafkaSettings) -> None:
    """What was there before it, what comes while it runs, and its position."""
    async with (
        normalizing(topics),
        running(*reader("consume.py", topics)) as output,
    ):
        await normalized(topics, [raw(number) for number in range(5)])
        first = await lines(output, 5)
        await normalized(topics, [raw(5), raw(0, 1)])
        last = await lines(output, 1)
        await until(lambda: committed(topics, "my-warehouse"), LINE_SECONDS_MAX)

    shipped = event_ids(await records(topics, EVENTS), "package.shipped")
    assert {line.split(" ", 1)[0] for line in first + last} == set(shipped)
    assert last[0].endswith("['T5-0']")


async def committed(kafka: KafkaSettings, group: str) -> bool:
    """Whether the group has passed every event, commit markers of writers left out."""
    places = [TopicPartition(kafka.topic(EVENTS), n) for n in range(kafka.partitions)]
    found = await records(kafka, EVENTS)
    last = {record.partition: record.offset for record in found}
    consumer = AIOKafkaConsumer(**kafka.client_args(), group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(places)
        passed = [await consumer.committed(place) or 0 for place in places]
    finally:
        await consumer.stop()
    return all(
        offset > last.get(place.partition, -1) for offset, place in zip(passed, places, strict=True)
    )


async def test_a_bootstrap_tells_only_what_the_state_does_not_hold(topics: KafkaSettings) -> None:
    """Three orders, one corrected before and one after it read the state."""
    before = [*(raw(number) for number in range(3)), raw(0, 1)]
    async with normalizing(topics):
        await normalized(topics, before)
        async with running(*reader("bootstrap.py", topics)) as output:
            assert await lines(output, 1) == ["known 3"]
            await normalized(topics, [raw(0, 2), raw(9)])
            told = await lines(output, 4)

    assert sorted(told) == [
        f"fulfillment.shipped {raw(9)[0]}",
        f"package.created {raw(9)[0]}",
        f"package.shipped {raw(9)[0]}",
        f"package.tracking_changed {raw(0)[0]}",
    ]


@pytest.mark.skipif(not shutil.which("kcat"), reason="kcat is not installed (Debian: kcat)")
async def test_kcat_prints_each_event_on_a_line(topics: KafkaSettings) -> None:
    """Headers, key and value."""
    async with (
        normalizing(topics),
        running(*reader("tail.sh", topics, shell=True)) as output,
    ):
        await normalized(topics, [raw(number) for number in range(3)])
        written = await records(topics, EVENTS)
        printed = [line.split("\t") for line in await lines(output, len(written))]

    assert {value for _, _, value in printed} == {record.value.decode() for record in written}
    for headers, key, value in printed:
        assert json.loads(value)["fulfillment"]["key"] == key
        assert f"ce_partitionkey={key}" in headers.split(",")


async def test_what_is_on_the_topics_is_what_was_published(topics: KafkaSettings) -> None:
    """Each event and state a normalizer wrote, headers included, is taken by its schema."""
    async with normalizing(topics):
        await normalized(topics, [raw(number, version) for number in (1, 2) for version in (0, 1)])

    events = await records(topics, EVENTS)
    for record in events:
        name = dict(record.headers)["ce_type"].decode()
        assert complaints(name, json.loads(record.value)) == []
        assert complaints(EVENTS.name, json.loads(record.value)) == []
        assert header_complaints(EVENTS.name, record.headers) == []
    states = await records(topics, FULFILLMENTS)
    for record in states:
        assert complaints(FULFILLMENTS.name, json.loads(record.value)) == []
    assert (len(events), len(states)) == (8, 4)
