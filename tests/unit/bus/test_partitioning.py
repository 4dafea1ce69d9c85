"""Partitions as every Kafka client computes them."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from bus.partitioning import Partitioner, partition_of


@pytest.mark.parametrize(
    ("key", "hashed"),
    [("21", -973932308), ("foobar", -790332482), ("abc", 479470107)],
)
def test_the_java_clients_own_test_vectors(key: str, hashed: int) -> None:
    """murmur2 vectors of Apache Kafka's UtilsTest; the sign bit is masked off."""
    assert (hashed & 0x7FFFFFFF) % 6 == partition_of(key, 6)


@given(st.text(), st.text(), st.integers(1, 1000))
def test_a_beginning_hashed_ahead_changes_nothing(prefix: str, rest: str, count: int) -> None:
    """Wherever a key is cut, and as aiokafka computes it."""
    partitioner = Partitioner(prefix, count)
    expected = (murmur2((prefix + rest).encode()) & 0x7FFFFFFF) % count
    assert [expected] * 3 == [
        partitioner.of(rest),
        partitioner.of(rest),
        partition_of(prefix + rest, count),
    ]
