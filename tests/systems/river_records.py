"""Hand-made Digital River fulfillments, what was asked for them, and what would be told of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.events import FulfillmentEvent
from schemas.fulfillment import Fulfillment, RawRef
from schemas.message import iso
from services.normalizer.mappers.digital_river import map as map_fulfillment
from services.normalizer.merge import merge
from testbed.simulators.digital_river import DigitalRiverSimulator
from tests.systems.bench import Bench


def stamp(*, ago_seconds: float = 0.0) -> str:
    """Now, or so long ago, to the second, as Digital River writes it."""
    return iso((datetime.now(UTC) - timedelta(seconds=ago_seconds)).replace(microsecond=0))


def fulfillment(number: int, *, at: Any = "", tracking: str = "", **more: Any) -> dict[str, Any]:
    """A fulfillment of one mug, created `at` (now, when left out); keys are absent, not null."""
    return {
        "id": f"ful_{number}",
        "createdTime": at or stamp(),
        "orderId": f"29{number}",
        "items": [{"itemId": "1", "skuId": "MUG", "quantity": 1, "cancelQuantity": 0}],
        **({"trackingCompany": "Fedex", "trackingNumber": tracking} if tracking else {}),
        "liveMode": False,
        **more,
    }


def lists(simulator: DigitalRiverSimulator) -> list[dict[str, str]]:
    """The queries of list requests, those by ids left out."""
    return [one["query"] for one in simulator.requests if "ids" not in one["query"]]


def by_ids(simulator: DigitalRiverSimulator) -> list[str]:
    """The targets of requests by ids."""
    return [one["target"] for one in simulator.requests if "ids" in one["query"]]


def events(bench: Bench) -> list[FulfillmentEvent]:
    """What a normalizer would tell of the raw records."""
    stored: dict[str, Fulfillment] = {}
    told: list[FulfillmentEvent] = []
    for offset, (provenance, body) in enumerate(bench.raw):
        reference = RawRef(topic="t.raw", partition=0, offset=offset)
        known, snapshot = stored.get(provenance.key), map_fulfillment(body, provenance)
        outcome = merge(known, snapshot, provenance, reference)
        if outcome.state is not None:
            stored[provenance.key] = outcome.state
        told += outcome.events
    return told


def types(told: list[FulfillmentEvent], upstream_id: str) -> list[str]:
    """The types of the events of one fulfillment."""
    return [event.type for event in told if event.data.fulfillment.upstream_id == upstream_id]
