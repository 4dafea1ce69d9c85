"""Partitions as other Kafka clients compute them."""

from __future__ import annotations

import pytest

from bus.partitioning import partition_of


@pytest.mark.parametrize(("key", "hashed"), [("123456789", 0xCBF43926), ("", 0), ("a", 0xE8B7BE43)])
def test_the_checksums_own_test_vectors(key: str, hashed: int) -> None:
    """CRC-32/ISO-HDLC, which librdkafka's `consistent` partitioner takes modulo the count."""
    assert partition_of(key, 6) == hashed % 6
