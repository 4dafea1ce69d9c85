"""Raw copied to events by bare aiokafka, exactly once: one consumer, one transactional producer.

Nothing of ours but the settings, no state, no look at a record; whatever has been fetched goes out
as whole batches in one transaction.  What any work on a record costs is what a normalizer needs
beside this.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder

from bus.service import command_line
from bus.settings import Config, KafkaSettings
from schemas.topics import EVENTS, RAW

NAME = "pass-through"
# Tuned on two cores: larger ones were no faster.
TRANSACTION_RECORDS_MAX = 10_000
BATCH_BYTES = 1024 * 1024
FETCH_WAIT_MS = 20

Fetched = Mapping[TopicPartition, Sequence[ConsumerRecord]]
Send = Callable[[AIOKafkaProducer, Fetched], Awaitable[None]]


async def passed(kafka: KafkaSettings, name: str, send: Send) -> None:
    """What `send` makes of raw, in the transactions of the group `name`.  Until canceled."""
    group = f"{kafka.prefix}.{name}"
    consumer = AIOKafkaConsumer(
        kafka.topic(RAW),
        **kafka.client_args(),
        group_id=group,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 * BATCH_BYTES,
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    producer = AIOKafkaProducer(
        **kafka.client_args(),
        transactional_id=group,
        retry_backoff_ms=1,
        max_batch_size=BATCH_BYTES,
        max_request_size=16 * BATCH_BYTES,
    )
    async with producer, consumer:
        while True:
            fetched = await consumer.getmany(
                timeout_ms=FETCH_WAIT_MS, max_records=TRANSACTION_RECORDS_MAX
            )
            if fetched:
                async with producer.transaction():
                    await send(producer, fetched)
                    await producer.send_offsets_to_transaction(
                        {place: records[-1].offset + 1 for place, records in fetched.items()}, group
                    )


async def _copied(topic: str, producer: AIOKafkaProducer, fetched: Fetched) -> None:
    """Each partition's records, as many in a batch as it takes."""
    futures = []
    for place, records in fetched.items():
        batch = producer.create_batch()
        for record in records:
            if not _taken(batch, record):
                futures.append(await producer.send_batch(batch, topic, partition=place.partition))
                batch = producer.create_batch()
                _taken(batch, record)
        futures.append(await producer.send_batch(batch, topic, partition=place.partition))
    await asyncio.gather(*futures)


def _taken(batch: BatchBuilder, record: ConsumerRecord) -> bool:
    """Whether there was room for it."""
    headers = list(record.headers)
    taken = batch.append(timestamp=None, key=record.key, value=record.value, headers=headers)
    return taken is not None


async def _until_told(work: Awaitable[None]) -> None:
    working = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, working.cancel)
    await asyncio.wait({working})
    if not working.cancelled():
        working.result()


def run(name: str, sending: Callable[[KafkaSettings], Send]) -> None:
    """A peer as a process: what the configuration says, until a signal."""
    arguments = command_line(name).parse_args()
    kafka = Config.read(arguments.config).section("kafka", KafkaSettings)
    send = sending(kafka)
    gc.freeze()
    asyncio.run(_until_told(passed(kafka, name, send)))


if __name__ == "__main__":
    run(NAME, lambda kafka: partial(_copied, kafka.topic(EVENTS)))
