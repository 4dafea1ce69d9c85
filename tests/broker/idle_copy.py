"""The API of a copy that owns no partition, over real HTTP, and questions to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from starlette.routing import BaseRoute, Mount

from bus.clock import SystemClock
from bus.settings import KafkaSettings
from services.notifier.api.app import application
from services.notifier.api.context import Context
from services.notifier.channel import Surroundings
from services.notifier.endpoints import Endpoints
from services.notifier.subscriptions import SubscriptionStore
from tests.broker.asking import serving
from tests.broker.notifying import quick


class _Idle:
    """What is served of a copy whose group has no partition for it."""

    def __init__(self, context: Context) -> None:
        self.routes: Sequence[BaseRoute] = [Mount("/v1", application(context))]

    async def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Nothing to end."""

    def health(self) -> dict[str, object]:
        """As good as any."""
        return {"ok": True, "ready": True}


class Asking:
    """Requests about the subscription `erp`; any other status than expected fails the test."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str, status: int = 200, **params: Any) -> Any:
        """The JSON that is answered."""
        wanted = {name: value for name, value in params.items() if value is not None}
        found = await self._client.get(f"/v1/subscriptions/erp{path}", params=wanted)
        assert found.status_code == status, found.text
        return found.json()

    async def post(self, path: str, body: Any = None, status: int = 202) -> Any:
        """The JSON that is answered."""
        found = await self._client.post(f"/v1/subscriptions/erp{path}", json=body)
        assert found.status_code == status, found.text
        return found.json()

    async def pages(self, path: str, name: str, **params: Any) -> list[Any]:
        """Every item over all pages."""
        items, cursor = list[Any](), None
        while True:
            page = await self.get(path, cursor=cursor, **params)
            items += page[name]
            if (cursor := page["next"]) is None:
                return items


@asynccontextmanager
async def idle_copy(kafka: KafkaSettings) -> AsyncIterator[Asking]:
    """A copy that only answers."""
    fatal: list[BaseException] = []
    clock, settings = SystemClock(), quick()
    store = SubscriptionStore(kafka, clock)
    endpoints = Endpoints(kafka, store, clock, fatal.append)
    context = Context(
        kafka=kafka,
        settings=settings,
        store=store,
        endpoints=endpoints,
        surroundings=Surroundings(
            clock=clock,
            allow_networks=settings.allow_networks,
            connect_timeout_seconds=3,
            total_timeout_seconds=15,
            connections_max=1,
        ),
        clock=clock,
        owned=dict,
        held=dict,
        standing=dict,
        stopping=asyncio.Event(),
    )
    await endpoints.start()
    try:
        async with (
            serving(_Idle(context)) as url,
            httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as client,
        ):
            yield Asking(client)
    finally:
        await endpoints.stop()
    assert fatal == []
