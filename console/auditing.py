"""Asking the simulated world and the receiver, and judging what they and Kafka say."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import httpx2

from bus.settings import KafkaSettings
from console import reading
from schemas.topics import FULFILLMENTS
from testbed.audit import Report, audit

ASK_SECONDS = 0.2
HTTP_SECONDS_MAX = 10.0


class Outside:
    """The simulator and the receiver, over HTTP; an async context manager."""

    def __init__(self, simulator: str, receiver: str) -> None:
        self._world_url = httpx2.URL(simulator).join("/control/world")
        self._received_url = httpx2.URL(receiver).join("/received")
        self._client = httpx2.AsyncClient(timeout=HTTP_SECONDS_MAX, trust_env=False)

    async def __aenter__(self) -> Outside:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def world_ended(self) -> None:
        """Returns once nothing more happens in the world."""
        while not (await self._world())["finished"]:
            await asyncio.sleep(ASK_SECONDS)

    async def received(self, after: int = 0) -> list[dict[str, Any]]:
        """The receiver's records from index `after` on."""
        found: list[dict[str, Any]] = []
        while True:
            params = {"after": after + len(found)}
            page = (await self._client.get(self._received_url, params=params)).json()
            if not page:
                return found
            found.extend(page)

    async def audit(self, kafka: KafkaSettings) -> Report:
        """Truth against what was received and what is stored."""
        state = await reading.table(kafka, FULFILLMENTS)
        truth = (await self._world())["truth"]
        fulfillments = [json.loads(value) for value in state.values()]
        return audit(truth, await self.received(), fulfillments)

    async def _world(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self._client.get(self._world_url)).json()
        return found


def event_line(record: dict[str, Any], began_at: datetime) -> str:
    """One received event as a line for a person."""
    event, data = record["event"], record["event"]["data"]
    after = (datetime.fromisoformat(record["received_at"]) - began_at).total_seconds()
    orders = ", ".join(order["number"] or order["id"] for order in data["fulfillment"]["orders"])
    return f"{after:6.1f} s  {event['type']:<30} order {orders}  {_package_words(data['package'])}"


def _package_words(package: dict[str, Any] | None) -> str:
    if package is None:
        return ""
    carrier = (package["carrier"] or {}).get("name_raw") or ""
    numbers = " ".join(tracking["number"] or "" for tracking in package["trackings"])
    items = ", ".join(f"{item['quantity']} x {item['sku']}" for item in package["line_items"] or ())
    return f"{carrier} {numbers}  {items}".strip()
