"""The webhook channel over real HTTP, against a receiver that verifies and one that misbehaves."""

from __future__ import annotations

import asyncio
import base64
import gzip
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bus.clock import SystemClock
from bus.errors import BadConfig
from schemas.delivery import Outcome
from schemas.subscription import SigningSecret, Subscription, WebhookChannel
from services.notifier.channel import Surroundings, open_channel
from testbed.http import Request, Response, serving
from testbed.receiver import Receiver
from tests.systems.bench import nobody_listens
from tests.systems.webhooks import ENVELOPE, SECRET, channel_to, sent


async def test_the_reference_library_verifies_what_arrives(tmp_path: Path) -> None:
    """Signature, id and the structured CloudEvent, data byte for byte."""
    receiver = Receiver(SECRET)
    async with receiver.serve() as url:
        result = await sent(f"{url}/hooks?a=1", tmp_path)

    assert (result.outcome, result.status_code) == ("delivered", 200)
    assert receiver.stats()["unverifiable"] == 0
    (record,) = receiver.records
    assert record["webhook_id"] == "evt_1"
    assert record["event"]["data"] == {"weight": 1.10, "name": "é"}
    assert record["event"]["type"] == "package.shipped"
    assert record["event"]["datacontenttype"] == "application/json"


async def test_a_repeat_has_the_same_id_and_its_own_signature(tmp_path: Path) -> None:
    """A failed try and the next one: one webhook-id, each verified."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "status", "status": 500}])
    async with receiver.serve() as url, channel_to(url, tmp_path) as channel:
        outcomes = [(await channel.send(ENVELOPE, number)).outcome for number in (1, 2)]

    assert outcomes == ["transient", "delivered"]
    assert [record["webhook_id"] for record in receiver.records] == ["evt_1", "evt_1"]


async def test_another_secret_is_not_verified(tmp_path: Path) -> None:
    """The receiver can tell: this suite's verifier is no formality."""
    receiver = Receiver("whsec_" + base64.b64encode(bytes(32)).decode())
    async with receiver.serve() as url:
        assert (await sent(url, tmp_path)).outcome == "rejected"

    assert receiver.stats()["unverifiable"] == 1


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *((200, "delivered"), (202, "delivered"), (204, "delivered")),
        *((301, "redirect"), (302, "redirect"), (304, "redirect"), (308, "redirect")),
        *((400, "rejected"), (401, "rejected"), (404, "rejected"), (422, "rejected")),
        *((408, "transient"), (425, "transient"), (500, "transient"), (502, "transient")),
        *((410, "gone"), (429, "busy"), (503, "busy")),
    ],
)
async def test_what_a_status_means(status: int, outcome: Outcome, tmp_path: Path) -> None:
    """Only 2xx is a success, above all no 3xx."""
    async with serving(lambda _: Response(status)) as url:
        result = await sent(url, tmp_path)

    assert (result.outcome, result.status_code) == (outcome, status)


async def test_retry_after_is_told(tmp_path: Path) -> None:
    """Seconds as the endpoint said them."""
    async with serving(lambda _: Response(429, headers={"Retry-After": "17"})) as url:
        assert (await sent(url, tmp_path)).retry_after_seconds == 17


