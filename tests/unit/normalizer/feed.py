"""Zentail orders for the tests of this folder, and one fulfillment's life from raw to events."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka import ConsumerRecord

from schemas.raw import Provenance
from services.normalizer.mappers import discovered
from services.normalizer.merge import Outcome
from services.normalizer.model import Event, Fulfillment, Package
from services.normalizer.observation import observed, provenance_of, restored
from services.normalizer.stubs import Stubs

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MAPPERS = discovered()


def at(seconds: float) -> str:
    """An instant after noon, as Zentail writes it."""
    return (NOON + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def box(
    contents: Mapping[str, int] | None = None,
    *,
    tracking: str | None = None,
    shipped: float | None = None,
    carrier: str | None = "UPS",
    package_id: int | None = None,
) -> dict[str, Any]:
    """A package; `shipped` in seconds after noon."""
    found: dict[str, Any] = {
        "carrier": carrier,
        "tracking": tracking,
        "shippedTs": None if shipped is None else at(shipped),
        "products": [
            {"SKU": sku, "quantity": count}
            for sku, count in ({"MUG": 1} if contents is None else contents).items()
        ],
    }
    return found if package_id is None else {"packageId": package_id, **found}


def order(
    *packages: dict[str, Any],
    status: str = "PARTIALLY_SHIPPED",
    updated: float | None = 0,
    number: int = 1,
    **more: Any,
) -> dict[str, Any]:
    """An order; `updated` in seconds after noon."""
    return {
        "orderNumber": number,
        "status": status,
        "orderTs": at(-3600),
        "lastUpdatedTs": None if updated is None else at(updated),
        "products": [{"lineItemId": "1", "SKU": "MUG", "quantity": 9}],
        "packages": list(packages),
        **more,
    }


def record(
    value: Any,
    *,
    offset: int = 0,
    observed_seconds: float = 0,
    backfill: bool = False,
    connected_seconds: float | None = None,
    source: str = "zentail",
    topic: str = "t.raw",
) -> ConsumerRecord[bytes, bytes]:
    """A raw record; `value` is an order, or the bytes themselves."""
    number = value["orderNumber"] if isinstance(value, dict) else 1
    provenance = Provenance(
        source=source,
        account="acme",
        resource="orders",
        stream="orders",
        upstream_id=str(number),
        observed_at=NOON + timedelta(days=1, seconds=observed_seconds),
        backfill=backfill,
        connected_at=None
        if connected_seconds is None
        else NOON + timedelta(seconds=connected_seconds),
    )
    return raw_record(
        provenance.key.encode(),
        json.dumps(value).encode() if isinstance(value, dict) else value,
        provenance.headers(),
        offset=offset,
        topic=topic,
    )


def raw_record(
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes]],
    *,
    offset: int = 0,
    topic: str = "t.raw",
) -> ConsumerRecord[bytes, bytes]:
    """A record as the consumer hands it over."""
    return ConsumerRecord(
        topic=topic,
        partition=0,
        offset=offset,
        timestamp=0,
        timestamp_type=0,
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=len(key or b""),
        serialized_value_size=len(value or b""),
        headers=tuple(headers),
    )


class Feed:
    """One fulfillment: what it is shown, what it remembers (as bytes), what it tells."""

    def __init__(self, stubs: Stubs | None = None) -> None:
        self.stubs = stubs or Stubs(None)
        self.value: bytes | None = None
        self.events: list[Event] = []
        self.offset = 0

    @property
    def state(self) -> Fulfillment:
        """What is remembered."""
        found = restored("it", self.value)
        assert found is not None
        return found

    @property
    def live(self) -> list[Package]:
        """The packages that are not removed."""
        return [package for package in self.state.packages if package.status != "removed"]

    def outcome(self, value: Any, **more: Any) -> Outcome:
        """One observation, remembered."""
        seen = record(value, offset=self.offset, **more)
        _, provenance = provenance_of(seen)
        outcome = observed(
            seen,
            provenance,
            MAPPERS,
            lambda: self.stubs.seen_at(restored("it", self.value), provenance.observed_at),
        )
        self.offset += 1
        if outcome.state is not None:
            self.value = outcome.state.to_json()
        self.events.extend(outcome.events)
        return outcome

    def see(self, value: Any, **more: Any) -> list[str]:
        """One observation; the types of the events it made."""
        return [event.type for event in self.outcome(value, **more).events]
