"""Packages that left, a subscription that writes them back, and who owns what becomes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from bus.clock import Clock, SystemClock
from bus.errors import RetryLater
from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction, Writer
from schemas.events import EventData, FulfillmentEvent, PackageData, PackageShipped
from schemas.fulfillment import (
    Carrier,
    FulfillmentHeader,
    LineItem,
    OrderRef,
    Package,
    RawRef,
    Tracking,
)
from schemas.keys import fulfillment_key
from schemas.topics import EVENTS, WRITE_BACKS
from schemas.write_back import Wanted, WriteBack, is_wanted
from services.notifier.app import Notifier
from services.notifier.endpoints import Endpoints
from services.notifier.settings import SubscriptionEntry
from services.notifier.subscriptions import SubscriptionStore
from services.notifier.target import WriteTarget
from services.notifier.targets import open_target
from services.notifier.write_backs.accounts import Accounts
from services.notifier.write_backs.ledger import UNFINISHED
from services.notifier.write_backs.owner import Owner
from services.notifier.write_backs.settings import TargetEntry
from services.notifier.write_backs.steps import Wait, next_of
from tests.broker.leaping import A_MOMENT, LeapingClock
from tests.broker.notifying import quick
from tests.broker.reading import records, until

LEAPING_SECONDS_MAX = 100.0  # of the machine's time
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


def header(order: str, fulfillment: str | None = None) -> FulfillmentHeader:
    """Of a fulfillment of this order, which bears its name unless it is given another."""
    name = fulfillment or order
    return FulfillmentHeader(
        key=fulfillment_key("zentail", "acme", "order", name),
        source="zentail",
        account="acme",
        resource="order",
        upstream_id=name,
        scope="shipment",
        orders=(OrderRef(id=f"id-{order}", number=order),),
        status="shipped",
        final=False,
        observed_at=AT,
        revision=1,
        raw=RawRef(topic="raw", partition=0, offset=0),
    )


def left(
    order: str, package: str = "a", *, fulfillment: str | None = None, **items: int
) -> FulfillmentEvent:
    """A package of an order left with these items."""
    found = Package(
        id=f"pkg_{order}_{package}",
        upstream_id=f"shp-{order}-{package}",
        identity="source_id",
        status="shipped",
        carrier=Carrier(code="ups", name_raw="UPS"),
        trackings=(Tracking(number=f"1Z-{order}-{package}"),),
        line_items=tuple(LineItem(sku=sku, quantity=count) for sku, count in items.items()),
        revision=1,
    )
    data = PackageData(fulfillment=header(order, fulfillment), package=found)
    return PackageShipped.of(data, discriminator="once", index=0, time=AT)


async def emit(kafka: KafkaSettings, *events: FulfillmentEvent) -> None:
    """On the topic of events, as the normalizer does."""
    count = kafka.partition_count(EVENTS)
    await put(
        kafka,
        *(
            Record(
                kafka.topic(EVENTS),
                partition_of(one.key, count),
                one.key,
                one.data.to_json(),
                one.headers(),
            )
            for one in events
        ),
    )


async def put(kafka: KafkaSettings, *found: Record) -> None:
    """Records, committed together."""
    writer = Writer(kafka, f"{kafka.prefix}.test")
    await writer.start()
    await writer.commit(Transaction(list(found)))
    await writer.close()


def wanted_of(event: FulfillmentEvent, **more: Any) -> Wanted:
    """What the subscription `back` makes of it; its order goes by its number."""
    data: EventData = event.data
    package = data.package
    assert package is not None
    items = [{"sku": one.sku, "quantity": one.quantity} for one in package.line_items or ()]
    values = {
        "subscription": "back",
        "target": "shop",
        "way": "order_number",
        "order": data.fulfillment.orders[0].number,
        "event_id": event.id,
        "event_type": event.type,
        "event_at": event.time,
        "fulfillment": event.key,
        "package_id": package.id,
        "items": items,
        "tracking_company": "UPS",
        "tracking_number": package.trackings[0].number,
        "shipment_id": package.upstream_id,
    }
    return Wanted.model_validate({**values, **more})


def partition_for(kafka: KafkaSettings, wanted: Wanted) -> int:
    """Whose owner works on it."""
    return partition_of(wanted.folder, kafka.partition_count(WRITE_BACKS))


async def want(kafka: KafkaSettings, *wanted: Wanted) -> None:
    """As an operator does, or the owner of a partition of events."""
    topic = kafka.topic(WRITE_BACKS)
    await put(
        kafka, *(Record(topic, partition_for(kafka, one), one.key, one.to_json()) for one in wanted)
    )


async def written_back(kafka: KafkaSettings) -> dict[str, WriteBack]:
    """Every WriteBack as it stands, by the id of its event."""
    newest = {one.key.decode(): one.value for one in await records(kafka, WRITE_BACKS)}
    found = [
        WriteBack.model_validate_json(value)
        for key, value in newest.items()
        if value is not None and not is_wanted(key)
    ]
    return {one.wanted.event_id: one for one in found}


async def still_wanted(kafka: KafkaSettings) -> list[str]:
    """Keys of what was not taken in."""
    newest = {one.key.decode(): one.value for one in await records(kafka, WRITE_BACKS)}
    return [key for key, value in newest.items() if value is not None and is_wanted(key)]


async def become(kafka: KafkaSettings, wished: dict[str, str], reason: str = "") -> None:
    """Wait until the WriteBacks are in these states, by the id of their events, and one of them
    gives this reason.
    """

    async def so() -> bool:
        found = await written_back(kafka)
        told = any(reason in (one.reason or "") for one in found.values())
        return told and {name: one.state for name, one in found.items()} == wished

    await until(so)


async def leap_until_done(kafka: KafkaSettings, clock: LeapingClock) -> None:
    """Time stands while an order has anything to do, and leaps when all wait, until none does."""

    async def done() -> bool:
        orders: dict[str, list[WriteBack]] = {}
        for one in (await written_back(kafka)).values():
            orders.setdefault(one.wanted.folder, []).append(one)
        unfinished = [
            found for found in orders.values() if any(one.state in UNFINISHED for one in found)
        ]
        steps = [next_of(found, clock.now()) for found in unfinished]
        waits = [step.until for step in steps if isinstance(step, Wait)]
        if waits and len(waits) == len(steps):
            clock.leap_to(min(waits) + A_MOMENT)
        return bool(orders) and not unfinished

    await until(done, LEAPING_SECONDS_MAX)


async def take_in(kafka: KafkaSettings, owner: Owner, number: int) -> None:
    """Hand an owner all that stands in its partition, as the consumer does."""
    await owner.handle(await records(kafka, WRITE_BACKS, number))


def target(name: str = "shop", **settings: Any) -> TargetEntry:
    """A `[[targets]]` table; as fast as a test can be."""
    values = {"system": "shop", "secret": "env:PATH", "requests_per_second": 10_000}
    return TargetEntry.model_validate({"name": name, **values, **settings})


def back(name: str = "back", to: str = "shop", **channel: Any) -> SubscriptionEntry:
    """A subscription that writes back from the beginning."""
    return SubscriptionEntry.model_validate(
        {
            "name": name,
            "types": ["package.shipped", "package.tracking_changed", "fulfillment.items_canceled"],
            "start_from": "earliest",
            "channel": {"type": "write_back", "target": to, **channel},
        }
    )


def sold(number: str, **items: int) -> dict[str, Any]:
    """An order of Digital River's simulator, found by its number."""
    lines = [{"id": f"{number}-{sku}", "skuId": sku, "quantity": n} for sku, n in items.items()]
    return {"id": f"ord-{number}", "upstreamId": number, "items": lines}


