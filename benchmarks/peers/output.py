"""For each raw record as much as a normalizer writes, exactly once, and no work: the ceiling.

The loop of `pass_through`; but what goes out was made before, by the normalizer's own core from
orders like those on raw: as many records, as large.  What a real normalizer stays behind this is
its work; what this stays behind a copy of raw is the output alone.
"""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import cycle

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from benchmarks.inputs.outputs import outputs
from benchmarks.peers.pass_through import Fetched, Send, run
from bus.settings import KafkaSettings
from bus.transaction import Record

NAME = "output"


def sending(kafka: KafkaSettings) -> Send:
    """What each record is followed by, over and over."""
    return partial(_sent, cycle(outputs(kafka)))


async def _sent(made: cycle[list[Record]], producer: AIOKafkaProducer, fetched: Fetched) -> None:
    """As many records as follow from those, in the same partitions, under the same keys."""
    futures = []
    for place, records in fetched.items():
        filling: dict[str, BatchBuilder] = {}
        for raw in records:
            for record in next(made):
                batch = filling.get(record.topic)
                if batch is None or not _taken(batch, raw.key, record):
                    if batch is not None:
                        futures.append(
                            await producer.send_batch(
                                batch, record.topic, partition=place.partition
                            )
                        )
                    batch = filling[record.topic] = producer.create_batch()
                    _taken(batch, raw.key, record)
        for topic, batch in filling.items():
            futures.append(await producer.send_batch(batch, topic, partition=place.partition))
    await asyncio.gather(*futures)


def _taken(batch: BatchBuilder, key: bytes, record: Record) -> bool:
    """Whether there was room for it."""
    taken = batch.append(timestamp=None, key=key, value=record.value, headers=list(record.headers))
    return taken is not None


if __name__ == "__main__":
    run(NAME, sending)
