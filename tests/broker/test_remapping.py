"""Stored fulfillments mapped again beside a running normalizer, on a real Kafka."""

from __future__ import annotations

from datetime import timedelta

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from bus import reading
from bus.admin import ensure_topics
from bus.clock import SystemClock
from bus.errors import Misuse
from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from console.remapping import CHUNK_STATES, EXAMPLES_MAX, Tally, remap
from schemas.fulfillment import Fulfillment
from schemas.topics import EVENTS, FULFILLMENTS, RAW
from services.normalizer.mappers import discovered
from tests.broker.normalizing import NOON, event_ids, normalizing, produce, raw, settled
from tests.broker.reading import records
from tests.unit.normalizer.copies import Misreading

MENDED = discovered()
OLDER = {"zentail": Misreading(MENDED["zentail"], lambda version: version + timedelta(hours=6))}


async def states(kafka: KafkaSettings) -> dict[str, Fulfillment]:
    """By key."""
    values = await reading.table(kafka, FULFILLMENTS)
    return {key: Fulfillment.model_validate_json(value) for key, value in values.items()}


async def mapped_again(kafka: KafkaSettings, *, apply: bool = False) -> Tally:
    return await remap(kafka, "zentail", MENDED, apply=apply)


async def test_a_mended_mapper_reaches_what_is_stored(topics: KafkaSettings) -> None:
    """Said first, then done by the normalizer alone, once; what came in between stays."""
    orders, forgotten = range(40), 30
    async with normalizing(topics, mappers=OLDER):
        await produce(topics, [raw(number) for number in orders])
        await settled(topics)
    lost = await forget_raw(topics, partition_of(raw(forgotten)[0], topics.partitions))
    told = event_ids(await records(topics, EVENTS))
    plan = await mapped_again(topics)
    said = (plan.fulfillments, plan.changed, plan.expired, plan.unchanged, plan.refused)
    after_the_plan = (event_ids(await records(topics, EVENTS)), len(await records(topics, RAW)))
    kept = [n for n in orders if raw(n)[0] not in lost]
    async with normalizing(topics):
        await produce(topics, [raw(kept[0], 7 * 3600)])
        await settled(topics)
        done = await mapped_again(topics, apply=True)
        await settled(topics)
        again = await mapped_again(topics)
    events = await records(topics, EVENTS)
    found = await states(topics)

    assert said == (40, len(kept), len(lost), 0, 0)
    assert plan.kinds == {"package.tracking_changed": len(kept)}
    assert len(plan.examples["package.tracking_changed"]) == EXAMPLES_MAX
    assert after_the_plan == (told, len(kept))
    assert (done.changed, done.unchanged) == (len(kept) - 1, 1)
    assert (again.changed, again.unchanged, again.expired) == (0, len(kept), len(lost))
    assert len(event_ids(events, "package.shipped")) == 40
    assert len(set(event_ids(events))) == len(event_ids(events))
    numbers = {
        key: one.packages[0].trackings[0].number for key, one in found.items() if key not in lost
    }
    expected = {raw(n)[0]: f"T{n}-0" for n in kept[1:]} | {raw(kept[0])[0]: f"T{kept[0]}-25200"}
    assert numbers == expected
    assert all(found[raw(n)[0]].updated_at == NOON for n in kept[1:])


async def forget_raw(kafka: KafkaSettings, partition: int) -> set[str]:
    """Delete what a partition of raw holds, as its retention would; the keys that were there."""
    keys = {record.key.decode() for record in await records(kafka, RAW, partition)}
    place = TopicPartition(kafka.topic(RAW), partition)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_records({place: RecordsToDelete(-1)})
    finally:
        await admin.close()
    return keys


async def test_records_far_apart_and_more_than_a_chunk_are_all_found(
    topics: KafkaSettings,
) -> None:
    """In any order of offsets, with markers and other records between them; each once."""
    one = topics.model_copy(update={"prefix": f"{topics.prefix}-one", "partitions": 1})
    await ensure_topics(one, SystemClock())
    orders = range(CHUNK_STATES + 20)
    async with normalizing(one, mappers=OLDER):
        await produce(one, [raw(n, version) for version in range(4) for n in orders])
        await produce(one, [raw(orders[0], 9)])
        await settled(one)
    tally = await mapped_again(one)
    offsets = [state.raw.offset for state in (await states(one)).values()]
    wanted = sorted([*offsets[::7], max(offsets) + 1, 10**9])
    async with reading.picking(one, RAW, 0) as picker:
        picked = [(at, record and record.offset) async for at, record in picker.at(wanted)]
        before = [record async for _, record in picker.at([0])]

    assert (tally.fulfillments, tally.changed) == (len(orders), len(orders))
    assert picked == [(at, at if at <= max(offsets) else None) for at in wanted]
    assert [record and record.offset for record in before] == [0]


async def test_a_system_without_a_mapper_is_refused(topics: KafkaSettings) -> None:
    """The line names those there are."""
    with pytest.raises(Misuse, match=r"no mapper for 'netsuite'; there are: .*zentail"):
        await remap(topics, "netsuite", MENDED, apply=False)
