"""Removing what is known of one fulfillment, beside the normalizer that owns its partition."""

from __future__ import annotations

from functools import partial

from bus.beside import beside_owner
from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction, Writer
from schemas.topics import FULFILLMENTS
from services.normalizer.handler import writer_of


async def forget(kafka: KafkaSettings, key: str) -> None:
    """A tombstone in place of its state: whatever is observed next is a first sight.

    The owner is fenced, so the state in its memory goes too.  Raises RetryLater.
    """
    partition = partition_of(key, kafka.partition_count(FULFILLMENTS))
    tombstone = Record(kafka.topic(FULFILLMENTS), partition, key, None)

    async def write(writer: Writer) -> None:
        await writer.commit(Transaction([tombstone]))

    await beside_owner(partial(writer_of, kafka, partition), write)
