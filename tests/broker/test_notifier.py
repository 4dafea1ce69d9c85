"""The notifier on a real Kafka: fan-out, catch-up, lanes, and life after a kill."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from bus.clock import SystemClock
from bus.errors import Fenced, RetryLater
from bus.failures import Failures
from bus.settings import KafkaSettings
from bus.transaction import Writer
from schemas.dead_letter import DeadLetter
from schemas.topics import DEAD_LETTERS, EVENTS
from services.notifier.endpoints import Endpoints
from services.notifier.partition import OUTPUTS, Partition, group_of
from services.notifier.settings import NotifierSettings
from services.notifier.subscriptions import SubscriptionStore
from testbed.receiver import Receiver
from tests.broker.notifying import (
    PATIENT,
    SECRET,
    accepted,
    attempts,
    by_order,
    emit,
    gates_of,
    notifying,
    quick,
    unfinished,
    webhook,
)
from tests.broker.reading import records, until


async def test_every_event_arrives_once_in_order_and_leaves_only_its_log(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Old and new events, one delivery each; the table is empty when all is done."""
    receiver = Receiver(SECRET)
    await emit(topics, range(20), 1)
    async with receiver.serve() as url, notifying(topics, webhook("erp", url, tmp_path)) as service:
        await until(lambda: len(accepted(receiver)) == 20)
        await emit(topics, range(20), 2)
        await until(lambda: len(accepted(receiver)) == 40)
        await until(lambda: service.health()["pending"] == 0)

    assert by_order(accepted(receiver)) == {order: [1, 2] for order in range(20)}
    assert receiver.stats()["redelivered"] == 0
    assert await unfinished(topics) == set()
    assert Counter(one.outcome for one in await attempts(topics)) == {"delivered": 40}


