"""Setting a record aside: whole, in the transaction that moves past it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.dead_letter import DeadLetter, originals
from schemas.message import canonical_json
from schemas.topics import DEAD_LETTERS, RECORD_BYTES_MAX

HEAD_BYTES = 4096


def set_aside(
    kafka: KafkaSettings,
    letter: DeadLetter,
    key: str,
    value: bytes,
    *,
    partition: int | None = None,
    headers: Iterable[tuple[str, bytes]] = (),
) -> Record:
    """The record for dead-letters; `partition` None: by key; `headers` are the original's own.

    A value too large for the topic is replaced by its head, digest and size (design 4); its
    `origin` says where the whole can be had again.
    """
    if partition is None:
        partition = partition_of(key, kafka.partition_count(DEAD_LETTERS))
    topic, own = kafka.topic(DEAD_LETTERS), originals(headers)
    record = Record(topic, partition, key, value, [*letter.headers(), *own])
    if record.bytes_on_wire <= RECORD_BYTES_MAX:
        return record
    head = value[:HEAD_BYTES].decode(errors="replace")
    digest = hashlib.sha256(value).hexdigest()
    pointer = canonical_json({"head": head, "sha256": digest, "size_bytes": len(value)})
    cut = letter.model_copy(update={"whole": False}).headers()
    record = Record(topic, partition, key, pointer, [*cut, *own])
    if record.bytes_on_wire <= RECORD_BYTES_MAX:
        return record
    return Record(topic, partition, key, pointer, cut)
