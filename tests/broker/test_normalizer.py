"""The normalizer on a real Kafka: exactly once, whatever happens to the writer in between."""

from __future__ import annotations

import asyncio
import re
from typing import cast

import pytest
from aiokafka import AIOKafkaProducer
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from bus.admin import ensure_topics
from bus.clock import SystemClock
from bus.errors import Stop
from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction, Writer
from console.forgetting import let_go
from schemas.dead_letter import DeadLetter
from schemas.fulfillment import Fulfillment
from schemas.raw import Provenance
from schemas.topics import DEAD_LETTERS, EVENTS, FULFILLMENTS, RAW
from services.normalizer.app import Normalizer
from services.normalizer.mapper import Snapshot
from services.normalizer.mappers import discovered
from tests.broker.normalizing import (
    NOON,
    TRACE,
    Impatient,
    Raw,
    event_ids,
    fenced,
    normalizing,
    produce,
    raw,
    settled,
)
from tests.broker.reading import records, until


@pytest.fixture
def settings(kafka: str, prefix: str) -> KafkaSettings:
    """A feed of its own with two partitions."""
    return KafkaSettings(
        bootstrap_servers=kafka,
        prefix=prefix,
        partitions=2,
        session_timeout_ms=1500,
        transaction_timeout_ms=3000,
    )


async def test_each_fact_is_told_once_while_writers_are_fenced_again_and_again(
    settings: KafkaSettings,
) -> None:
    """40 orders, 6 versions each, each partition fenced five times in mid-run."""
    orders, versions = 40, 6
    await ensure_topics(settings, SystemClock())
    async with normalizing(settings):
        for version in range(versions):
            await produce(settings, [raw(number, version) for number in range(orders)])
            if version:
                await asyncio.gather(*(fenced(settings, n) for n in range(settings.partitions)))
        await settled(settings)

    events = await records(settings, EVENTS)
    ids = event_ids(events)
    assert len(ids) == len(set(ids)) == orders * (3 + versions - 1)
    assert len(event_ids(events, "package.shipped")) == orders
    assert len(event_ids(events, "package.tracking_changed")) == orders * (versions - 1)
    states = {
        state.key: state
        for record in await records(settings, FULFILLMENTS)
        for state in [Fulfillment.model_validate_json(record.value or b"")]
    }
    numbers = {key: state.packages[0].trackings[0].number for key, state in states.items()}
    assert numbers == {raw(n)[0]: f"T{n}-{versions - 1}" for n in range(orders)}
    assert {state.revision for state in states.values()} == {versions}
    for record in events:
        assert record.partition == partition_of(record.key.decode(), settings.partitions)


async def test_a_second_copy_takes_over_what_the_first_one_knew(settings: KafkaSettings) -> None:
    """Two copies share the partitions; the first leaves; nothing is told again."""
    await ensure_topics(settings, SystemClock())
    orders = range(10)
    async with normalizing(settings) as first:
        await produce(settings, [raw(number) for number in orders])
        await settled(settings)
        async with normalizing(settings) as second:
            await until(
                lambda: bool(first.health()["partitions"] and second.health()["partitions"])
            )
            await until(lambda: bool(second.health()["ok"] and second.health()["ready"]))
            await produce(settings, [raw(number, 1) for number in orders])
            await settled(settings)
            await first.stop()
            await produce(
                settings, [raw(number, version) for version in (1, 2) for number in orders]
            )
            await settled(settings)

    ids = event_ids(await records(settings, EVENTS))
    assert len(ids) == len(set(ids)) == len(orders) * (3 + 2)


