"""Commands about deliveries on a real Kafka: carried out once, by whoever owns each partition."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bus.clock import SystemClock
from bus.errors import Fenced, Misuse, RetryLater
from bus.settings import KafkaSettings
from schemas.command import Command, Retry
from schemas.topics import DEAD_LETTERS
from services.notifier.asking import ask
from services.notifier.endpoints import Endpoints
from services.notifier.letters import Letter
from services.notifier.partition import Partition
from services.notifier.subscriptions import SubscriptionStore
from testbed.receiver import Receiver
from tests.broker.commanding import idle, letters, noted, receipts, recover, retry, targets
from tests.broker.notifying import (
    PATIENT,
    SECRET,
    accepted,
    attempts,
    by_order,
    emit,
    notifying,
    owning,
    quick,
    unfinished,
    webhook,
)
from tests.broker.reading import records, until

HOURS: dict[str, Any] = {"retry_schedule_seconds": [3600.0] * 5}


async def test_recover_brings_every_event_again_with_its_id_over_a_rebuild(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Once more and no oftener, in order; the owners die while it is under way."""
    receiver = Receiver(SECRET)
    for revision in (1, 2):
        await emit(topics, range(20), revision)
    async with receiver.serve() as url:
        entry = webhook("erp", url, tmp_path)
        async with notifying(topics, entry) as service:
            await until(lambda: len(receipts(receiver)) == 40)
            receiver.behavior.add([{"name": "status", "status": 500, "count": None}])
            command = await recover(topics)
            await until(lambda: noted(topics, command))
            await until(lambda: receiver.behavior.struck["status"] > 0)
        receiver.behavior.clear()
        async with notifying(topics, entry) as service:
            await until(lambda: receipts(receiver).total() == 80)
            await emit(topics, range(20), 3)
            await until(lambda: receipts(receiver).total() == 100)
            await until(lambda: service.health()["pending"] == 0)

    assert Counter(receipts(receiver).values()) == {2: 40, 1: 20}
    again = [r["event"]["subject"] for r in receiver.records if r["status"] == 200][40:]
    assert by_order(again) == {order: [1, 2, 3] for order in range(20)}


