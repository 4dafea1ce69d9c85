"""Events, orders and WriteBacks as short as a test can say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.events import Envelope
from schemas.message import canonical_json
from schemas.subscription import WriteBackChannel
from schemas.write_back import Call, State, Wanted, WantedItem, WriteBack
from services.notifier.target import Fulfilled, Line, Part, TargetOrder
from services.notifier.write_backs.planning import plan
from services.notifier.write_backs.verdicts import Hold, Plan, Ready
from services.notifier.write_backs.wanting import SHIPPED

START = datetime(2026, 1, 1, tzinfo=UTC)
KEY = "zentail/acme/order/1001"
RETRY = ", then `shipfeed write-backs retry evt_1`"
CHANNEL = WriteBackChannel(target="river")


def at(seconds: float) -> datetime:
    """So long after the start."""
    return START + timedelta(seconds=seconds)


def items(**counts: int | str) -> tuple[WantedItem, ...]:
    """So many of each SKU."""
    return tuple(WantedItem(sku=sku, quantity=str(count)) for sku, count in counts.items())


def wanted(event_id: str = "evt_1", event_type: str = SHIPPED, **fields: Any) -> Wanted:
    """A package with two mugs, unless the fields say otherwise."""
    given: dict[str, Any] = {
        "subscription": "river",
        "target": "river",
        "way": "order_number",
        "order": "1001",
        "event_id": event_id,
        "event_type": event_type,
        "event_at": START,
        "fulfillment": KEY,
        "package_id": "pkg_1",
        "items": items(mug=2),
        "shipment_id": "P1",
    }
    return Wanted(**{**given, **fields})


def written(one: Wanted, state: State = "waiting", **fields: Any) -> WriteBack:
    """What became of it; due at the start."""
    given: dict[str, Any] = {"place": 0, "due_at": START, "updated_at": START}
    return WriteBack(**{**given, "wanted": one, "state": state, **fields})


def order(*lines: tuple[str, str, int], fulfilled: Any = (), **fields: Any) -> TargetOrder:
    """An order with lines (id, SKU, ordered)."""
    given = {"id": "or_1", "state": "accepted", **fields}
    return TargetOrder(
        lines=tuple(Line(*line) for line in lines), fulfilled=tuple(fulfilled), **given
    )


def fulfilled(
    fulfillment_id: str = "ful_1", *parts: tuple[str, int, int], **fields: Any
) -> Fulfilled:
    """A fulfillment with parts (line, shipped, canceled)."""
    return Fulfilled(fulfillment_id, tuple(Part(*part) for part in parts), **fields)


def package(**fields: Any) -> dict[str, Any]:
    """A package that left, as an event carries it."""
    given: dict[str, Any] = {
        "id": "pkg_1",
        "upstream_id": "P1",
        "identity": "source_id",
        "status": "shipped",
        "carrier": {"code": "ups", "name_raw": "UPS Ground"},
        "trackings": [{"number": "1Z 5"}],
        "line_items": [{"sku": "mug", "quantity": "2"}],
        "revision": 1,
        "shipped_event_id": "evt_1",
    }
    return {**given, **fields}


def envelope(
    event_type: str = SHIPPED,
    *,
    orders: Any = ({"id": "77", "number": "1001"},),
    package: dict[str, Any] | None = None,
    changes: Any = (),
) -> Envelope:
    """An event as it is read from Kafka."""
    header = {
        "key": KEY,
        "source": "zentail",
        "account": "acme",
        "resource": "order",
        "upstream_id": "1001",
        "scope": "order",
        "orders": orders,
        "status": "shipped",
        "final": False,
        "observed_at": "2026-01-01T00:00:00Z",
        "revision": 1,
        "raw": {"topic": "raw", "partition": 0, "offset": 0},
    }
    data = {"fulfillment": header, "package": package, "changes": changes}
    attributes = {
        "id": "evt_1",
        "type": event_type,
        "partitionkey": KEY,
        "time": "2026-01-01T00:00:00Z",
    }
    return Envelope(attributes, canonical_json(data))


def planned(
    one: Wanted,
    *orders: TargetOrder,
    channel: WriteBackChannel = CHANNEL,
    costs: Any = None,
    known: Any = (),
) -> Plan:
    """The plan for it, its target having these orders."""
    return plan(one, orders, channel, costs or {}, known)


def why(made: Plan) -> str:
    """The reason of what has to be held."""
    assert isinstance(made, Hold)
    return made.reason


def call_of(made: Plan) -> Call:
    """The call of what is ready."""
    assert isinstance(made, Ready)
    return made.call
