"""A Zentail order mapped, compared and told in plain Python: what the peer does to a record.

Written as one would write it for orders whose packages have ids, with dicts all the way: state and
events are the contract's, ids included, for what can happen to the orders of `inputs.orders`.
Which package is which is never a question here, none is ever gone, and what cannot be mapped is an
error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import orjson

STATUSES = {
    "PENDING": "open",
    "PARTIALLY_SHIPPED": "partially_shipped",
    "SHIPPED": "shipped",
    "CANCELLED": "canceled",
}
CARRIERS = {
    "ups": "ups",
    "fedex": "fedex",
    "usps": "usps",
    "dhl express": "dhl_express",
    "ontrac": "ontrac",
}
NOT_IN_NUMBERS = re.compile(r"[\s.\-]+")
# What events carry: all of a state but what is in it.
INSIDE = frozenset(
    {
        "line_items",
        "canceled_items",
        "packages",
        "remote_data",
        "stub",
        "positional_ids",
        "flapping",
    }
)
OF_READING = frozenset({"updated_at", "observed_at", "raw"})
ONCE = "once"

Json = dict[str, Any]
Event = tuple[list[tuple[str, bytes]], Json]
"""Kafka headers and value."""
Told = tuple[str, Json | None, list[Json], bool]
"""Type, package and changed fields of an event, and whether it can happen only once."""


def observed(
    order: Json, key: str, headers: Mapping[str, bytes], raw: Json, known: Json | None
) -> tuple[Json | None, list[Event]]:
    """The new state, None when it stays as it is, and what changed with it."""
    read_at = instant(headers["shipfeed-observed-at"].decode())
    state = fulfillment(order, key, headers, raw, read_at)
    if known is None:
        packages = [first_seen(key, package) for package in state["packages"]]
    else:
        if state["updated_at"] < known["updated_at"]:
            return None, []
        packages = seen_again(key, known["packages"], state["packages"])
        state["revision"] = known["revision"]
    state["packages"] = packages
    if known is not None and unchanged(known, state):
        return (None, []) if state["updated_at"] == known["updated_at"] else (state, [])
    state["revision"] += known is not None
    told = changes(known, state)
    return state, [event(state, read_at, headers, place, one) for place, one in enumerate(told)]


def fulfillment(
    order: Json, key: str, headers: Mapping[str, bytes], raw: Json, read_at: str
) -> Json:
    """The order as it is now, its packages not yet known from before."""
    number, lines = str(order["orderNumber"]), order["products"]
    status = STATUSES[order["status"]]
    return {
        "schema_version": "1.0",
        "key": key,
        "source": headers["shipfeed-source"].decode(),
        "account": headers["shipfeed-account"].decode(),
        "resource": headers["shipfeed-resource"].decode(),
        "upstream_id": number,
        "remote_id": None,
        "scope": "shipment",
        "orders": [{"id": number, "number": number}],
        "status": status,
        "status_raw": order["status"],
        "final": status in ("shipped", "canceled"),
        "echo": False,
        "created_at": instant(order["orderTs"]),
        "updated_at": instant(order["lastUpdatedTs"]),
        "observed_at": read_at,
        "revision": 1,
        "field_mappings": None,
        "raw": raw,
        "line_items": [item(line, line["lineItemId"]) for line in lines],
        "canceled_items": [],
        "packages": [package(one, lines) for one in order["packages"]],
        "remote_data": None,
        "stub": False,
        "positional_ids": [],
        "flapping": None,
    }


def package(given: Json, lines: Sequence[Json]) -> Json:
    """One parcel."""
    name, number, shipped_at = given["carrier"], given["tracking"], given["shippedTs"]
    normalized = NOT_IN_NUMBERS.sub("", number).upper() if number else None
    tracked = {"number": number, "number_normalized": normalized, "url": None}
    code = CARRIERS.get(name.strip().lower()) if name else None
    ids = {line["SKU"]: line["lineItemId"] for line in lines}
    return {
        "id": None,
        "upstream_id": str(given["packageId"]),
        "upstream_ids": [
            {"kind": "package_id", "id": str(given["packageId"])},
            {"kind": "fulfillment_package_id", "id": given["fulfillmentPackageId"]},
        ],
        "identity": "source_id",
        "status": "shipped" if shipped_at else "pending",
        "status_raw": None,
        "carrier": {"code": code, "name_raw": name, "code_raw": None} if name else None,
        "service_level": given["service_level"],
        "trackings": [tracked] if number else [],
        "shipped_at": instant(shipped_at) if shipped_at else None,
        "delivered_at": None,
        "line_items": [item(product, ids.get(product["SKU"])) for product in given["products"]],
        "revision": 1,
        "shipped_event_id": None,
        "delivered_event_id": None,
    }


def item(line: Json, line_id: str | None) -> Json:
    """So many of one product."""
    return {
        "sku": line["SKU"],
        "line_id": line_id,
        "order_id": None,
        "quantity": str(line["quantity"]),
        "unit": None,
        "description": None,
        "properties": None,
        "echo": False,
    }


def first_seen(key: str, shown: Json) -> Json:
    """A package that was not known."""
    shown["id"] = minted("pkg", [key, "source_id", "package_id", shown["upstream_id"], 0])
    return announced(key, shown, None)


def seen_again(key: str, known: Sequence[Json], shown: Sequence[Json]) -> list[Json]:
    """The known packages in their old places, then the new ones; none is ever gone here."""
    now = {one["upstream_id"]: one for one in shown}
    found = []
    for old in known:
        new = now.pop(old["upstream_id"])
        new["id"], new["revision"] = old["id"], old["revision"]
        found.append(announced(key, new, old["shipped_event_id"]))
        new["revision"] += new != old
    return [*found, *(first_seen(key, one) for one in now.values())]


def announced(key: str, shown: Json, event_id: str | None) -> Json:
    """A package with the id of the one event that tells that it left."""
    if event_id is None and shown["status"] == "shipped":
        event_id = minted("evt", [key, shown["id"], "package.shipped", ONCE])
    shown["shipped_event_id"] = event_id
    return shown


def unchanged(known: Json, state: Json) -> bool:
    """Whether it differs only in when it was written, and when and where it was read."""
    return all(known[name] == state[name] for name in state if name not in OF_READING)


def changes(known: Json | None, state: Json) -> list[Told]:
    """Everything there is to tell."""
    before = {one["id"]: one for one in known["packages"]} if known else {}
    pairs = [(before.get(one["id"]), one) for one in state["packages"]]
    pairs = [(old, new) for old, new in pairs if old != new]
    told: list[Told] = []
    for old, new in pairs:
        if old is None:
            told.append(("package.created", new, [], True))
    for name, kind in (("trackings", "tracking_changed"), ("line_items", "contents_changed")):
        for old, new in pairs:
            if old is not None and old[name] != new[name]:
                change = {"field": name, "before": old[name], "after": new[name]}
                told.append((f"package.{kind}", new, [change], False))
    for old, new in pairs:
        if new["shipped_event_id"] and not (old and old["shipped_event_id"]):
            told.append(("package.shipped", new, status_change(old, new), True))
    entered = state["status"]
    if entered != (known["status"] if known else "open"):
        change_of_status = status_change(known, state)
        told.append((f"fulfillment.{entered}", None, change_of_status, False))
    return told


def status_change(old: Json | None, new: Json) -> list[Json]:
    """From which status to which; nothing when there was none."""
    return [{"field": "status", "before": old["status"], "after": new["status"]}] if old else []


def event(state: Json, at: str, headers: Mapping[str, bytes], place: int, told: Told) -> Event:
    """A CloudEvent in Kafka's binary mode."""
    kind, shown, changed, once = told
    key, package_id = state["key"], shown["id"] if shown else None
    change = sha256(orjson.dumps(changed)).hexdigest()[:32]
    again = f"{(shown or state)['revision']}/{change}/{state['updated_at'] or ''}"
    discriminator = ONCE if once else again
    event_id = minted("evt", [key, package_id, kind, discriminator])
    attributes = {
        "specversion": "1.0",
        "id": event_id,
        "source": f"/{state['source']}/{state['account']}",
        "type": kind,
        "subject": package_id or key,
        "time": at,
        "dataschema": f"urn:shipfeed:v1:{kind}",
        "partitionkey": key,
        "sequence": f"{state['revision']:010}.{place:04}",
    }
    pairs = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
    pairs.append(("content-type", b"application/json"))
    pairs.append(("traceparent", headers["traceparent"]))
    return pairs, {
        "fulfillment": {name: state[name] for name in state if name not in INSIDE},
        "package": shown,
        "changes": changed,
        "provisional": state["status"] == "partially_shipped",
        "backfill": headers["shipfeed-backfill"] == b"true",
        "echo": False,
    }


def instant(text: str) -> str:
    """An instant in UTC as RFC 3339 writes it."""
    return datetime.fromisoformat(text).astimezone(UTC).isoformat().replace("+00:00", "Z")


def minted(prefix: str, identity: Sequence[str | int | None]) -> str:
    """The same identity, the same id."""
    return f"{prefix}_{sha256(orjson.dumps(identity)).hexdigest()[:32]}"