async def test_what_cannot_go_on_is_set_aside_whole_and_the_rest_goes_on(
    settings: KafkaSettings,
) -> None:
    """Bad JSON, a tombstone, no headers, a wrong key, an unknown source, no version."""
    key, value, headers = raw(1)
    strange = [(n, b"acme-shop" if n == "shipfeed-source" else v) for n, v in headers]
    unversioned = b'{"orderNumber":1,"status":"SHIPPED","lastUpdatedTs":"soon"}'
    bad: list[Raw] = [
        (key, unversioned, headers),
        (key, b'{"orderNumber": 1', headers),
        (key, None, headers),
        (key, b"no headers", []),
        ("some/other/key/1", b"wrong key", headers),
        ("acme-shop/acme/orders/1", b"unknown source", strange),
    ]
    await ensure_topics(settings, SystemClock())
    async with normalizing(settings):
        await produce(settings, [*bad, (key, value, headers)])
        await settled(settings)

    letters = await records(settings, DEAD_LETTERS)
    found = {record.value: DeadLetter.read(dict(record.headers)) for record in letters}
    assert len(letters) == 6
    assert set(found) == {value or b"" for _, value, _ in bad}
    assert "truncated" in found[b'{"orderNumber": 1'].reason
    assert "not a date or time" in found[unversioned].reason
    assert "tombstone" in found[b""].reason
    assert "shipfeed-schema" in found[b"no headers"].reason
    assert "not zentail/acme/orders/1" in found[b"wrong key"].reason
    assert re.search(r"there are: .*\bzentail\b", found[b"unknown source"].reason)
    for record in letters:
        topic, partition, _ = DeadLetter.read(dict(record.headers)).origin.split("/")
        assert (topic, int(partition)) == (settings.topic(RAW), record.partition)
    assert len(event_ids(await records(settings, EVENTS), "package.shipped")) == 1


async def test_events_are_read_by_the_official_cloudevents_library(settings: KafkaSettings) -> None:
    """Kafka binary mode: every attribute and the data come back as they were meant."""
    await ensure_topics(settings, SystemClock())
    async with normalizing(settings):
        await produce(settings, [raw(1)])
        await settled(settings)

    events = await records(settings, EVENTS)
    shipped = None
    for record in events:
        message = KafkaMessage(dict(record.headers), record.key, record.value or b"")
        event = from_binary(message, JSONFormat())
        assert event.get_specversion() == "1.0"
        assert event.get_source() == "/zentail/acme"
        assert event.get_time() == NOON
        assert event.get_datacontenttype() == "application/json"
        assert event.get_extension("partitionkey") == "zentail/acme/orders/1"
        assert event.get_dataschema() == f"urn:shipfeed:v1:{event.get_type()}"
        assert dict(record.headers)["traceparent"] == TRACE.encode()
        if event.get_type() == "package.shipped":
            shipped = event
    assert shipped is not None
    data = shipped.get_data()
    assert isinstance(data, dict)
    assert shipped.get_subject() == data["package"]["id"]
    assert shipped.get_id() == data["package"]["shipped_event_id"]
    assert data["package"]["trackings"][0]["number"] == "T1-0"
    sequences = [dict(record.headers)["ce_sequence"] for record in events]
    assert sequences == sorted(sequences)
    assert len(set(sequences)) == 3


async def test_a_lost_state_beside_events_stops_the_start_until_it_is_accepted(
    settings: KafkaSettings,
) -> None:
    """Events without fulfillments: the line names the flag, and the flag lets it start."""
    await ensure_topics(settings, SystemClock())
    writer = Writer(settings, f"{settings.prefix}.test")
    await writer.start()
    await writer.commit(Transaction([Record(settings.topic(EVENTS), 1, "k", b"{}")]))
    await writer.close()

    with pytest.raises(Stop, match="--accept-new-baseline"):
        async with normalizing(settings):
            pass
    async with normalizing(settings, accept_new_baseline=True):
        await produce(settings, [raw(1)])
        await settled(settings)
    async with normalizing(settings):
        await settled(settings)


async def test_what_an_aborted_transaction_left_on_events_is_no_history(
    settings: KafkaSettings,
) -> None:
    """Markers and aborted records move the end offset; nothing was told, so nothing was lost."""
    await ensure_topics(settings, SystemClock())
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers, transactional_id=f"{settings.prefix}.test"
    )
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(settings.topic(EVENTS), key=b"k", value=b"{}", partition=0)
    await producer.abort_transaction()
    await producer.stop()

    async with normalizing(settings) as service:
        await settled(settings)
        assert service.health()["ok"]


