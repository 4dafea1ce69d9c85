"""Which partition a key goes to: Kafka's own default, so any other client agrees."""

from __future__ import annotations

from aiokafka.partitioner import murmur2


def partition_of(key: str, count: int) -> int:
    """0 <= n < count, by murmur2 of the key's UTF-8 bytes as the Java client does it."""
    return int(murmur2(key.encode()) & 0x7FFFFFFF) % count