def paid_for(written: Mapping[str, Any]) -> dict[str, Counter[str]]:
    """How many of each line were paid for, by the tracking number of each fulfillment.

    `written` is what Digital River's simulator says of itself.  A fulfillment for each package,
    and a capture for each fulfillment.
    """
    numbers = {one["id"]: one["trackingNumber"] for one in written["fulfillments"]}
    paid = [numbers[one["fulfillmentId"]] for one in written["captures"]]
    assert sorted(paid) == sorted(numbers.values())
    assert len(set(paid)) == len(paid)
    return {
        numbers[one["fulfillmentId"]]: Counter(
            {item["itemId"]: item["quantity"] for item in one["items"]}
        )
        for one in written["captures"]
    }


@asynccontextmanager
async def writing_back(
    kafka: KafkaSettings,
    *entries: SubscriptionEntry,
    shops: Mapping[str, WriteTarget] | None = None,
    targets: Sequence[TargetEntry] = (),
    clock: Clock | None = None,
) -> AsyncIterator[Notifier]:
    """A running copy with targets in memory, or those of entries; a fatal error of its own fails
    the test.
    """
    fatal: list[BaseException] = []
    service = Notifier(
        kafka,
        quick(),
        entries,
        clock or SystemClock(),
        fatal.append,
        targets=[*targets, *map(target, shops or ())],
        open_target=lambda entry, *_: shops[entry.name] if shops else open_target(entry, *_),
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
    number: int,
    shop: WriteTarget,
    *,
    clock: Clock | None = None,
    broken: Callable[[RetryLater], None] = lambda _: None,
    entries: Sequence[SubscriptionEntry] | None = None,
) -> AsyncIterator[Owner]:
    """The owner of one partition, without a consumer group; what is on the topic is its world."""
    fatal: list[BaseException] = []
    clock = clock or SystemClock()
    store = SubscriptionStore(kafka, clock)
    await store.sync([back()] if entries is None else entries)
    endpoints = Endpoints(kafka, store, clock, fatal.append)
    accounts = Accounts([(target(), shop)], clock, 1)
    owner = Owner(kafka, number, accounts=accounts, endpoints=endpoints, clock=clock, broken=broken)
    try:
        await endpoints.start()
        await owner.open()
        yield owner
    finally:
        await owner.close()
        await endpoints.stop()
    assert fatal == []
