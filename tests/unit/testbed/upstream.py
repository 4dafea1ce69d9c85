"""A Zentail simulator with hand-made orders and a client for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from testbed.simulators.zentail import TOKEN_DEFAULT, ZentailSimulator

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
TIMEOUT_SECONDS = 5.0


class HandClock:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = START + timedelta(hours=1)

    def __call__(self) -> datetime:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def order(number: int, *, seconds: float = 0, status: str = "SHIPPED") -> dict[str, Any]:
    """An order last updated that long after the start."""
    updated_at = START + timedelta(seconds=seconds)
    return {
        "orderNumber": number,
        "status": status,
        "lastUpdatedTs": updated_at.isoformat(),
        "products": [],
        "packages": [],
    }


@asynccontextmanager
async def client_of(
    simulator: ZentailSimulator, token: str = TOKEN_DEFAULT
) -> AsyncIterator[httpx2.AsyncClient]:
    async with (
        simulator.serve() as base_url,
        httpx2.AsyncClient(
            base_url=base_url, headers={"AUTHORIZATION": token}, timeout=TIMEOUT_SECONDS
        ) as client,
    ):
        yield client


def numbers(response: httpx2.Response) -> list[int]:
    assert response.status_code == 200, response.text
    return [result["orderNumber"] for result in response.json()["results"]]