async def test_recover_passes_over_what_is_unfinished(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Its tries are not lost, and it comes once; what follows it keeps its place behind it."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "status", "status": 500, "count": None, "match": "pkg_0_2"}])
    for revision in (1, 2, 3):
        await emit(topics, [0], revision)
    async with (
        receiver.serve() as url,
        notifying(topics, webhook("erp", url, tmp_path), **PATIENT) as service,
    ):
        await until(lambda: receiver.behavior.struck["status"] >= 2)
        command = await recover(topics)
        await until(lambda: noted(topics, command))
        await until(lambda: receipts(receiver).total() == 2)
        receiver.behavior.clear()
        await until(lambda: service.health()["pending"] == 0)

    subjects = [r["event"]["subject"] for r in receiver.records if r["status"] == 200]
    assert subjects == ["pkg_0_1", "pkg_0_1", "pkg_0_2", "pkg_0_3"]


async def test_a_dead_lane_is_tried_at_once(topics: KafkaSettings, tmp_path: Path) -> None:
    """All that is unfinished, by one command: fresh tries, the same ids, nothing twice."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "status", "status": 500, "count": None}])
    for revision in (1, 2):
        await emit(topics, range(5), revision)
    async with (
        receiver.serve() as url,
        notifying(topics, webhook("erp", url, tmp_path), **HOURS) as service,
    ):
        await until(lambda: receiver.stats()["requests"] == 5)
        receiver.behavior.clear()
        await idle(service, topics, await retry(topics))

    assert by_order(accepted(receiver)) == {order: [1, 2] for order in range(5)}
    assert receiver.stats()["redelivered"] == 0
    assert {one.number for one in await attempts(topics)} == {1}  # all its tries are new


async def test_a_delivered_event_is_sent_again_when_asked_for(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """That one, with its id; the others are left alone."""
    receiver = Receiver(SECRET)
    await emit(topics, range(5), 1)
    async with (
        receiver.serve() as url,
        notifying(topics, webhook("erp", url, tmp_path)) as service,
    ):
        await until(lambda: len(accepted(receiver)) == 5)
        (target,) = await targets(topics, "pkg_3_1")
        await idle(service, topics, await retry(topics, target))

    assert receipts(receiver)[target.event_id] == 2
    assert Counter(receipts(receiver).values()) == {2: 1, 1: 4}
    assert await unfinished(topics) == set()


async def test_an_exhausted_event_is_delivered_from_its_letter(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """The body as it was, also by an owner that was built after the command."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "status", "status": 400, "count": None, "match": "pkg_0_1"}])
    await emit(topics, [0], 1)
    async with receiver.serve() as url:
        entry = webhook("erp", url, tmp_path)
        async with notifying(topics, entry, retry_schedule_seconds=[0.1]) as service:
            await until(lambda: letters(topics, 1))
            (record,) = await records(topics, DEAD_LETTERS)
            command = await retry(topics, Letter.of(record).target)
            await until(lambda: noted(topics, command))
            await until(lambda: letters(topics, 2))  # it failed again, and is whole again
        receiver.behavior.clear()
        command = await retry(topics, Letter.of((await records(topics, DEAD_LETTERS))[1]).target)
        async with notifying(topics, entry) as service:
            await idle(service, topics, command)

    first, second = [Letter.of(one) for one in await records(topics, DEAD_LETTERS)]
    assert (second.event.headers, second.event.offset) == (first.event.headers, first.event.offset)
    (receipt,) = [one for one in receiver.records if one["status"] == 200]
    assert receipt["event"] == {**first.event.envelope.attributes, **_structured(first)}


async def test_an_expired_event_is_delivered_from_its_letter(
    settings: KafkaSettings, tmp_path: Path
) -> None:
    """What a held subscription never got: its letter is as good as the event."""
    kafka = settings.model_copy(update={"retention_days": {"events": 2}})
    receiver = Receiver(SECRET)
    async with receiver.serve() as url:
        entry = webhook("erp", url, tmp_path)
        async with notifying(kafka, entry) as service:
            await until(lambda: service.health()["ready"] is True)
        async with notifying(kafka):  # gone from the file: held
            await emit(kafka, range(3), 1)
            await until(lambda: letters(kafka, 3), 90)
        found = [Letter.of(record) for record in await records(kafka, DEAD_LETTERS)]
        assert {letter.why.reason for letter in found} == {"expired"}
        command = await retry(kafka, *(letter.target for letter in found))
        async with notifying(kafka, entry) as service:
            await idle(service, kafka, command)

    assert by_order(accepted(receiver)) == {order: [1] for order in range(3)}
    assert len(await records(kafka, DEAD_LETTERS)) == 3


async def test_a_command_is_carried_out_once_wherever_its_owner_stops(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """An owner stopped after any number of steps: each command gives one delivery more."""
    receiver = Receiver(SECRET)
    await emit(topics, [0], 1)
    async with receiver.serve() as url:
        async with notifying(topics, webhook("erp", url, tmp_path)):
            await until(lambda: len(accepted(receiver)) == 1)
        (target,) = await targets(topics, "pkg_0_1")
        turns = [0, 1, 2, 3, 5, 8, 13, 30, 100]
        for count in turns:
            command = await retry(topics, target)
            async with owning(topics, quick(), target.partition):
                for _ in range(count):
                    await asyncio.sleep(0)
            async with owning(topics, quick(), target.partition) as owner:
                await until(partial(_settled, owner, command))

    delivered = [one.outcome for one in await attempts(topics)]
    assert delivered == ["delivered"] * (1 + len(turns))


async def test_a_fenced_owner_carries_nothing_out(topics: KafkaSettings, tmp_path: Path) -> None:
    """Two hear of it, the newer one writes; what the older one decided is not there."""
    receiver, failures = Receiver(SECRET), list[RetryLater]()
    await emit(topics, [0], 1)
    async with receiver.serve() as url:
        async with notifying(topics, webhook("erp", url, tmp_path)):
            await until(lambda: len(accepted(receiver)) == 1)
        (target,) = await targets(topics, "pkg_0_1")
        async with (
            owning(topics, quick(), target.partition, failures.append),
            owning(topics, quick(), target.partition) as newer,
        ):
            command = await retry(topics, target)
            await until(lambda: newer.holdings.command("erp") == command.number)
            await until(lambda: any(isinstance(error, Fenced) for error in failures))
            await until(lambda: len(newer.holdings.lanes) == 0)

    assert [one.outcome for one in await attempts(topics)] == ["delivered"] * 2


async def test_what_begins_anew_waits_for_room(topics: KafkaSettings, tmp_path: Path) -> None:
    """A full table takes no redriven delivery; it comes when something is finished."""
    receiver = Receiver(SECRET)
    await emit(topics, [0], 1)
    async with (
        receiver.serve() as url,
        notifying(topics, webhook("erp", url, tmp_path), pending_max=1, **PATIENT) as service,
    ):
        await until(lambda: len(accepted(receiver)) == 1)
        receiver.behavior.add([{"name": "status", "status": 500, "count": None}])
        await emit(topics, [0], 2)
        await until(lambda: receiver.behavior.struck["status"] >= 1)
        (target,) = await targets(topics, "pkg_0_1")
        command = await retry(topics, target)
        struck = receiver.behavior.struck["status"]
        await until(lambda: receiver.behavior.struck["status"] >= struck + 2)
        assert not await noted(topics, command)
        receiver.behavior.clear()
        await idle(service, topics, command)

    assert [r["event"]["subject"] for r in receiver.records if r["status"] == 200] == [
        "pkg_0_1",
        "pkg_0_2",
        "pkg_0_1",
    ]


async def test_done_commands_go_when_there_are_many_and_waiting_ones_never(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Nobody owns the partitions: the next one is refused; once they are done it is taken."""
    clock = SystemClock()
    store = SubscriptionStore(topics, clock)
    await store.sync([webhook("erp", "http://127.0.0.1:9/", tmp_path)])
    fatal = list[BaseException]()
    endpoints = Endpoints(topics, store, clock, fatal.append)
    await endpoints.start()

    async def asked() -> Command:
        subscription = endpoints.get("erp")
        assert subscription is not None
        return await ask(
            topics,
            store,
            subscription,
            endpoints.commands("erp"),
            lambda number: Retry(subscription="erp", number=number, created_at=clock.now()),
            waiting_max=3,
        )

    try:
        for count in range(1, 4):
            newest = await asked()
            await until(partial(_knows, endpoints, count))
        with pytest.raises(Misuse, match="wait to be carried out"):
            await asked()
        async with notifying(topics, webhook("erp", "http://127.0.0.1:9/", tmp_path)):
            await until(lambda: noted(topics, newest))
        last = await asked()
        await until(lambda: endpoints.commands("erp") == [last])
    finally:
        await endpoints.stop()

    assert last.number > newest.number
    assert fatal == []


def _knows(endpoints: Endpoints, count: int) -> bool:
    return len(endpoints.commands("erp")) == count


def _settled(owner: Partition, command: Command) -> bool:
    return owner.holdings.command("erp") == command.number and not len(owner.holdings.lanes)


def _structured(letter: Letter) -> dict[str, Any]:
    return {"datacontenttype": "application/json", "data": json.loads(letter.event.envelope.data)}
