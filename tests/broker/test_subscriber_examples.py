"""The programs in `examples/` that a subscriber begins with, run as they are."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import httpx2

from bus.settings import KafkaSettings
from tests.broker.asking import client_of
from tests.broker.notifying import SECRET, emit, notifying, unfinished, webhook
from tests.broker.programs import EXAMPLES, lines, running
from tests.broker.reading import until
from tests.broker.streaming import expire, served, stream

ORDERS = 5


async def test_a_webhook_receiver_takes_what_is_signed(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Each event once and acknowledged, and nothing that somebody else made up."""
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/hooks"
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "receive_webhooks:app"]
    listens = ["--no-access-log", "--fd", str(listening.fileno())]
    secret = {"WEBHOOK_SECRET": SECRET}
    await emit(topics, range(ORDERS), 1)
    async with (
        running(*command, *listens, environment=secret, files=[listening.fileno()]) as output,
        notifying(topics, webhook("erp", url, tmp_path)) as copy,
        client_of(copy) as operator,
        httpx2.AsyncClient(trust_env=False, timeout=30) as stranger,
    ):
        told = await lines(output, ORDERS)
        await until(lambda: finished(topics))
        ping = await operator.post("/subscriptions/erp/ping")
        told += await lines(output, 1)
        headers = {"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": "x"}
        answer = await stranger.post(url, content=b"{}", headers=headers)
    listening.close()

    assert {line.split(" ", 1)[1] for line in told} == {
        *(f"package.shipped {subject}" for subject in of(1)),
        "system.ping erp",
    }
    assert ping.json()["outcome"] == "delivered"
    assert answer.status_code == 400


async def finished(kafka: KafkaSettings) -> bool:
    """Whether no delivery waits for anything."""
    return not await unfinished(kafka)


async def test_a_follower_goes_on_where_it_was_left(topics: KafkaSettings, tmp_path: Path) -> None:
    """After it was killed, and after it was away for longer than events are kept."""
    place = tmp_path / "cursor"
    async with notifying(topics, stream()) as copy, served(copy) as api:
        url = f"{api}/subscriptions/reader/stream"
        command = [sys.executable, str(EXAMPLES / "follow_stream.py"), url, str(place)]
        await emit(topics, range(ORDERS), 1)
        async with running(*command) as output:
            first = await subjects(output, of(1))
        await emit(topics, range(ORDERS), 2)
        async with running(*command) as output:
            second = await subjects(output, of(2))
        old = place.read_text()
        await expire(topics)
        await emit(topics, range(ORDERS), 3)
        place.write_text(old)
        async with running(*command) as output:
            third = await subjects(output, of(3))

    assert sorted(first) == sorted(of(1))
    # It was killed between an event and its cursor, or not: that one comes again.
    assert len(second) <= ORDERS + 1
    assert len(set(second) - of(2)) <= 1
    assert sorted(third) == sorted(of(3))


def of(revision: int) -> set[str]:
    """The subjects of one round of events."""
    return {f"pkg_{order}_{revision}" for order in range(ORDERS)}


async def subjects(output: asyncio.StreamReader, wanted: set[str]) -> list[str]:
    """What a follower prints until it has printed all of these."""
    found: list[str] = []
    while not wanted <= set(found):
        [line] = await lines(output, 1)
        found.append(line.split(" ")[2])
    return found
