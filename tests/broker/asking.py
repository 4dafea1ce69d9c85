"""The notifier's API over real HTTP, as the service serves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from bus.server import Server
from bus.service import Service, application
from bus.settings import KafkaSettings
from services.notifier.app import Notifier
from services.notifier.settings import SubscriptionEntry
from tests.broker.notifying import notifying
from tests.broker.reading import until

LOG: dict[str, Any] = {"types": ["package.*"], "channel": {"type": "log"}}
MEDIA_TYPE = "application/problem+json"


@asynccontextmanager
async def serving(notifier: Service) -> AsyncIterator[str]:
    """The URL at which a copy answers."""
    server = Server(application(notifier), "127.0.0.1", 0)
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.port() > 0)
        yield f"http://127.0.0.1:{server.port()}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def asking(
    kafka: KafkaSettings, *entries: SubscriptionEntry, **settings: Any
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a running copy, for paths below `/v1`."""
    async with notifying(kafka, *entries, **settings) as notifier, client_of(notifier) as client:
        yield client


@asynccontextmanager
async def client_of(notifier: Notifier) -> AsyncIterator[httpx2.AsyncClient]:
    """For paths below `/v1`."""
    async with (
        serving(notifier) as url,
        httpx2.AsyncClient(base_url=f"{url}/v1", trust_env=False, timeout=30) as client,
    ):
        yield client


def with_key(text: str) -> dict[str, str]:
    """The header that a key is sent in."""
    return {"authorization": f"Bearer {text}"}


def problem(response: httpx2.Response, status: int) -> str:
    """What an answer says is wrong, after a look at its form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    body = response.json()
    assert body["status"] == status
    assert body["title"]
    return str(body["detail"])


def posting(url: str, **wish: Any) -> dict[str, Any]:
    """A wish for all package events, to be posted there."""
    return {"types": ["package.*"], "channel": {"type": "webhook", "url": url}, **wish}


async def created(client: httpx2.AsyncClient, wish: dict[str, Any]) -> dict[str, Any]:
    """The subscription that was made of it."""
    answer = await client.post("/subscriptions", json=wish)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found
