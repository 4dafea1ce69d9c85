"""Zentail orders as the poller writes them: four versions of each, about 900 bytes a version.

Half of the orders leave in one package, half in two.  One of two packages leaves first, the other
follows; a tracking number is corrected; at last something is changed that nobody is told of.
All first versions come before all second ones, so that no version finds the one before it in the
same batch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.keys import joined
from schemas.raw import Heading, Provenance
from schemas.topics import RAW

ACCOUNT = "bench"
VERSIONS = 4
NUMBER_FIRST = 20_000_000  # of orders: eight digits each
NUMBER = "11111111"  # of an order, in templates
CLOCK = "33:33.333Z"  # minutes, seconds and milliseconds of its own, in templates
PAGE = 100  # orders, read at the same instant
CARRIERS = ("UPS", "FedEx", "USPS", "DHL Express", "OnTrac")
PRODUCTS = ("MUG-RED", "MUG-BLU", "TEAPOT-9", "COASTER", "TRAY-OAK", "SPOON-6", "LAMP-OLED")
VARIANTS = 2 * len(CARRIERS) * len(PRODUCTS)  # an even variant has one package, an odd one two
BEGAN_AT = datetime(2026, 1, 1, 8, tzinfo=UTC)
STEP = timedelta(hours=6)  # from one version of an order to the next
READ_AFTER = timedelta(hours=1)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def versions(
    kafka: KafkaSettings, orders: int, *, begin: int = 0, count: int = VERSIONS
) -> Iterator[Record]:
    """Raw records: versions `begin` to `count`, exclusive, of so many orders."""
    topic, keyed = kafka.topic(RAW), joined("zentail", ACCOUNT, "order", "")
    partitions = kafka.partition_count(RAW)
    for version in range(begin, count):
        templates = [_template(variant, version) for variant in range(VARIANTS)]
        for place in range(orders):
            if place % PAGE == 0:
                heading = _heading(version, place)
            number = str(NUMBER_FIRST + place)
            value = templates[place % VARIANTS].replace(NUMBER.encode(), number.encode())
            value = value.replace(CLOCK.encode(), _clock(place))
            key, headers = keyed + number, heading.headers(number, TRACE)
            yield Record(topic, partition_of(key, partitions), key, value, headers)


def _clock(place: int) -> bytes:
    """Hardly ever the same for two orders, later for later ones."""
    seconds, milliseconds = divmod(place * 7, 1000)
    return b"%02d:%02d.%03dZ" % (seconds // 60 % 60, seconds % 60, milliseconds)


def _heading(version: int, place: int) -> Heading:
    return Provenance(
        source="zentail",
        account=ACCOUNT,
        resource="order",
        stream="orders",
        upstream_id=NUMBER,
        observed_at=_updated_at(version) + READ_AFTER + timedelta(milliseconds=place),
        connected_at=BEGAN_AT,
    ).heading


def _updated_at(version: int) -> datetime:
    return BEGAN_AT + version * STEP


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H}:{CLOCK}"


def _template(variant: int, version: int) -> bytes:
    """One version of an order whose number is left open."""
    boxes = 2 if variant % 2 and version else 1  # the second of two follows
    packages = [_package(variant, version, box) for box in range(boxes)]
    whole = boxes > variant % 2
    order = {
        "orderNumber": int(NUMBER),
        "channelOrderId": f"113-{NUMBER}-4",
        "status": "SHIPPED" if whole else "PARTIALLY_SHIPPED",
        "orderTs": _stamp(BEGAN_AT - STEP),
        "lastUpdatedTs": _stamp(_updated_at(version)),
        "shippingAddress": {
            "name": "Ana Ruiz" if version < VERSIONS - 1 else "Ana Ruiz Vega",
            "city": "Austin",
            "state": "TX",
            "postalCode": "78701",
            "country": "US",
        },
        "products": [_line(variant, line, shipped=whole or line < boxes) for line in range(2)],
        "packages": packages,
    }
    return json.dumps(order, separators=(",", ":")).encode()


def _line(variant: int, line: int, *, shipped: bool) -> dict[str, Any]:
    sku = _sku(variant, line)
    return {
        "lineItemId": f"{NUMBER}{line + 1}",
        "status": "SHIPPED" if shipped else "PENDING",
        "requestedSku": sku,
        "SKU": sku,
        "quantity": line + 2,
        "cancelQuantity": 0,
        "shippedQuantity": line + 2 if shipped else 0,
    }


def _package(variant: int, version: int, box: int) -> dict[str, Any]:
    lines = [box] if variant % 2 else [0, 1]
    corrected = "B" if version > 1 and box == 0 else "A"
    return {
        "packageId": int(f"{NUMBER}{box + 1}"),
        "fulfillmentPackageId": f"ShipCo #{NUMBER}-{box + 1}",
        "warehouseId": 4,
        "carrier": CARRIERS[variant % len(CARRIERS)],
        "service_level": "Ground",
        "tracking": f"1Z{NUMBER}{box + 1}{corrected}7",
        "shippedTs": _stamp(_updated_at(1 if box else 0) - READ_AFTER),
        "products": [{"SKU": _sku(variant, line), "quantity": line + 2} for line in lines],
    }


def _sku(variant: int, line: int) -> str:
    return PRODUCTS[(variant // 2 + line) % len(PRODUCTS)]
