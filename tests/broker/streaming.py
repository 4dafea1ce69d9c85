"""A notifier's HTTP side in this process, and subscribers that read from it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from bus.settings import KafkaSettings
from schemas.topics import EVENTS
from services.notifier.app import Notifier
from services.notifier.settings import SubscriptionEntry
from tests.broker.asking import serving, with_key

ROOT = Path(__file__).parents[2]
READ_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Shown:
    """One block of a stream: an event, or (`event` None) no more than a comment or an id."""

    id: str
    type: str
    event: dict[str, Any] | None
    comment: str


def stream(name: str = "reader", **wish: Any) -> SubscriptionEntry:
    """A stream of every package event from the beginning."""
    values = {"name": name, "types": ["package.*"], "start_from": "earliest"}
    return SubscriptionEntry.model_validate({**values, "channel": {"type": "stream"}, **wish})


@asynccontextmanager
async def served(service: Notifier) -> AsyncIterator[str]:
    """The URL of `/v1` of a copy that runs."""
    async with serving(service) as url:
        yield f"{url}/v1"


@asynccontextmanager
async def process(
    kafka: KafkaSettings, folder: Path, *entries: SubscriptionEntry
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A copy as a process of its own, and the URL of its `/v1`; killed when it still runs."""
    (folder / "shipfeed.toml").write_text(_toml(kafka, entries))
    copy = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.notifier", "--config", str(folder / "shipfeed.toml")),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    assert copy.stderr is not None
    try:
        async with asyncio.timeout(READ_SECONDS_MAX):
            while (line := json.loads(await copy.stderr.readline()))["event"] != "service.started":
                pass
        draining = asyncio.create_task(copy.stderr.read())
        yield copy, f"{line['http']}/v1"
    finally:
        if copy.returncode is None:
            copy.kill()
        await copy.wait()
    await draining


def _toml(kafka: KafkaSettings, entries: Iterable[SubscriptionEntry]) -> str:
    text = "[kafka]\n" + "".join(
        f"{name} = {json.dumps(getattr(kafka, name))}\n"
        for name in ("bootstrap_servers", "prefix", "session_timeout_ms", "transaction_timeout_ms")
    )
    for entry in entries:
        text += f'[[subscriptions]]\nname = "{entry.name}"\ntypes = {json.dumps(entry.types)}\n'
        text += f'start_from = "{entry.start_from}"\nchannel = {{ type = "stream" }}\n'
    return text


@asynccontextmanager
async def following(
    url: str, name: str = "reader", cursor: str | None = None, key: str = ""
) -> AsyncIterator[AsyncIterator[Shown]]:
    """What a stream shows, as it comes; it is left by leaving the block."""
    headers = with_key(key) if key else {}
    if cursor is not None:
        headers["last-event-id"] = cursor
    path = f"{url}/subscriptions/{name}/stream"
    async with (
        httpx2.AsyncClient(timeout=READ_SECONDS_MAX, trust_env=False) as client,
        client.stream("GET", path, headers=headers) as response,
    ):
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        async with aclosing(_blocks(response)) as blocks:
            yield blocks


async def _blocks(response: httpx2.Response) -> AsyncGenerator[Shown]:
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        data = json.loads(fields["data"]) if "data" in fields else None
        yield Shown(fields["id"], fields.get("event", ""), data, fields.get("", ""))
        fields = {}


async def events(shown: AsyncIterator[Shown], count: int) -> list[Shown]:
    """The next `count` events of a stream.  Raises TimeoutError, EOFError when it ended before."""
    found: list[Shown] = []
    async with asyncio.timeout(READ_SECONDS_MAX):
        async for one in shown:
            if one.event is not None:
                found.append(one)
            if len(found) == count:
                return found
    raise EOFError(f"the stream ended after {len(found)} events")


async def last(shown: AsyncIterator[Shown]) -> Shown:
    """The last block before the stream ends cleanly."""
    found = None
    async with asyncio.timeout(READ_SECONDS_MAX):
        async for one in shown:
            found = one
    assert found is not None
    return found


async def readers(url: str) -> float:
    """How many a copy serves at the moment, as its metrics say."""
    async with httpx2.AsyncClient(timeout=READ_SECONDS_MAX, trust_env=False) as client:
        text = (await client.get(url.removesuffix("/v1") + "/metrics/")).text
    [line] = [one for one in text.splitlines() if one.startswith("shipfeed_stream_readers ")]
    return float(line.split(" ")[1])


async def pulled(
    url: str, name: str = "reader", **query: str | float
) -> tuple[int, dict[str, Any]]:
    """Status and body of one pull."""
    async with httpx2.AsyncClient(timeout=READ_SECONDS_MAX, trust_env=False) as client:
        answer = await client.get(f"{url}/subscriptions/{name}/events", params=query)
        found = answer.json()
        assert isinstance(found, dict)
        return answer.status_code, found


async def expire(kafka: KafkaSettings) -> None:
    """Everything on the events topic is gone, as after its retention."""
    places = [TopicPartition(kafka.topic(EVENTS), n) for n in range(kafka.partitions)]
    admin = AIOKafkaAdminClient(**kafka.client_args())
    await admin.start()
    try:
        await admin.delete_records({place: RecordsToDelete(-1) for place in places})
    finally:
        await admin.close()
