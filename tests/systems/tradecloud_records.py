"""Hand-made Tradecloud orders and shipments, and what would be told of what was polled."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.events import Envelope
from services.poller.source import Rate
from testbed.simulators.tradecloud import TradecloudSimulator
from tests.systems.bench import TOKEN, Bench, running

KEYS: dict[str, Any] = {
    "source": "tradecloud",
    "username": "integration@acme.example",
    "role": "buyer",
}
HISTORY: dict[str, Any] = {**KEYS, "start_from": "2026-01-01T00:00:00Z"}


UNBOUNDED = 1000.0
QUICK: dict[str, Any] = {"rate": Rate(per_second=UNBOUNDED, burst=UNBOUNDED, in_turn=True)}
TIE = "2026-01-05T10:00:00.120Z"

Cloud = tuple[TradecloudSimulator, str]
"""A simulator and its URL."""


def stamp(*, ago_seconds: float = 0.0) -> str:
    """Now, or so long ago, in the format of the seed: YYYY-MM-DDThh:mm:ss.SSSZ."""
    instant = datetime.now(UTC) - timedelta(seconds=ago_seconds)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def advice_line(number: int, *, count: float = 1, order: str = "", at: str = "") -> dict[str, Any]:
    """Line `number` of a despatch advice."""
    return {
        "purchaseOrderNumber": order or "PO-1",
        "purchaseOrderLinePosition": f"{number:02d}0",
        "item": {"buyerItemNumber": f"MUG-{number}", "purchaseUnitOfMeasureIso": "PCE"},
        "supplierLine": {
            "despatchAdviceNumber": "DA-1",
            "despatchAdviceLinePosition": f"{number:02d}",
            "despatchQuantity": count,
        },
        **({"meta": {"lastUpdatedAt": at}} if at else {}),
    }


def shipment(
    number: int,
    *lines: dict[str, Any],
    at: str = "",
    tracking: str = "T1",
    departed: bool = True,
    word: str = "Issued",
) -> dict[str, Any]:
    """A shipment in one load carrier, last updated `at` (now, when left out)."""
    box = {"packageSSCC": f"(00){number:018d}", "lines": list(lines) or [advice_line(1)]}
    return {
        "id": f"supplier-SN{number:04d}",
        "identifiers": {"trackingNumber": tracking or None},
        "loadCarriers": [box],
        "lines": [],
        "locations": {"departure": {"atdDate": "2026-01-02" if departed else None}},
        "status": {"processStatus": word},
        "meta": {"lastUpdatedAt": at or stamp()},
    }


def order_line(number: int, word: str = "Open", *, asked: str = "", at: str = "") -> dict[str, Any]:
    """An order line for five, in this logistics status."""
    return {
        "id": f"line-{number}",
        "buyerLine": {"position": f"{number:02d}0", "item": {"number": f"MUG-{number}"}},
        "deliverySchedule": [{"position": "1", "quantity": 5, "status": word}],
        "status": {
            "processStatus": "InProgress" if asked else "Confirmed",
            "inProgressStatus": asked or None,
            "logisticsStatus": word,
        },
        "lastUpdatedAt": at or stamp(),
    }


def order(number: int, *lines: dict[str, Any], at: str = "") -> dict[str, Any]:
    """An order of these lines, last updated `at` (now, when left out)."""
    return {
        "id": f"buyer-{number:04d}",
        "buyerOrder": {"purchaseOrderNumber": f"PO-{number}"},
        "lines": list(lines) or [order_line(1)],
        "status": {"processStatus": "Confirmed", "logisticsStatus": "Open"},
        "lastUpdatedAt": at or stamp(),
    }


def unthrottled(**keys: Any) -> TradecloudSimulator:
    """A simulator that never throttles."""
    return TradecloudSimulator(**{"password": TOKEN, **keys}, requests_per_second=1000, burst=1000)


def polled_after(simulator: TradecloudSimulator, resource: str) -> list[str]:
    """The lastUpdatedAfter of each poll, in order."""
    return [
        query["filters"]["lastUpdatedAfter"] for one, query in simulator.polls if one == resource
    ]


def paths(simulator: TradecloudSimulator) -> list[str]:
    """What was asked, in order, below the base path."""
    return [one["path"].removeprefix(simulator.base_path) for one in simulator.requests]


def given(simulator: TradecloudSimulator, count: int, *, tie: bool = False) -> list[str]:
    """So many shipments of January, a minute apart or all at one instant; their ids."""
    found = []
    for number in range(count):
        at = TIE if tie else f"2026-01-05T{10 + number // 60:02d}:{number % 60:02d}:00.120Z"
        found.append(shipment(number, at=at))
        simulator.put("shipments", found[-1])
    return [one["id"] for one in found]


async def whole_polls(bench: Bench, stream: str, count: int) -> None:
    """Wait for so many more complete passes of a stream."""

    def complete() -> int:
        return sum(cursor.sweep is None for cursor in bench.cursors(stream))

    done = complete()
    await bench.until(lambda: complete() >= done + count, f"{count} whole passes of {stream}")


class Told:
    """What a normalizer would make of the raw records of a bench."""

    def __init__(self, bench: Bench) -> None:
        self.stored = {state.key: state for _, state in bench.history()}
        self.events = bench.events()

    @property
    def types(self) -> list[str]:
        """The types of the events."""
        return [event.type for event in self.events]

    @property
    def received(self) -> list[dict[str, Any]]:
        """The events as a subscriber would have received them."""
        return [
            {
                "webhook_id": event.id,
                "status": 200,
                "event": json.loads(
                    Envelope.read(dict(event.headers()), event.data.to_json()).structured()
                ),
            }
            for event in self.events
        ]

    @property
    def fulfillments(self) -> list[dict[str, Any]]:
        """What is stored at last."""
        return [json.loads(state.to_json()) for state in self.stored.values()]


async def told(cloud: Cloud, resource: str, *versions: dict[str, Any], **keys: Any) -> Told:
    """What is told of a record that is polled in each of these versions."""
    simulator, url = cloud
    async with running(url, only=(resource,), **{**HISTORY, **QUICK, **keys}) as bench:
        for count, version in enumerate(versions, start=1):
            simulator.put(resource, version)
            await bench.until(lambda count=count: len(bench.raw) == count, f"version {count}")  # type: ignore[misc]
        return Told(bench)
