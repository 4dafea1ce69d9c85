"""Hand-made Shoplazza orders and fulfillments, what was asked for them, and what would be told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.events import FulfillmentEvent
from schemas.fulfillment import Fulfillment, RawRef
from schemas.message import iso
from services.normalizer.mappers.shoplazza import map as map_fulfillment
from services.normalizer.merge import merge
from services.poller.source import Rate
from testbed.simulators.shoplazza import ShoplazzaSimulator
from tests.systems.bench import TOKEN, Bench

WIDE = Rate(per_second=10_000, burst=10_000)
SHOP: dict[str, Any] = {"source": "shoplazza", "shop": "acme", "rate": WIDE}
HISTORY: dict[str, Any] = {**SHOP, "start_from": "2026-01-01T00:00:00Z"}
FOUND, PAST = ("head", "touched"), ("backfill", "history")  # who finds orders, who reads them

Shop = tuple[ShoplazzaSimulator, str]
"""A simulator and its URL."""


def ago(seconds: float = 0.0) -> datetime:
    """So long ago, to the second, as Shoplazza counts."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).replace(microsecond=0)


def order_id(number: int) -> str:
    """The id of a hand-made order."""
    return f"633130-{number:08d}"


def fulfillment(
    number: int, *, of: int = 1, at: datetime | None = None, **more: Any
) -> dict[str, Any]:
    """A shipped fulfillment of an order, created and last updated `at` (now, when left out)."""
    stamp = iso(at or ago())
    return {
        "id": f"ful-{number}",
        "order_id": order_id(of),
        "status": "shipped",
        "tracking_company": "燕文物流",
        "tracking_company_code": "DJ-11343",
        "tracking_number": f"YT{number}",
        "tracking_url": f"//track.example.com/YT{number}",
        "created_at": stamp,
        "updated_at": stamp,
        "line_items": [
            {"id": "l1", "sku": "MUG", "quantity": 3, "shipping_quantity": 2, "price": "81.00"}
        ],
        **more,
    }


def lists(simulator: ShoplazzaSimulator) -> list[dict[str, str]]:
    """The queries of requests for orders."""
    return [one["query"] for one in simulator.requests if one["path"].endswith("/orders")]


def readings(simulator: ShoplazzaSimulator, number: int | None = None) -> list[dict[str, str]]:
    """The queries of requests for the fulfillments of an order, or of any."""
    end = "/fulfillments" if number is None else f"/{order_id(number)}/fulfillments"
    return [one["query"] for one in simulator.requests if one["path"].endswith(end)]


def numbers(bench: Bench) -> list[int]:
    """The numbers of the fulfillments on raw, sorted."""
    return sorted(int(one.removeprefix("ful-")) for one in bench.ids)


def unthrottled(**keys: Any) -> ShoplazzaSimulator:
    """A simulator that never throttles."""
    rates = {"requests_per_second": 10_000, "burst": 10_000}
    return ShoplazzaSimulator(token=TOKEN, **{**rates, **keys})


def events(bench: Bench) -> list[FulfillmentEvent]:
    """What a normalizer would tell of the raw records."""
    return [event for told, _ in history(bench) for event in told]


def history(bench: Bench) -> list[tuple[tuple[FulfillmentEvent, ...], Fulfillment]]:
    """Events and state after each raw record that changed anything."""
    stored: dict[str, Fulfillment] = {}
    found = []
    for offset, (provenance, body) in enumerate(bench.raw):
        reference = RawRef(topic="t.raw", partition=0, offset=offset)
        known, snapshot = stored.get(provenance.key), map_fulfillment(body, provenance)
        outcome = merge(known, snapshot, provenance, reference)
        if outcome.state is not None:
            stored[provenance.key] = outcome.state
            found.append((outcome.events, outcome.state))
    return found