@pytest.mark.parametrize("fault", ["reset", "cut_body"])
async def test_an_answer_that_breaks_off_is_none(fault: str, tmp_path: Path) -> None:
    """Sending again is harmless, a lost event is not."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": fault}])
    async with receiver.serve() as url:
        assert (await sent(url, tmp_path)).outcome == "transient"


async def test_a_slow_answer_ends_at_the_total_timeout(tmp_path: Path) -> None:
    """Wall clock, whatever each phase would still allow."""
    async with serving(lambda _: Response(200, delay_seconds=30)) as url:
        result = await sent(url, tmp_path, total_seconds=0.3)

    assert result.outcome == "transient"
    assert 250 <= result.duration_ms < 30_000


async def test_an_endless_trickle_ends_at_the_total_timeout(tmp_path: Path) -> None:
    """A byte now and then resets a read timeout, not the wall clock."""
    ended = asyncio.Event()

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
        try:
            while not writer.is_closing():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass
        finally:
            writer.close()
            ended.set()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        result = await sent(f"http://127.0.0.1:{port}/", tmp_path, total_seconds=0.4)
        await asyncio.wait_for(ended.wait(), 60)

    assert result.outcome == "transient"


async def test_an_oversize_answer_is_cut_and_its_status_counts(tmp_path: Path) -> None:
    """A body without end behind a 200: read to the cap, kept to 2 KiB, the rest not waited for."""
    ended = asyncio.Event()

    async def gush(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 100_000)
        while await reader.read(1024):
            pass
        writer.close()
        ended.set()

    server = await asyncio.start_server(gush, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        result = await sent(f"http://127.0.0.1:{port}/", tmp_path)
        await asyncio.wait_for(ended.wait(), 60)

    assert result.outcome == "delivered"
    assert result.response_body == "x" * 2048


async def test_a_packed_answer_is_not_unpacked(tmp_path: Path) -> None:
    """A small body that would swell stays small."""
    bomb = gzip.compress(bytes(10_000_000))
    packed = Response(200, bomb, {"Content-Encoding": "gzip"})
    async with serving(lambda _: packed) as url:
        result = await sent(url, tmp_path)

    assert result.outcome == "delivered"
    assert not (result.response_body or "").startswith("\0\0\0\0")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "[::1]"])
async def test_a_loopback_address_is_refused_however_it_is_written(
    host: str, tmp_path: Path
) -> None:
    """Checked at connect: no byte leaves, and the answer does not say what was there."""
    seen: list[Request] = []

    def handler(request: Request) -> Response:
        seen.append(request)
        return Response(200)

    async with serving(handler) as url:
        port = url.rpartition(":")[2]
        result = await sent(f"http://{host}:{port}/", tmp_path, allow="10.0.0.0/8")

    assert result.outcome == "blocked"
    assert "127" not in (result.detail or "")
    assert result.response_body is None
    assert seen == []


async def test_a_redirect_inside_is_not_followed(tmp_path: Path) -> None:
    """Neither to a forbidden address nor to an allowed one."""
    seen: list[str] = []

    def handler(request: Request) -> Response:
        seen.append(request.path)
        return Response(307, headers={"Location": "/inner"})

    async with serving(handler) as url:
        result = await sent(f"{url}/hooks", tmp_path)

    assert result.outcome == "redirect"
    assert seen == ["/hooks"]


async def test_a_name_without_address_and_a_closed_port_are_failures_like_others(
    tmp_path: Path,
) -> None:
    """Nothing is raised: the delivery is tried again later."""
    with nobody_listens() as closed:
        assert (await sent(closed, tmp_path)).outcome == "transient"
    assert (await sent("http://no-such-host.invalid/", tmp_path)).outcome == "blocked"


async def test_names_are_looked_up_while_all_shared_threads_are_taken(tmp_path: Path) -> None:
    """What others wait for in asyncio's own threads does not hold this endpoint up."""
    loop, freed = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    taken = loop.run_in_executor(None, freed.wait, 100)
    try:
        async with serving(lambda _: Response(200)) as url:
            result = await sent(url, tmp_path)
    finally:
        freed.set()
        await taken

    assert result.outcome == "delivered"


async def test_a_canceled_try_closes_its_connection(tmp_path: Path) -> None:
    """Who lost a partition leaves nothing open behind."""
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        while await reader.read(1024):
            pass
        gone.set()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, channel_to(f"http://127.0.0.1:{port}/", tmp_path) as channel:
        task = asyncio.create_task(channel.send(ENVELOPE, 1))
        await asyncio.wait_for(arrived.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(gone.wait(), 60)


async def test_a_secret_that_is_gone_is_our_own_fault(tmp_path: Path) -> None:
    """The channel cannot be opened, and the text names where the secret should be."""
    subscription = Subscription(
        id="erp",
        types=("*",),
        channel=WebhookChannel(
            url="http://127.0.0.1/", secrets=(SigningSecret(reference=f"file:{tmp_path}/none"),)
        ),
        start_offsets={},
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    surroundings = Surroundings(
        clock=SystemClock(),
        allow_networks=[],
        connect_timeout_seconds=1,
        total_timeout_seconds=1,
        connections_max=1,
    )

    with pytest.raises(BadConfig, match=r"subscription erp channel\.secret"):
        open_channel(subscription, surroundings)
