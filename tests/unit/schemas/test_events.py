"""Events as CloudEvents: read back with the official library, ids derived from content."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event

from schemas.events import (
    EVENT_CLASSES,
    Envelope,
    EventData,
    FulfillmentEvent,
    PackageData,
    PackageShipped,
    RetractionData,
)
from schemas.fulfillment import Fulfillment, LineItem, OrderRef, Package, RawRef, Tracking
from schemas.message import iso

AT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
FULFILLMENT = Fulfillment(
    key="zentail/acme/orders/10",
    source="zentail",
    account="acme",
    resource="orders",
    upstream_id="10",
    scope="shipment",
    orders=(OrderRef(id="10", number="10"),),
    status="shipped",
    status_raw="SHIPPED",
    final=True,
    observed_at=AT,
    revision=3,
    raw=RawRef(topic="shipfeed.raw", partition=1, offset=7),
)
PACKAGE = Package(
    id="pkg_1",
    identity="tracking",
    status="shipped",
    trackings=(Tracking(number="1Z é", number_normalized="1ZÉ"),),
    line_items=(LineItem(sku="MUG", quantity="2"),),
    revision=1,
)


def event(kind: type[FulfillmentEvent], discriminator: str | int = "once") -> FulfillmentEvent:
    """One event of a kind about the package above."""
    shape = kind.model_fields["data"].annotation or EventData
    more = {"retracts": "evt_1"} if shape is RetractionData else {}
    data = shape(fulfillment=FULFILLMENT.header(), package=PACKAGE, backfill=True, **more)
    return kind.of(data, discriminator=discriminator, index=2, time=AT)


@pytest.mark.parametrize("kind", EVENT_CLASSES)
def test_the_official_library_reads_our_kafka_records(kind: type[FulfillmentEvent]) -> None:
    """Binary mode: ce_ headers, JSON value (CloudEvents Kafka binding 1.0)."""
    ours = event(kind)
    message = KafkaMessage(
        headers=dict(ours.headers()), key=ours.key.encode(), value=ours.data.to_json()
    )

    theirs = from_kafka_event(message)

    assert (ours.id, kind.type) == (theirs.get_id(), theirs.get_type())
    assert "/zentail/acme" == theirs.get_source()
    assert "pkg_1" == theirs.get_subject()
    assert AT == theirs.get_time()
    assert "zentail/acme/orders/10" == theirs.get_extension("partitionkey")
    assert "0000000003.0002" == theirs.get_extension("sequence")
    assert json.loads(ours.data.to_json()) == theirs.get_data()


def test_the_official_library_reads_our_structured_form() -> None:
    """What a webhook carries, data byte for byte as on Kafka."""
    ours = event(PackageShipped)
    envelope = Envelope.read(dict(ours.headers()), ours.data.to_json())

    body = envelope.structured()
    theirs = from_http_event(
        HTTPMessage(headers={"content-type": "application/cloudevents+json"}, body=body)
    )

    assert ours.data.to_json() in body
    assert (ours.id, "package.shipped") == (theirs.get_id(), theirs.get_type())
    assert json.loads(ours.data.to_json()) == theirs.get_data()


def test_the_id_is_the_content_not_the_moment() -> None:
    """Seeing a fact again, later and at another place in its snapshot, gives the same id."""
    data = PackageData(fulfillment=FULFILLMENT.header(), package=PACKAGE)
    again = PackageShipped.of(data, discriminator="once", index=9, time=AT.replace(year=2027))

    assert event(PackageShipped).id == again.id
    assert event(PackageShipped).id != event(PackageShipped, discriminator=2).id


@pytest.mark.parametrize(
    ("header", "text"),
    [
        *((f"ce_{name}", "evt\r\nx-admin: 1") for name in ("id", "type", "subject", "source")),
        *((f"ce_{name}", "é") for name in ("id", "type")),
        *((f"ce_{name}", "a b") for name in ("id", "type")),
        *(("ce_id", "e" * 257), ("ce_subject", "\x85"), ("ce_time", "\x00")),
    ],
)
def test_an_event_that_could_end_a_header_or_a_line_is_refused(header: str, text: str) -> None:
    """Whoever may write to the topic cannot write into a receiver's headers or a stream."""
    good = dict(event(PackageShipped).headers())
    assert Envelope.read(good, b"{}").id

    with pytest.raises(ValueError, match=header):
        Envelope.read({**good, header: text.encode()}, b"{}")


def test_the_plain_form_has_type_time_and_data() -> None:
    """Standard Webhooks' own three, data byte for byte as on Kafka."""
    ours = event(PackageShipped)
    body = Envelope.read(dict(ours.headers()), ours.data.to_json()).plain()

    assert json.loads(body) == {
        "type": "package.shipped",
        "timestamp": iso(AT),
        "data": json.loads(ours.data.to_json()),
    }
    assert ours.data.to_json() in body


def test_an_event_record_without_an_id_is_refused() -> None:
    """The line names the header."""
    with pytest.raises(ValueError, match="ce_id"):
        Envelope.read({"ce_type": b"package.shipped"}, b"{}")
