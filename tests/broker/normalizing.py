"""Orders as raw records, and a normalizer working through them on a real Kafka."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from aiokafka import AIOKafkaProducer, ConsumerRecord

from bus import reading
from bus.clock import Clock, SystemClock
from bus.errors import RetryLater
from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from bus.transaction import Writer
from schemas.raw import Provenance
from schemas.topics import RAW
from services.normalizer.app import Normalizer
from services.normalizer.handler import group_of
from services.normalizer.mapper import Mapper
from services.normalizer.mappers import discovered
from services.normalizer.stubs import Stubs
from tests.broker.reading import until

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Impatient(SystemClock):
    """The machine's clock, whose waits are short."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, 0.05))


Raw = tuple[str, bytes | None, Sequence[tuple[str, bytes]]]


@asynccontextmanager
async def normalizing(
    settings: KafkaSettings,
    *,
    accept_new_baseline: bool = False,
    mappers: Mapping[str, Mapper] | None = None,
    closed_retention_days: int | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Normalizer]:
    """A running copy; a fatal error of its own fails the test."""
    fatal: list[BaseException] = []
    service = Normalizer(
        settings,
        fatal.append,
        discovered() if mappers is None else mappers,
        Stubs(closed_retention_days),
        clock=clock or SystemClock(),
        accept_new_baseline=accept_new_baseline,
    )
    try:
        await service.start()
        yield service
    finally:
        await service.stop()
    assert fatal == []


def raw(number: int, version: int = 0) -> Raw:
    """An order with one package whose tracking number has been corrected `version` times."""
    provenance = Provenance(
        source="zentail",
        account="acme",
        resource="orders",
        stream="orders",
        upstream_id=str(number),
        observed_at=NOON + timedelta(seconds=version),
        traceparent=TRACE,
    )
    shown = {
        "orderNumber": number,
        "status": "SHIPPED",
        "lastUpdatedTs": (NOON + timedelta(seconds=version)).isoformat(),
        "products": [{"lineItemId": "1", "SKU": "MUG", "quantity": 2}],
        "packages": [
            {
                "carrier": "UPS",
                "tracking": f"T{number}-{version}",
                "shippedTs": NOON.isoformat(),
                "products": [{"SKU": "MUG", "quantity": 2}],
            }
        ],
    }
    return provenance.key, json.dumps(shown).encode(), provenance.headers()


async def produce(settings: KafkaSettings, shown: Sequence[Raw]) -> None:
    """Onto raw, each to the partition of its key."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers)
    await producer.start()
    try:
        futures = [
            await producer.send(
                settings.topic(RAW),
                value=value,
                key=key.encode(),
                headers=list(headers),
                partition=partition_of(key, settings.partitions),
            )
            for key, value, headers in shown
        ]
        await asyncio.gather(*futures)
    finally:
        await producer.stop()


async def settled(settings: KafkaSettings) -> None:
    """Until the group has committed every record that is on raw; markers are none."""

    async def caught_up() -> bool:
        return await reading.unread(settings, RAW, group_of(settings)) == 0

    await until(caught_up)


async def fenced(settings: KafkaSettings, partition: int) -> None:
    """Another writer of the partition's id begins and leaves: the owner must rebuild."""
    name = f"{group_of(settings)}.{settings.topic(RAW)}.{partition}"
    writer = Writer(settings, name)
    for _ in range(5):
        try:
            await writer.start()
        except RetryLater:  # the owner was just beginning itself
            continue
        await writer.close()
        return
    raise AssertionError(f"{name} could not be fenced")


def event_ids(events: Sequence[ConsumerRecord[bytes, bytes]], type_: str = "") -> list[str]:
    """The ids of the events of a type, of all without one."""
    headers = [dict(event.headers) for event in events]
    return [h["ce_id"].decode() for h in headers if h["ce_type"].decode().startswith(type_)]
