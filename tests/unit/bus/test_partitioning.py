"""Partitions as every Kafka client computes them."""

from __future__ import annotations

import pytest

from bus.partitioning import partition_of


@pytest.mark.parametrize(
    ("key", "hashed"),
    [("21", -973932308), ("foobar", -790332482), ("abc", 479470107)],
)
def test_the_java_clients_own_test_vectors(key: str, hashed: int) -> None:
    """murmur2 vectors of Apache Kafka's UtilsTest; the sign bit is masked off."""
    assert (hashed & 0x7FFFFFFF) % 6 == partition_of(key, 6)
