"""One record of each system, and a mapper of an older build that misread it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from aiokafka import ConsumerRecord
from msgspec.structs import replace

from schemas.raw import Provenance
from services.normalizer.mapper import Mapper, Snapshot
from services.normalizer.merge import Outcome
from services.normalizer.model import Fulfillment
from services.normalizer.observation import observed, provenance_of
from tests.unit.normalizer import tradecloud_shapes
from tests.unit.normalizer.feed import MAPPERS, NOON, at, box, order, raw_record


class Sample(NamedTuple):
    """A record with one package that left, and where its version stands in it, if it has one."""

    resource: str
    record: dict[str, Any]
    version: tuple[str, ...] = ()
    options: frozenset[str] = frozenset()


SAMPLES = {
    "zentail": Sample(
        "orders",
        order(box({"MUG": 1}, tracking="T1", shipped=0), status="SHIPPED"),
        ("lastUpdatedTs",),
    ),
    "tradecloud": Sample(
        "shipments",
        tradecloud_shapes.shipment(tradecloud_shapes.box(tradecloud_shapes.line()), id="1"),
        ("meta", "lastUpdatedAt"),
        tradecloud_shapes.BUYER,
    ),
    "shoplazza": Sample(
        "fulfillments",
        {
            "id": "1",
            "order_id": "o-1",
            "status": "shipped",
            "tracking_company": "UPS",
            "tracking_number": "T1",
            "created_at": at(-9),
            "updated_at": at(0),
            "line_items": [{"id": "l-1", "sku": "MUG", "quantity": 1, "shipping_quantity": 1}],
        },
        ("updated_at",),
    ),
    "digital_river": Sample(
        "fulfillments",
        {
            "id": "1",
            "createdTime": at(-9),
            "orderId": "o-1",
            "trackingCompany": "UPS",
            "trackingNumber": "T1",
            "items": [{"itemId": "l-1", "skuId": "MUG", "quantity": 1, "cancelQuantity": 0}],
        },
    ),
    "panora": Sample(
        "fulfillments",
        {
            "id": "1",
            "order_id": "o-1",
            "carrier": "UPS",
            "tracking_numbers": ["T1"],
            "tracking_urls": ["https://t.example/1"],
            "remote_data": {"status": "success"},
            "created_at": at(-9),
            "modified_at": at(0),
        },
    ),
}


class Misreading:
    """Sees no tracking number, and a version that `misread` makes of the true one."""

    def __init__(self, mapper: Mapper, misread: Callable[[datetime], datetime | None]) -> None:
        self.LEAVES = mapper.LEAVES
        self._mapper = mapper
        self._misread = misread

    def map(self, raw: bytes, provenance: Provenance) -> Snapshot:
        """What an older build made of it."""
        found = self._mapper.map(raw, provenance)
        version = found.updated_at and self._misread(found.updated_at)
        packages = tuple(replace(one, trackings=()) for one in found.packages)
        return replace(found, updated_at=version, packages=packages)


def seen(
    source: str,
    *,
    offset: int = 0,
    seconds: float = 0,
    version: float = 0,
    connected_at: datetime | None = None,
    **more: Any,
) -> ConsumerRecord[bytes, bytes]:
    """The record of a system as it stands on raw, observed so many seconds after noon."""
    sample = SAMPLES[source]
    record = json.loads(json.dumps({**sample.record, **more}))
    if sample.version:
        *folders, name = sample.version
        place = record
        for folder in folders:
            place = place[folder]
        place[name] = at(version)
    provenance = Provenance(
        source=source,
        account="acme",
        resource=sample.resource,
        stream="head",
        upstream_id="1",
        observed_at=NOON + timedelta(seconds=seconds),
        options=sample.options,
        connected_at=connected_at,
    )
    key, value = provenance.key.encode(), json.dumps(record).encode()
    return raw_record(key, value, provenance.headers(), offset=offset)


def outcome(
    record: ConsumerRecord, known: Fulfillment | None, mappers: Mapping[str, Mapper] = MAPPERS
) -> Outcome:
    """What a normalizer with these mappers makes of it."""
    _, provenance = provenance_of(record)
    return observed(record, provenance, mappers, lambda: known)


def state(
    record: ConsumerRecord, known: Fulfillment | None, mappers: Mapping[str, Mapper] = MAPPERS
) -> Fulfillment:
    """What is known after it."""
    found = outcome(record, known, mappers).state or known
    assert found is not None
    return found
