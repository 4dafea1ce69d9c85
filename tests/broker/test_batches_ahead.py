"""Batches a normalizer has made while Kafka does not have them yet: all of them count, or none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from bus.admin import ensure_topics
from bus.clock import SystemClock
from bus.errors import RetryLater
from bus.failures import Failures
from bus.settings import KafkaSettings
from schemas.topics import EVENTS, FULFILLMENTS, RAW
from services.normalizer.handler import (
    BATCHES_AHEAD_MAX,
    BREATH_RECORDS,
    RawPartition,
    group_of,
)
from services.normalizer.mappers import discovered
from services.normalizer.stubs import Stubs
from tests.broker.normalizing import event_ids, fenced, normalizing, produce, raw, settled
from tests.broker.reading import records, until

ORDERS = 20  # in a batch, each in a new version
EVENTS_EACH = 3  # of an order at first sight; each later version tells one more


@pytest.fixture
def settings(kafka: str, prefix: str) -> KafkaSettings:
    """A feed of its own with one partition."""
    return KafkaSettings(
        bootstrap_servers=kafka,
        prefix=prefix,
        partitions=1,
        session_timeout_ms=1500,
        transaction_timeout_ms=3000,
    )


async def versions(settings: KafkaSettings, count: int) -> list[list[ConsumerRecord]]:
    """So many versions of the same orders, as raw records, a batch each."""
    await ensure_topics(settings, SystemClock())
    shown = [raw(number, version) for version in range(count) for number in range(ORDERS)]
    await produce(settings, shown)
    written = await records(settings, RAW, 0)
    return [written[at : at + ORDERS] for at in range(0, len(written), ORDERS)]


async def owner(settings: KafkaSettings, failures: list[RetryLater]) -> RawPartition:
    """Who owns the partition from now on, and has read what it has to know."""
    found = RawPartition(
        settings,
        0,
        discovered(),
        Stubs(None),
        failures=Failures("raw/0"),
        clock=SystemClock(),
        broken=failures.append,
    )
    await found.open()
    return found


async def covered(settings: KafkaSettings) -> int:
    """The first raw offset that is still to be normalized."""
    consumer = AIOKafkaConsumer(
        **settings.client_args(), group_id=group_of(settings), enable_auto_commit=False
    )
    await consumer.start()
    try:
        found: int | None = await consumer.committed(TopicPartition(settings.topic(RAW), 0))
        return found or 0
    finally:
        await consumer.stop()


async def handled(partition: RawPartition, batches: Sequence[list[ConsumerRecord]]) -> None:
    for batch in batches:
        await partition.handle(batch)


async def taken_over(settings: KafkaSettings, batches: Sequence[list[ConsumerRecord]]) -> None:
    """The next owner does what is left to do."""
    failures: list[RetryLater] = []
    successor = await owner(settings, failures)
    begin = await covered(settings)
    await handled(successor, [batch for batch in batches if batch[-1].offset >= begin])
    await successor.close()
    assert failures == []


async def told_once(settings: KafkaSettings, count: int) -> None:
    """Each of so many versions has been told, and none again."""
    ids = event_ids(await records(settings, EVENTS))
    assert len(ids) == len(set(ids)) == ORDERS * (EVENTS_EACH + count - 1)
    assert len(await records(settings, FULFILLMENTS)) == ORDERS * count


async def test_a_partition_that_is_let_go_finishes_what_is_ahead(settings: KafkaSettings) -> None:
    """None of the batches had a chance to be sent before."""
    batches = await versions(settings, BATCHES_AHEAD_MAX)
    failures: list[RetryLater] = []
    partition = await owner(settings, failures)
    await handled(partition, batches)
    await partition.close()

    assert failures == []
    assert await covered(settings) == batches[-1][-1].offset + 1
    await told_once(settings, len(batches))


async def test_a_fenced_owner_loses_all_that_is_ahead_and_nothing_before(
    settings: KafkaSettings,
) -> None:
    """One batch is durable, the others are not; it is told so, and whoever comes later."""
    first, *others = batches = await versions(settings, BATCHES_AHEAD_MAX + 2)
    failures: list[RetryLater] = []
    partition = await owner(settings, failures)
    await partition.handle(first)

    begin = int(others[0][0].offset)

    async def durable() -> bool:
        return await covered(settings) == begin

    await until(durable)
    await fenced(settings, 0)
    with pytest.raises(RetryLater):
        await handled(partition, others)

    assert failures
    assert await durable()
    await told_once(settings, 1)
    with pytest.raises(RetryLater):
        await partition.handle(others[0])
    await partition.close()
    await taken_over(settings, batches)
    await told_once(settings, len(batches))


async def test_what_a_lost_owner_had_ahead_is_done_once_by_the_next(
    settings: KafkaSettings,
) -> None:
    """It is still sending when the next one begins: however far it gets, nothing is doubled."""
    batches = await versions(settings, BATCHES_AHEAD_MAX)
    lost = await owner(settings, [])
    await handled(lost, batches)
    await taken_over(settings, batches)
    await lost.close()

    assert await covered(settings) == batches[-1][-1].offset + 1
    await told_once(settings, len(batches))


async def test_a_partition_closed_while_a_batch_is_being_made_asks_for_a_rebuild(
    settings: KafkaSettings,
) -> None:
    """The batch in hand fails with RetryLater, never with an error that ends the process."""
    batches = await versions(settings, BREATH_RECORDS // ORDERS + 1)
    long_one = [record for batch in batches for record in batch]
    partition = await owner(settings, [])

    making = asyncio.create_task(partition.handle(long_one))
    await asyncio.sleep(0)  # it has begun, and lets others run after BREATH_RECORDS
    await partition.close()

    with pytest.raises(RetryLater):
        await making
    await taken_over(settings, [long_one])
    await told_once(settings, len(batches))


async def test_a_backlog_is_told_once_while_writers_are_fenced(settings: KafkaSettings) -> None:
    """Batches are fetched, made and on their way whenever the writer is lost."""
    await ensure_topics(settings, SystemClock())
    orders = 4000
    await produce(settings, [raw(number) for number in range(orders)])
    async with normalizing(settings):
        for _ in range(3):
            before = await covered(settings)
            await fenced(settings, 0)

            async def further(before: int = before) -> bool:
                return await covered(settings) > min(before, orders - 1)

            await until(further)
        await settled(settings)

    ids = event_ids(await records(settings, EVENTS))
    assert len(ids) == len(set(ids)) == orders * EVENTS_EACH
    assert len(await records(settings, FULFILLMENTS)) == orders
