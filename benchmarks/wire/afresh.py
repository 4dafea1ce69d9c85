"""A feed as it was before anybody had read raw: the same backlog for everyone."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from bus.admin import ensure_topics
from bus.clock import Clock
from bus.settings import KafkaSettings
from schemas.topics import RAW


async def afresh(kafka: KafkaSettings, group: str, clock: Clock) -> None:
    """All topics but raw made anew, others than ours gone, `group` back at the beginning of raw."""
    raw = kafka.topic(RAW)
    admin = AIOKafkaAdminClient(**kafka.client_args())
    await admin.start()
    try:
        await admin.delete_topics(
            [n for n in await admin.list_topics() if n[0] != "_" and n != raw]
        )
    finally:
        await admin.close()
    await ensure_topics(kafka, clock)
    consumer = AIOKafkaConsumer(**kafka.client_args(), group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(raw, number) for number in range(kafka.partition_count(RAW))]
        consumer.assign(places)
        await consumer.commit(dict.fromkeys(places, 0))
    finally:
        await consumer.stop()
