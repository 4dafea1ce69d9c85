"""The notifier on a real Kafka, when an endpoint cannot or may not be asked: held, never lost."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from bus.clock import SystemClock
from bus.settings import KafkaSettings
from bus.table import high_watermark
from bus.transaction import FENCE_KEY
from schemas.dead_letter import DeadLetter
from schemas.delivery import Position, position_key
from schemas.message import parse_instant
from schemas.subscription import EndpointHealth
from schemas.topics import DEAD_LETTERS, DELIVERIES, EVENTS, SUBSCRIPTIONS
from services.notifier.endpoints import Endpoints
from services.notifier.events import CHUNK_RECORDS_MAX
from services.notifier.subscriptions import SubscriptionStore
from testbed.receiver import Receiver
from tests.broker.notifying import (
    PATIENT,
    SECRET,
    accepted,
    by_order,
    emit,
    notifying,
    unfinished,
    webhook,
)
from tests.broker.reading import records, until


async def test_gone_from_the_file_holds_and_back_in_it_releases(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """What came meanwhile is delivered afterwards, nothing twice."""
    receiver = Receiver(SECRET)
    async with receiver.serve() as url:
        entry = webhook("erp", url, tmp_path)
        await emit(topics, range(5), 1)
        async with notifying(topics, entry):
            await until(lambda: len(accepted(receiver)) == 5)
        async with notifying(topics) as service:
            await emit(topics, range(5), 2)
            await until(lambda: service.health()["ready"] is True)
            await emit(topics, range(5), 3)
            assert service.health()["held"] == {"erp": "gone from the configuration"}
        assert len(accepted(receiver)) == 5
        async with notifying(topics, entry):
            await until(lambda: len(accepted(receiver)) == 15)

    assert by_order(accepted(receiver)) == {order: [1, 2, 3] for order in range(5)}
    assert receiver.stats()["requests"] == 15


async def test_an_endpoint_that_is_gone_is_left_alone_by_every_copy(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """410 once: nothing more is sent, everything is held, until its channel is changed."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "status", "status": 410}])
    async with receiver.serve() as url:
        entry = webhook("erp", f"{url}/old", tmp_path)
        await emit(topics, [0], 1)
        async with notifying(topics, entry) as one, notifying(topics, entry) as other:
            await until(lambda: bool(one.health()["held"] and other.health()["held"]))
            await emit(topics, range(10), 2)
            await asyncio.sleep(1)  # long enough for a first try of each, were it not held
        assert receiver.stats()["requests"] == 1
        async with notifying(topics, webhook("erp", f"{url}/new", tmp_path)):
            await until(lambda: len(accepted(receiver)) == 11)

    assert by_order(accepted(receiver))[0] == [1, 2]
    assert await records(topics, DEAD_LETTERS) == []


async def test_retry_after_pauses_the_whole_endpoint(topics: KafkaSettings, tmp_path: Path) -> None:
    """One 429 speaks for all lanes: they wait without spending tries."""
    receiver = Receiver(SECRET)
    busy = {"name": "status", "status": 429, "headers": {"Retry-After": "3"}, "match": "pkg_0_1"}
    receiver.behavior.add([busy])
    await emit(topics, [0], 1)
    async with receiver.serve() as url, notifying(topics, webhook("erp", url, tmp_path)):
        await until(lambda: receiver.stats()["requests"] == 1)
        await emit(topics, range(10), 2)
        await until(lambda: len(accepted(receiver)) == 11)

    assert receiver.stats()["requests"] == 12
    first, second = (parse_instant(one["received_at"]) for one in receiver.records[:2])
    assert second - first >= timedelta(seconds=3)


