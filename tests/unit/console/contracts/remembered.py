"""One record of each kind that the services remember, each alternative of it."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas.api_key import ApiKey
from schemas.command import Recover, Retry, Target
from schemas.cursor import Cursor, Mark
from schemas.delivery import Attempt, Delivery, Position
from schemas.filters import All, Exact, Not, Prefix
from schemas.message import Message
from schemas.subscription import (
    CursorKey,
    EndpointHealth,
    LogChannel,
    SigningSecret,
    Subscription,
    TopicChannel,
    WebhookChannel,
    WriteBackChannel,
)
from schemas.write_back import Call, CallItem, Wanted, WantedItem, WriteBack

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOOK = WebhookChannel(
    url="https://erp.example/hooks", secrets=(SigningSecret(reference="env:HOOK"),)
)
NOTHING_KNOWN = Wanted(
    subscription="dr",
    target="river",
    way="order_number",
    problem="the event names two orders",
    candidates=("1001", "1002"),
    event_id="evt_1",
    event_type="package.shipped",
    event_at=NOON,
    fulfillment="shop/acme/orders/1",
)
WANTED = Wanted(
    subscription="dr",
    target="river",
    way="order_id",
    order="ord_7",
    event_id="evt_2",
    event_type="package.shipped",
    event_at=NOON,
    fulfillment="shop/acme/orders/1",
    package_id="pkg_1",
    items=(WantedItem(sku="mug", quantity="2"), WantedItem(quantity="0.5")),
    tracking_company="UPS",
    tracking_number="1Z9",
    tracking_url="https://track.example/1Z9",
    shipment_id="S-1",
)
FULFILL = Call(
    kind="fulfill",
    order_id="ord_7",
    event_id="evt_2",
    items=(
        CallItem(line_id="11", quantity=2, distributor_cost="1.20", shipping_cost="0.30"),
        CallItem(line_id="12", cancel_quantity=1),
    ),
    shipment_id="S-1",
    tracking_company="UPS",
    tracking_number="1Z9",
    tracking_url="https://track.example/1Z9",
    currency="EUR",
    partner_id="p-1",
)
OWN: list[tuple[str, Message]] = [
    ("cursors", Cursor(source="shop", account="acme", stream="orders", connected_at=NOON)),
    (
        "cursors",
        Cursor(
            source="shop",
            account="acme",
            stream="orders",
            position="7",
            sweep={"page": [1]},
            connected_at=NOON,
            sweep_began_at=NOON,
        ),
    ),
    (
        "cursors",
        Mark(
            source="shop",
            account="acme",
            resource="orders",
            upstream_id="1",
            content="ab",
            observed_at=NOON,
        ),
    ),
    (
        "subscriptions",
        Subscription(
            id="erp", types=("*",), channel=HOOK, start_offsets={0: 3, 1: 0}, created_at=NOON
        ),
    ),
    (
        "subscriptions",
        Subscription(id="erp", types=(), channel=LogChannel(), start_offsets={}, created_at=NOON),
    ),
    (
        "subscriptions",
        Subscription(
            id="erp",
            types=("*",),
            filters=(Not(not_=All(all=(Exact(exact={"type": "a"}), Prefix(prefix={"id": "b"})))),),
            channel=TopicChannel(topic="shipped"),
            start_offsets={},
            created_at=NOON,
        ),
    ),
    (
        "subscriptions",
        Subscription(
            id="river",
            types=("package.shipped",),
            channel=WriteBackChannel(target="river", costs="file:costs.json", currency="EUR"),
            echo=True,
            start_offsets={0: 0},
            created_at=NOON,
        ),
    ),
    (
        "subscriptions",
        Recover(subscription="erp", number=1, created_at=NOON, from_offsets={0: 3, 1: 0}),
    ),
    (
        "subscriptions",
        Retry(
            subscription="erp",
            number=2,
            created_at=NOON,
            targets=(Target(partition=0, event_id="evt_1", event_offset=4),),
        ),
    ),
    ("subscriptions", ApiKey(id="ci", name="", scope="read", sha256="0" * 64, created_at=NOON)),
    ("subscriptions", CursorKey(secret="0" * 64, created_at=NOON)),
    ("subscriptions", EndpointHealth(subscription="erp", paused_until=NOON, updated_at=NOON)),
    (
        "deliveries",
        Delivery(
            subscription="erp",
            event_id="evt_1",
            event_type="package.shipped",
            event_offset=4,
            event_at=NOON,
            lane="shop/acme/orders/1",
            due_at=NOON,
        ),
    ),
    ("deliveries", Position(subscription="erp", offset=5)),
    (
        "attempts",
        Attempt(
            subscription="erp",
            event_id="evt_1",
            event_type="package.shipped",
            event_offset=4,
            number=1,
            started_at=NOON,
            duration_ms=12,
            outcome="delivered",
            status_code=200,
        ),
    ),
    ("write-backs", NOTHING_KNOWN),
    ("write-backs", WANTED),
    (
        "write-backs",
        WriteBack(
            wanted=NOTHING_KNOWN,
            place=0,
            state="held",
            reason="which order?",
            candidates=("1001", "1002"),
            due_at=NOON,
            updated_at=NOON,
        ),
    ),
    (
        "write-backs",
        WriteBack(
            wanted=WANTED,
            place=1,
            state="unknown",
            call=FULFILL,
            calls=1,
            sent_at=NOON,
            empty_reads=1,
            due_at=NOON,
            updated_at=NOON,
        ),
    ),
    (
        "write-backs",
        WriteBack(
            wanted=WANTED,
            place=1,
            state="done",
            call=Call(kind="update", order_id="ord_7", fulfillment_id="ful_1", event_id="evt_2"),
            calls=1,
            sent_at=NOON,
            fulfillment_id="ful_1",
            found=True,
            due_at=NOON,
            updated_at=NOON,
        ),
    ),
]
