"""Raw Zentail orders as the poller writes them, about 1.2 kB each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.raw import Provenance
from schemas.topics import RAW
from testbed.simulators.zentail import ZentailSimulator
from testbed.timeline import timeline

SEED = 7
BEGAN_AT = datetime(2026, 1, 1, tzinfo=UTC)
WORLD_SECONDS = 24 * 3600.0
OBSERVATIONS_PER_ORDER_MIN = 4  # a world makes about five
POLLED_STATUSES = frozenset({"PARTIALLY_SHIPPED", "SHIPPED"})


def observations(kafka: KafkaSettings, count: int) -> list[Record]:
    """So many observations of fewer orders, in the order they were made."""
    orders = count // OBSERVATIONS_PER_ORDER_MIN + 1
    found = [record for _, record in islice(_observed(kafka, orders, "backlog"), count)]
    assert len(found) == count, f"the world made {len(found)} observations, {count} are needed"
    return found


def first_sights(kafka: KafkaSettings, count: int) -> list[Record]:
    """The first observation of so many orders, none of them among `observations`."""
    first: dict[int, Record] = {}
    for number, record in _observed(kafka, 2 * count, "light"):
        first.setdefault(number, record)
    assert len(first) >= count, f"the world shipped {len(first)} orders, {count} are needed"
    return list(first.values())[:count]


def _observed(kafka: KafkaSettings, orders: int, account: str) -> Iterator[tuple[int, Record]]:
    simulator = ZentailSimulator()
    moments = timeline(
        SEED, orders=orders, duration_seconds=WORLD_SECONDS, start=BEGAN_AT, package_ids=False
    )
    for moment in moments:
        row = simulator.row(moment.order)
        if row.body["status"] not in POLLED_STATUSES:
            continue
        provenance = Provenance(
            source="zentail",
            account=account,
            resource="order",
            stream="orders",
            upstream_id=str(row.key),
            observed_at=row.updated_at,
        )
        key, value = provenance.key, json.dumps(row.body, separators=(",", ":")).encode()
        partition = partition_of(key, kafka.partition_count(RAW))
        yield row.key, Record(kafka.topic(RAW), partition, key, value, provenance.headers())
