"""A notifier in this process, events for it, and a receiver per subscription."""

from __future__ import annotations

import base64
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bus.clock import Clock, SystemClock
from bus.errors import RetryLater
from bus.failures import Failures
from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction, Writer
from schemas.delivery import Attempt
from schemas.events import FulfillmentEvent, PackageData, PackageShipped
from schemas.fulfillment import FulfillmentHeader, Package, RawRef
from schemas.keys import fulfillment_key
from schemas.topics import ATTEMPTS, DELIVERIES, EVENTS
from services.notifier.app import Notifier
from services.notifier.channel import Surroundings
from services.notifier.endpoints import Endpoints
from services.notifier.gates import Gates
from services.notifier.guard import LookUp
from services.notifier.partition import Partition
from services.notifier.settings import NotifierSettings, SubscriptionEntry
from services.notifier.subscriptions import SubscriptionStore
from testbed.receiver import Receiver
from tests.broker.reading import records

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
QUICK_SECONDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
# Far longer than a test: what fails until it is let go is not set aside meanwhile.
PATIENT: dict[str, Any] = {"retry_schedule_seconds": [0.1, 0.2, 0.3, *[2.0] * 47]}


def shipped(order: int, revision: int, *, echo: bool = False) -> FulfillmentEvent:
    """A package of an order; its subject is `pkg_<order>_<revision>`."""
    header = FulfillmentHeader(
        key=fulfillment_key("zentail", "acme", "order", str(order)),
        source="zentail",
        account="acme",
        resource="order",
        upstream_id=str(order),
        scope="shipment",
        orders=(),
        status="shipped",
        final=False,
        echo=echo,
        observed_at=datetime.now(UTC),
        revision=revision,
        raw=RawRef(topic="raw", partition=0, offset=0),
    )
    package = Package(
        id=f"pkg_{order}_{revision}", identity="content", status="shipped", revision=1
    )
    return PackageShipped.of(
        PackageData(fulfillment=header, package=package, echo=echo),
        discriminator="once",
        index=0,
        time=header.observed_at,
    )


def event_record(
    kafka: KafkaSettings, order: int, revision: int, *, padding: int = 0, echo: bool = False
) -> Record:
    """That event as it stands on its topic, with `padding` bytes more."""
    event = shipped(order, revision, echo=echo)
    partition = partition_of(event.key, kafka.partition_count(EVENTS))
    value = event.data.to_json() + b" " * padding
    return Record(kafka.topic(EVENTS), partition, event.key, value, event.headers())


async def emit(
    kafka: KafkaSettings,
    orders: Iterable[int],
    revision: int,
    *,
    padding: int = 0,
    echo: bool = False,
) -> None:
    """One event for each order, in one transaction, as the normalizer does."""
    records = [event_record(kafka, one, revision, padding=padding, echo=echo) for one in orders]
    writer = Writer(kafka, f"{kafka.prefix}.test")
    await writer.start()
    await writer.commit(Transaction(records))
    await writer.close()


def webhook(name: str, url: str, folder: Path, **wish: Any) -> SubscriptionEntry:
    """A subscription to every package event from the beginning."""
    secret = folder / "secret"
    secret.write_text(SECRET)
    channel = {"type": "webhook", "url": url, "secret": f"file:{secret}"}
    values = {"name": name, "types": ["package.*"], "start_from": "earliest", "channel": channel}
    return SubscriptionEntry.model_validate({**values, **wish})


def quick(**settings: Any) -> NotifierSettings:
    """Settings for a local endpoint, with retries within seconds."""
    values = {
        "allow_networks": ["127.0.0.0/8"],
        "retry_schedule_seconds": QUICK_SECONDS,
        "probe_seconds_max": 0.5,
    }
    return NotifierSettings.model_validate({**values, **settings})


@asynccontextmanager
async def notifying(
    kafka: KafkaSettings,
    *entries: SubscriptionEntry,
    clock: Clock | None = None,
    look_up: LookUp = socket.getaddrinfo,
    **settings: Any,
) -> AsyncIterator[Notifier]:
    """A running copy; a fatal error of its own fails the test."""
    fatal: list[BaseException] = []
    service = Notifier(
        kafka, quick(**settings), entries, clock or SystemClock(), fatal.append, look_up=look_up
    )
    try:
        await service.start()
        yield service
    finally:
        await service.stop()
    assert fatal == []


@asynccontextmanager
async def owning(
    kafka: KafkaSettings,
    settings: NotifierSettings,
    number: int,
    broken: Callable[[RetryLater], None] = lambda _: None,
) -> AsyncIterator[Partition]:
    """The owner of one partition, without a consumer group; what is on the topic is its world."""
    fatal: list[BaseException] = []
    clock = SystemClock()
    endpoints = Endpoints(kafka, SubscriptionStore(kafka, clock), clock, fatal.append)
    gates = gates_of(kafka, settings, endpoints)
    owner = Partition(
        kafka,
        settings,
        number,
        endpoints=endpoints,
        gates=gates,
        failures=Failures(f"events/{number}"),
        broken=broken,
    )
    try:
        await endpoints.start()
        await owner.open()
        yield owner
    finally:
        await owner.close()
        await gates.close()
        await endpoints.stop()
    assert fatal == []


def gates_of(kafka: KafkaSettings, settings: NotifierSettings, endpoints: Endpoints) -> Gates:
    """Gates to endpoints that may take their time."""
    surroundings = Surroundings(
        clock=SystemClock(),
        allow_networks=settings.allow_networks,
        connect_timeout_seconds=30,
        total_timeout_seconds=60,
        connections_max=100,
    )
    return Gates(endpoints, surroundings, settings, kafka.partition_count(EVENTS))


def accepted(receiver: Receiver) -> list[str]:
    """Subjects answered with success, in the order of their first receipt."""
    found = (r["event"]["subject"] for r in receiver.records if r["status"] == 200)
    return list(dict.fromkeys(found))


def by_order(subjects: Iterable[str]) -> dict[int, list[int]]:
    """Revisions of each order as they came."""
    found: dict[int, list[int]] = defaultdict(list)
    for subject in subjects:
        _, order, revision = subject.split("_")
        found[int(order)].append(int(revision))
    return dict(found)


async def unfinished(kafka: KafkaSettings) -> set[str]:
    """Keys of deliveries that have no tombstone."""
    found = {record.key: record.value for record in await records(kafka, DELIVERIES)}
    return {
        key.decode()
        for key, value in found.items()
        if value is not None and not key.endswith(b"/position")
    }


async def attempts(kafka: KafkaSettings) -> list[Attempt]:
    """Every try that was logged."""
    return [Attempt.model_validate_json(r.value) for r in await records(kafka, ATTEMPTS)]
