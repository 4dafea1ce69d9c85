"""Setting a record aside: whole, in the transaction that moves past it."""

from __future__ import annotations

import hashlib

from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.dead_letter import DeadLetter
from schemas.message import canonical_json
from schemas.topics import DEAD_LETTERS, RECORD_BYTES_MAX

HEAD_BYTES = 4096
ROOM_BYTES = 64 * 1024  # for headers and framing


def set_aside(
    kafka: KafkaSettings, letter: DeadLetter, key: str, value: bytes, partition: int | None = None
) -> Record:
    """The record for dead-letters; `partition` None: by key.

    A value too large for the topic is replaced by its head, digest and size (design 4); its
    `origin` says where the whole can be had again.
    """
    if partition is None:
        partition = partition_of(key, kafka.partition_count(DEAD_LETTERS))
    if len(value) > RECORD_BYTES_MAX - ROOM_BYTES:
        head = value[:HEAD_BYTES].decode(errors="replace")
        value = canonical_json(
            {"head": head, "sha256": hashlib.sha256(value).hexdigest(), "size_bytes": len(value)}
        )
    return Record(kafka.topic(DEAD_LETTERS), partition, key, value, letter.headers())