async def test_a_failing_head_holds_its_lane_and_no_other(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """The later event of the same order waits; those of other orders pass by."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "status", "status": 500, "count": None, "match": "pkg_0_1"}])
    for revision in (1, 2):
        await emit(topics, range(5), revision)
    async with receiver.serve() as url, notifying(topics, webhook("erp", url, tmp_path), **PATIENT):
        await until(lambda: len(accepted(receiver)) == 8)
        await until(lambda: receiver.behavior.struck["status"] >= 4)
        receiver.behavior.clear()
        await until(lambda: len(accepted(receiver)) == 10)

    assert accepted(receiver)[-2:] == ["pkg_0_1", "pkg_0_2"]
    tries = [r["event"]["subject"] for r in receiver.records].count("pkg_0_1")
    failed = [one.number for one in await attempts(topics) if one.outcome != "delivered"]
    assert failed == list(range(1, tries))


async def test_an_exhausted_head_is_set_aside_and_its_lane_goes_on(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """After the last try the event lies in dead-letters, whole, and the next one is delivered."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "status", "status": 400, "count": 99, "match": "pkg_0_1"}])
    for revision in (1, 2):
        await emit(topics, [0], revision)
    schedule = [0.1, 0.1]
    async with (
        receiver.serve() as url,
        notifying(topics, webhook("erp", url, tmp_path), retry_schedule_seconds=schedule),
    ):
        await until(lambda: accepted(receiver) == ["pkg_0_2"])

    (letter,) = await records(topics, DEAD_LETTERS)
    (event, _) = await records(topics, EVENTS)
    assert (letter.key, letter.value, letter.partition) == (event.key, event.value, event.partition)
    assert "3 tries" in DeadLetter.read(dict(letter.headers)).reason
    assert await unfinished(topics) == set()


async def test_a_late_subscription_catches_up_without_gap_or_double(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """While events go on arriving: each one once, in order, from the very first."""
    early, late = Receiver(SECRET), Receiver(SECRET)

    async def keep_emitting() -> None:
        for revision in range(2, 22):
            await emit(topics, range(30), revision)

    await emit(topics, range(30), 1)
    async with early.serve() as early_url, late.serve() as late_url:
        first = webhook("early", early_url, tmp_path)
        async with notifying(topics, first):
            emitting = asyncio.create_task(keep_emitting())
            await until(lambda: len(accepted(early)) > 100)
            # Another copy brings the new subscription; the first one learns of it on the way.
            async with notifying(topics, first, webhook("late", late_url, tmp_path)):
                await emitting
                await until(lambda: len(accepted(late)) == 630)
            await until(lambda: len(accepted(early)) == 630)

    expected = {order: list(range(1, 22)) for order in range(30)}
    assert by_order(accepted(late)) == expected
    assert by_order(accepted(early)) == expected
    assert Counter((one.subscription, one.outcome) for one in await attempts(topics)) == {
        ("early", "delivered"): 630,
        ("late", "delivered"): 630,
    }


async def test_now_means_the_moment_the_subscription_was_made(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """What was there before is not sent; what comes while no copy runs is."""
    receiver = Receiver(SECRET)
    await emit(topics, range(5), 1)
    async with receiver.serve() as url:
        entry = webhook("erp", url, tmp_path, start_from="now")
        async with notifying(topics, entry):
            pass
        await emit(topics, range(5), 2)
        async with notifying(topics, entry):
            await until(lambda: len(accepted(receiver)) == 5)

    assert by_order(accepted(receiver)) == {order: [2] for order in range(5)}


async def test_a_new_owner_has_everything_and_the_older_one_can_write_nothing(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """As after a kill: deliveries, tries made, positions; fan-out of a batch stays exactly once."""
    receiver = Receiver(SECRET)
    await emit(topics, range(30), 1)
    batch = await records(topics, EVENTS, 0)
    assert len(batch) > 3
    for subject in [dict(one.headers)["ce_subject"].decode() for one in batch[:3]]:
        failing = {"name": "status", "status": 500, "count": None, "match": subject}
        receiver.behavior.add([failing])
    async with receiver.serve() as url:
        fatal: list[BaseException] = []
        store = SubscriptionStore(topics, SystemClock())
        await store.sync([webhook("erp", url, tmp_path, start_from="earliest")])
        endpoints = Endpoints(topics, store, SystemClock(), fatal.append)
        await endpoints.start()
        patient = quick(**PATIENT, concurrency=6)
        owners = [_owner(topics, patient, endpoints) for _ in range(2)]
        try:
            await owners[0].open()
            await owners[0].handle(batch)
            await until(lambda: len(receiver.records) >= len(batch))
            await until(lambda: len(owners[0].holdings.lanes) == 3)
            await owners[1].open()
            with pytest.raises(RetryLater):
                await owners[0].handle(batch)
            assert len(owners[1].holdings.lanes) == 3
            assert owners[1].holdings.live == batch[-1].offset + 1
            await owners[1].handle(batch)
            receiver.behavior.clear()
            await until(lambda: len(owners[1].holdings.lanes) == 0)
        finally:
            for owner in owners:
                await owner.close()
            await endpoints.stop()

    assert fatal == []
    assert len(accepted(receiver)) == len(batch)
    tries = [one.number for one in await attempts(topics) if one.outcome == "delivered"]
    assert (len(tries), tries.count(1)) == (len(batch), len(batch) - 3)


async def test_an_owner_fenced_while_it_drains_leaves_nothing_running(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Its try ends after the new owner came: the write fails, it is told of, and that is all."""
    arrived, answer, fatal = asyncio.Event(), asyncio.Event(), list[BaseException]()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        await answer.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    await emit(topics, range(30), 1)
    batch = (await records(topics, EVENTS, 0))[:1]
    store = SubscriptionStore(topics, SystemClock())
    endpoints = Endpoints(topics, store, SystemClock(), fatal.append)
    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server:
        await store.sync([webhook("erp", url, tmp_path)])
        await endpoints.start()
        failures = list[RetryLater]()
        owner = _owner(topics, quick(), endpoints, failures.append)
        place = TopicPartition(topics.topic(EVENTS), 0)
        newer = Writer.of_partition(topics, group_of(topics), place, OUTPUTS)
        try:
            await owner.open()
            await owner.handle(batch)
            await asyncio.wait_for(arrived.wait(), 60)
            await newer.start()
            closing = asyncio.create_task(owner.close())
            await asyncio.sleep(0)  # it drains now
            answer.set()
            await closing
        finally:
            await newer.close()
            await endpoints.stop()
        left = [task for task in asyncio.all_tasks() if "Partition." in repr(task)]

    assert fatal == []
    assert any(isinstance(error, Fenced) for error in failures)
    assert left == []


async def test_a_subscription_behind_is_no_part_of_a_live_batch(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Known just before a batch: the batch passes it by, catching up brings both in order."""
    receiver, fatal = Receiver(SECRET), list[BaseException]()
    store = SubscriptionStore(topics, SystemClock())
    endpoints = Endpoints(topics, store, SystemClock(), fatal.append)
    owner = _owner(topics, quick(), endpoints)
    await emit(topics, range(30), 1)
    first = await records(topics, EVENTS, 0)
    await emit(topics, range(30), 2)
    second = (await records(topics, EVENTS, 0))[len(first) :]
    async with receiver.serve() as url:
        try:
            await endpoints.start()
            await owner.open()
            await owner.handle(first)
            async with owner.holdings.lock:
                handling = asyncio.create_task(owner.handle(second))
                await asyncio.sleep(0)  # first in line for the lock, before catching up
                await store.sync([webhook("erp", url, tmp_path)])
                await until(lambda: endpoints.get("erp") is not None)
            await handling
            await until(lambda: len(accepted(receiver)) == len(first) + len(second))
        finally:
            await owner.close()
            await endpoints.stop()

    assert fatal == []
    assert all(found == [1, 2] for found in by_order(accepted(receiver)).values())


def _owner(
    kafka: KafkaSettings,
    settings: NotifierSettings,
    endpoints: Endpoints,
    broken: Callable[[RetryLater], None] = lambda _: None,
) -> Partition:
    gates = gates_of(kafka, settings, endpoints)
    return Partition(
        kafka,
        settings,
        0,
        endpoints=endpoints,
        gates=gates,
        failures=Failures("events/0"),
        broken=broken,
    )