async def test_a_full_subscription_waits_and_takes_no_other_ones_room(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Backpressure: positions of the dead endpoint wait within its share, then all arrives once."""
    dead, well = Receiver(SECRET), Receiver(SECRET)
    dead.behavior.add([{"name": "status", "status": 500, "count": None}])
    async with dead.serve() as dead_url, well.serve() as well_url:
        entries = [webhook("dead", dead_url, tmp_path), webhook("well", well_url, tmp_path)]
        async with notifying(topics, *entries, **PATIENT, pending_max=8) as service:
            for revision in range(1, 6):
                await emit(topics, range(30), revision)
            await until(lambda: len(accepted(well)) == 150)
            await until(lambda: service.health()["pending"] == 6 * 4)
            assert len(await unfinished(topics)) <= 6 * 8
            dead.behavior.clear()
            await until(lambda: len(accepted(dead)) == 150)

    assert by_order(accepted(dead)) == {order: [1, 2, 3, 4, 5] for order in range(30)}
    assert dead.stats()["redelivered"] == 0


async def test_no_subscription_is_a_healthy_idle_that_says_what_to_add(
    topics: KafkaSettings,
) -> None:
    """Offsets move all the same."""
    async with notifying(topics) as service:
        await until(lambda: bool(service.health()["ready"]))
        health = service.health()

    assert health["ok"] is True
    assert "[[subscriptions]]" in str(health["advice"])


async def test_what_the_topic_is_about_to_forget_is_set_aside(
    settings: KafkaSettings, tmp_path: Path
) -> None:
    """A retention of two days leaves no time: deliveries, and what no position has passed."""
    kafka = settings.model_copy(update={"retention_days": {"events": 2}})
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "status", "status": 500, "count": None}])
    async with receiver.serve() as url:
        entry = webhook("erp", url, tmp_path)
        slow: dict[str, Any] = {"retry_schedule_seconds": [3600.0]}
        async with notifying(kafka, entry, **slow):
            await emit(kafka, range(4), 1)
            await until(lambda: receiver.stats()["requests"] == 4)
        async with notifying(kafka, **slow) as service:
            await until(lambda: service.health()["ready"] is True)
            await emit(kafka, range(3), 2)
            await until(lambda: _consumed(kafka, 3 + 4))
        async with notifying(kafka, **slow):
            await until(lambda: _letters(kafka, 7))

    reasons = {
        DeadLetter.read(dict(one.headers)).reason for one in await records(kafka, DEAD_LETTERS)
    }
    assert reasons == {"expired"}
    assert await unfinished(kafka) == set()


async def test_all_that_is_about_to_be_forgotten_is_set_aside_at_once(
    settings: KafkaSettings, tmp_path: Path
) -> None:
    """A held subscription far behind: not one chunk a minute, or the topic would forget first."""
    kafka = settings.model_copy(update={"retention_days": {"events": 2}, "partitions": 1})
    count = 2 * CHUNK_RECORDS_MAX + 100
    async with notifying(kafka, webhook("erp", "http://127.0.0.1:9/", tmp_path)) as service:
        await until(lambda: service.health()["ready"] is True)
    async with notifying(kafka) as service:
        await until(lambda: service.health()["ready"] is True)
        await emit(kafka, range(count), 1)
        await until(lambda: _consumed(kafka, count))
    async with notifying(kafka):
        await until(lambda: _letters(kafka, count))


async def test_what_the_topic_forgot_too_early_is_told(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """A position below the log's start: a warning with both numbers, once, and it moves on."""
    async with notifying(topics, webhook("erp", "http://127.0.0.1:9/", tmp_path)) as service:
        await until(lambda: service.health()["ready"] is True)
    async with notifying(topics) as service:
        await until(lambda: service.health()["ready"] is True)
        await emit(topics, range(30), 1)
        await until(lambda: _consumed(topics, 30))
    await _forget(topics, TopicPartition(topics.topic(EVENTS), 0), 2)
    with structlog.testing.capture_logs() as lines:
        async with notifying(topics):
            await until(lambda: _moved(topics))

    (lost,) = (line for line in lines if line["event"] == "notifier.events_lost")
    assert lost["log_level"] == "warning"
    assert (lost["partition"], lost["position"], lost["log_start"]) == (0, 0, 2)


async def test_writing_subscriptions_frees_what_a_broken_down_broker_forgot(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Its writer aborts within reach, which shows as a record that nobody reads (decision 0004)."""
    store = SubscriptionStore(topics, SystemClock())
    await store.sync([webhook("erp", "http://127.0.0.1:9/", tmp_path)])

    place, keys = TopicPartition(topics.topic(SUBSCRIPTIONS), 0), set[str]()
    consumer = AIOKafkaConsumer(
        **topics.client_args(), isolation_level="read_uncommitted", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        consumer.assign([place])
        end = await high_watermark(topics, place)
        async with asyncio.timeout(60):
            while await consumer.position(place) < end:
                batch = await consumer.getmany(place, timeout_ms=200)
                keys |= {one.key.decode() for one in batch.get(place, ())}
    finally:
        await consumer.stop()
    committed = {one.key.decode() for one in await records(topics, SUBSCRIPTIONS)}
    assert "erp" in committed
    assert keys - committed == {FENCE_KEY}


@pytest.mark.parametrize("task", ["follow", "report"])
async def test_a_copy_that_stops_hearing_of_endpoints_says_so(
    task: str, topics: KafkaSettings, tmp_path: Path
) -> None:
    """It must not go on with what it knew and look healthy."""

    def refuse(*_: object) -> None:
        raise LookupError(task)

    class Torn(SubscriptionStore):
        async def report(self, found: EndpointHealth) -> None:
            refuse(found)

    store, fatal = Torn(topics, SystemClock()), list[BaseException]()
    endpoints = Endpoints(topics, store, SystemClock(), fatal.append)
    await store.sync([webhook("erp", "http://127.0.0.1:9/", tmp_path)])
    await endpoints.start()
    try:
        if task == "follow":
            endpoints.listen(refuse)
            await store.sync([])
        else:
            endpoints.gone("erp")
        await until(lambda: len(fatal) == 1)
    finally:
        await endpoints.stop()

    assert [repr(error) for error in fatal] == [repr(LookupError(task))]


async def _forget(kafka: KafkaSettings, place: TopicPartition, before: int) -> None:
    """Delete the oldest records, as retention does."""
    admin = AIOKafkaAdminClient(**kafka.client_args())
    await admin.start()
    try:
        await admin.delete_records({place: RecordsToDelete(before_offset=before)})
    finally:
        await admin.close()


async def _moved(kafka: KafkaSettings) -> bool:
    """Whether the position of `erp` in partition 0 is where its log begins."""
    written = await records(kafka, DELIVERIES, 0)
    values = [one.value for one in written if one.key.decode() == position_key("erp")]
    return bool(values) and Position.model_validate_json(values[-1]).offset == 2


async def _letters(kafka: KafkaSettings, count: int) -> bool:
    return len(await records(kafka, DEAD_LETTERS)) == count


async def _consumed(kafka: KafkaSettings, count: int) -> bool:
    """Whether the group has passed that many events."""
    consumer = AIOKafkaConsumer(
        **kafka.client_args(), group_id=f"{kafka.prefix}.notifier", enable_auto_commit=False
    )
    await consumer.start()
    try:
        places = [TopicPartition(kafka.topic(EVENTS), number) for number in range(6)]
        consumer.assign(places)
        committed = {place.partition: await consumer.committed(place) or 0 for place in places}
    finally:
        await consumer.stop()
    events = await records(kafka, EVENTS)
    passed = [event for event in events if event.offset < committed[event.partition]]
    return len(passed) == count