def in_partition(settings: KafkaSettings, number: int) -> list[int]:
    """The first order numbers whose records are in a partition."""
    return [n for n in range(200) if partition_of(raw(n)[0], settings.partitions) == number]


async def blocked(service: Normalizer) -> dict[str, str]:
    """Why partitions stand still, once one does."""
    found: dict[str, str] = {}

    def one_is() -> bool:
        found.update(cast("dict[str, str]", service.health()["blocked"]))
        return bool(found)

    await until(one_is)
    return found


async def test_a_state_that_cannot_be_read_holds_its_partition_until_it_is_forgotten(
    settings: KafkaSettings,
) -> None:
    """What came before it is committed, other partitions go on, and no record is lost."""
    await ensure_topics(settings, SystemClock())
    first, second, *_ = in_partition(settings, 0)
    elsewhere = in_partition(settings, 1)[0]
    writer = Writer(settings, f"{settings.prefix}.other")
    await writer.start()
    odd = Record(settings.topic(FULFILLMENTS), 0, raw(second)[0], b'{"schema_version": "2.0"}')
    await writer.commit(Transaction([odd]))
    await writer.close()
    await produce(settings, [raw(number) for number in (first, second, first, elsewhere)])
    async with normalizing(settings, clock=Impatient()) as service:
        why = await blocked(service)

        async def others_went_on() -> bool:
            known = {record.key.decode() for record in await records(settings, FULFILLMENTS)}
            return {raw(first)[0], raw(elsewhere)[0]} <= known

        await until(others_went_on)
        health = service.health()
        events = await records(settings, EVENTS, 0)
        await let_go(settings, raw(second)[0])
        await settled(settings)
        freed = service.health()["blocked"]

    assert list(why) == ["0"]
    assert raw(second)[0] in why["0"]
    assert (health["ok"], health["ready"]) == (True, True)
    assert {event.key.decode() for event in events} == {raw(first)[0]}
    assert freed == {}
    told = {event.key.decode() for event in await records(settings, EVENTS)}
    assert told == {raw(number)[0] for number in (first, second, elsewhere)}
    assert await records(settings, DEAD_LETTERS) == []


async def test_a_bug_that_fails_every_record_sets_nothing_aside(settings: KafkaSettings) -> None:
    """The partition stands still with the reason, and another build does all of it."""

    class Broken:
        LEAVES = discovered()["zentail"].LEAVES

        def map(self, value: bytes, provenance: Provenance) -> Snapshot:
            raise KeyError("shippedTs")

    await ensure_topics(settings, SystemClock())
    orders = in_partition(settings, 0)[:30]
    await produce(settings, [raw(number) for number in orders])
    async with normalizing(settings, clock=Impatient(), mappers={"zentail": Broken()}) as service:
        why = await blocked(service)
    written = [await records(settings, topic) for topic in (DEAD_LETTERS, FULFILLMENTS)]
    async with normalizing(settings):
        await settled(settings)

    assert "KeyError" in why["0"]
    assert written == [[], []]
    assert len(await records(settings, FULFILLMENTS)) == len(orders)


async def test_a_record_with_a_null_header_is_set_aside_and_the_rest_goes_on(
    settings: KafkaSettings,
) -> None:
    """It costs itself only, also when the mapper fails in a way nobody planned for."""
    await ensure_topics(settings, SystemClock())
    key, value, headers = raw(1)
    null = [(name, None if name == "shipfeed-source" else had) for name, had in headers]
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers)
    await producer.start()
    number = partition_of(key, settings.partitions)
    await producer.send_and_wait(
        settings.topic(RAW), value, key.encode(), headers=null, partition=number
    )
    await producer.stop()
    await produce(settings, [raw(1, 1)])
    async with normalizing(settings):
        await settled(settings)

    (letter,) = await records(settings, DEAD_LETTERS)
    assert "shipfeed-source" in DeadLetter.read(dict(letter.headers)).reason
    assert letter.value == value
    assert len(event_ids(await records(settings, EVENTS), "package.shipped")) == 1
