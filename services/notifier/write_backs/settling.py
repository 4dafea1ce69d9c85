"""What an operator knows of something that is held, written beside the owner of its order."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from aiokafka import TopicPartition

from bus.beside import beside_owner
from bus.errors import Misuse
from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from bus.table import read_to_end
from bus.transaction import Record, Transaction, Writer
from schemas.topics import WRITE_BACKS
from schemas.write_back import WriteBack
from services.notifier.write_backs.owner import writer_of

BY_HAND = "settled by an operator"


async def settle(
    kafka: KafkaSettings, known: WriteBack, fulfillment_id: str | None, now: datetime
) -> WriteBack:
    """Done: the target has it as `fulfillment_id`; None: nothing is to be done about it.

    The owner is fenced, so what it has in its memory goes, too.  Raises Misuse when it is not held,
    or not any more; RetryLater.
    """
    number = partition_of(known.wanted.folder, kafka.partition_count(WRITE_BACKS))
    place = TopicPartition(kafka.topic(WRITE_BACKS), number)

    async def write(writer: Writer) -> WriteBack:
        before = await _newest(kafka, place, known.key)
        if before is None or before.state != "held":
            state = "gone" if before is None else before.state
            raise Misuse(f"{known.key} is {state}, not held: there is nothing to settle")
        after = settled(before, fulfillment_id, now)
        record = Record(place.topic, place.partition, after.key, after.to_json())
        await writer.commit(Transaction([record]))
        return after

    return await beside_owner(partial(writer_of, kafka, number), write)


def settled(before: WriteBack, fulfillment_id: str | None, now: datetime) -> WriteBack:
    """What is held, done by somebody's word.  Pure."""
    update = {
        "state": "done",
        "reason": BY_HAND,
        "candidates": (),
        "fulfillment_id": fulfillment_id,
        "found": True,
        "failures": 0,
        "due_at": now,
        "updated_at": now,
    }
    return before.model_copy(update=update)


async def _newest(kafka: KafkaSettings, place: TopicPartition, key: str) -> WriteBack | None:
    """Read once nobody else can write.  Raises RetryLater."""
    values: list[bytes | None] = [None]

    def take(found: str, value: bytes | None) -> None:
        if found == key:
            values[0] = value

    await read_to_end(kafka, place.topic, place.partition, take)
    return WriteBack.model_validate_json(values[0]) if values[0] is not None else None
