"""One account, polled on a real Kafka by a poller in this process."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from pydantic import SecretStr

from bus import reading
from bus.admin import ensure_topics
from bus.clock import SystemClock
from bus.settings import KafkaSettings, checked
from console.cursors import cursors_of
from schemas.cursor import Cursor
from schemas.message import parse_instant
from schemas.topics import CURSORS, RAW
from services.poller.app import Poller
from services.poller.settings import PollerSettings
from services.poller.source import AccountSettings
from services.poller.sources import sources
from tests.broker.reading import until

TOKEN = "t0ken"
os.environ["OPERATOR_TEST_TOKEN"] = TOKEN


def table(source: str, base_url: str, **keys: Any) -> dict[str, Any]:
    """`acme` in a system as it is configured; it polls often unless `keys` say otherwise."""
    fields = sources()[source].settings.model_fields
    secrets = [key for key, one in fields.items() if one.annotation is SecretStr]
    return {
        "source": source,
        "name": "acme",
        "base_url": base_url,
        "poll_interval_seconds": 0.3,
        "poll_interval_seconds_max": 0.3,
        **dict.fromkeys(secrets, "env:OPERATOR_TEST_TOKEN"),
        **keys,
    }


def account(source: str, base_url: str, **keys: Any) -> AccountSettings:
    """The settings of that table."""
    model = sources()[source].settings
    return checked(model, table(source, base_url, **keys), "[[accounts]]")


class Polled:
    """What stands on the topics of one account's poller."""

    def __init__(self, kafka: KafkaSettings, settings: AccountSettings) -> None:
        self.kafka = kafka
        self.settings = settings
        self.fatal: list[BaseException] = []
        self.poller = Poller(kafka, PollerSettings(), [settings], SystemClock(), self.fatal.append)

    async def cursors(self) -> dict[str, Cursor]:
        """By stream."""
        found = cursors_of(await reading.table(self.kafka, CURSORS))
        return {cursor.stream: cursor for cursor in found}

    async def raw(self) -> Counter[str]:
        """How often each upstream id stands on raw."""
        found = await reading.records(self.kafka, RAW, {})
        return Counter((record.key or b"").decode().rpartition("/")[2] for record in found)

    async def once_read(self, count: int, stream: str = "head") -> None:
        """Wait for so many records on raw and a complete pass of a stream."""

        async def read() -> bool:
            cursor = (await self.cursors()).get(stream)
            complete = cursor is not None and cursor.proven_until is not None
            return complete and (await self.raw()).total() == count

        await until(read)

    async def idle(self) -> None:
        """Wait until no stream has anything to do for a minute; nothing is written meanwhile."""

        def rests(one: Any) -> bool:
            later = SystemClock().now() + timedelta(minutes=1)
            return bool(one["state"] == "done" or parse_instant(one["due_at"]) > later)

        def all_rest() -> bool:
            streams: Any = self.poller.health()["streams"]
            return bool(streams) and all(rests(one) for one in streams)

        await until(all_rest)

    def state(self, stream: str) -> str:
        """As the poller's health tells it; "" while its slot is being taken over."""
        streams: Any = self.poller.health()["streams"]
        return next((str(one["state"]) for one in streams if one["stream"] == stream), "")


@asynccontextmanager
async def polled(kafka: KafkaSettings, settings: AccountSettings) -> AsyncIterator[Polled]:
    """A running poller."""
    await ensure_topics(kafka, SystemClock())
    found = Polled(kafka, settings)
    await found.poller.start()
    try:
        yield found
    finally:
        await found.poller.stop()
    assert found.fatal == []
