"""Hand-made Digital River fulfillments, what was asked for them, and what would be told of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.message import iso
from services.normalizer.model import Event
from testbed.simulators.digital_river import DigitalRiverSimulator


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


def types(told: list[Event], upstream_id: str) -> list[str]:
    """The types of the events of one fulfillment."""
    return [event.type for event in told if event.data.fulfillment.upstream_id == upstream_id]
