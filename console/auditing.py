"""Asking the simulated upstreams and the receiver, and judging what they and Kafka say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx2

from bus import reading
from bus.settings import KafkaSettings
from schemas.topics import FULFILLMENTS, WRITE_BACKS
from schemas.write_back import is_wanted
from testbed.audit import Report, audit

ASK_SECONDS = 0.2
HTTP_SECONDS_MAX = 10.0


class Outside:
    """The simulators behind one address, and the receiver; an async context manager."""

    def __init__(self, simulators: str, receiver: str) -> None:
        self._simulators_url = httpx2.URL(simulators)
        self._received_url = httpx2.URL(receiver).join("/received")
        self._client = httpx2.AsyncClient(timeout=HTTP_SECONDS_MAX, trust_env=False)

    async def __aenter__(self) -> Outside:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def begin(self) -> None:
        """The worlds begin, once every system has been asked for the first time."""
        while not all(one["asked"] for one in (await self._worlds())["systems"].values()):
            await asyncio.sleep(ASK_SECONDS)
        (await self._client.post(self._control("begin"))).raise_for_status()

    async def world_ended(self) -> None:
        """Returns once nothing more happens in any world."""
        while not (await self._worlds())["finished"]:
            await asyncio.sleep(ASK_SECONDS)

    async def base_urls(self) -> dict[str, str]:
        """Where the account of each system is to be found, by source."""
        systems = (await self._worlds())["systems"].items()
        return {name: str(self._simulators_url.join(one["base_path"])) for name, one in systems}

    async def known_faults(self) -> dict[str, list[str]]:
        """What each simulator can be made to do wrong, by source."""
        systems = (await self._worlds())["systems"].items()
        return {name: one["faults"] for name, one in systems}

    async def struck(self) -> dict[str, int]:
        """How many requests and writes have met a fault, by source."""
        systems = (await self._worlds())["systems"].items()
        return {name: sum(one["struck"].values()) for name, one in systems}

    async def odd(self) -> dict[str, int]:
        """How many records were shown oddly, by kind; of all systems."""
        found: dict[str, int] = (await self._worlds())["odd"]
        return found

    async def strike(self, source: str, fault: Mapping[str, Any]) -> None:
        """Let a simulator misbehave."""
        answer = await self._client.post(self._control(f"{source}/faults"), json=dict(fault))
        answer.raise_for_status()

    async def clear_faults(self) -> None:
        """No simulator misbehaves any more."""
        for source in (await self._worlds())["systems"]:
            (await self._client.delete(self._control(f"{source}/faults"))).raise_for_status()

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
        wanted = await reading.table(kafka, WRITE_BACKS)
        worlds = await self._worlds()
        return audit(
            worlds["truth"],
            await self.received(),
            [json.loads(value) for value in state.values()],
            everything=True,
            written=worlds["written"],
            write_backs=[json.loads(v) for key, v in wanted.items() if not is_wanted(key)],
        )

    async def _worlds(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self._client.get(self._control("world"))).json()
        return found

    def _control(self, path: str) -> httpx2.URL:
        return self._simulators_url.join(f"/control/{path}")


def event_line(record: dict[str, Any], began_at: datetime) -> str:
    """One received event as a line for a person."""
    event, data = record["event"], record["event"]["data"]
    after = (datetime.fromisoformat(record["received_at"]) - began_at).total_seconds()
    source, orders = data["fulfillment"]["source"], data["fulfillment"]["orders"]
    numbers = ", ".join(order["number"] or order["id"] for order in orders)
    what = f"{source:<13} {event['type']:<30} order {numbers}"
    return f"{after:6.1f} s  {what}  {_package_words(data['package'])}".rstrip()


def _package_words(package: dict[str, Any] | None) -> str:
    if package is None:
        return ""
    carrier = (package["carrier"] or {}).get("name_raw") or ""
    numbers = " ".join(tracking["number"] or "" for tracking in package["trackings"])
    items = ", ".join(
        f"{item['quantity'] or '?'} x {item['sku']}" for item in package["line_items"] or ()
    )
    return f"{carrier} {numbers}  {items}".strip()
