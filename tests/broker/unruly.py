"""Receivers of every bad habit, which note what they took in and when by the notifier's clock."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from tests.broker.leaping import LeapingClock

HOUR = timedelta(hours=1)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
RESET = b""
DRIP = b"HTTP/1.1 200 OK\r\nx-drip: "  # and more of it, until the other side leaves
DRIP_SECONDS = 0.02


def answer(status: int, *headers: str, body: bytes = b"") -> bytes:
    """One answer, after which the connection is closed."""
    lines = [f"HTTP/1.1 {status} Said", f"content-length: {len(body)}", "connection: close"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


@dataclass
class Receipt:
    """One request that arrived whole; `accepted`: it was answered with success."""

    id: str
    subject: str
    after: timedelta
    accepted: bool


@dataclass
class Unruly:
    """`habit` says with which bytes to answer: how long time has passed, and which receipt of that
    event this is, counted from 1.
    """

    habit: Callable[[timedelta, int], bytes]
    clock: LeapingClock
    receipts: list[Receipt] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)

    @asynccontextmanager
    async def serve(
        self, context: ssl.SSLContext | None = None, held: socket.socket | None = None
    ) -> AsyncIterator[int]:
        """Serve until left, on the port of `held` if given; yields the port."""
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None, "asyncio runs this in a task"
            tasks.add(task)
            # A client that goes away, or is refused, ends its own connection only.
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._converse(reader, writer)
            writer.close()
            tasks.discard(task)

        if held is None:
            server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
        else:
            server = await asyncio.start_server(connected, sock=held, ssl=context)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in tuple(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def accepted(self) -> list[str]:
        """Subjects in the order of their first success."""
        return list(dict.fromkeys(one.subject for one in self.receipts if one.accepted))

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].split("\r\n")[0])
        event = json.loads(await reader.readexactly(length))
        self._counts[event["id"]] += 1
        said = self.habit(self.clock.passed, self._counts[event["id"]])
        accepted = said.startswith(b"HTTP/1.1 200") and not said.startswith(DRIP)
        receipt = Receipt(event["id"], event["subject"], self.clock.passed, accepted)
        self.receipts.append(receipt)
        if said == RESET:
            writer.transport.abort()
            return
        writer.write(said)
        await writer.drain()
        while said == DRIP:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(DRIP_SECONDS)


def well(_: timedelta, __: int) -> bytes:
    """Takes everything."""
    return OK


def slow_loris(after: timedelta, _: int) -> bytes:
    """A byte now and then, for the first hour."""
    return DRIP if after < HOUR else OK


def redirect_loop(_: timedelta, __: int) -> bytes:
    """Always elsewhere."""
    return answer(302, "location: /again")


def gzip_bomb(_: timedelta, __: int) -> bytes:
    """Success, and ten megabytes in ten kilobytes."""
    packed = zlib.compressobj(9, wbits=31)
    body = packed.compress(bytes(10_000_000)) + packed.flush()
    return answer(200, "content-encoding: gzip", body=body)


def reset_after_commit(_: timedelta, count: int) -> bytes:
    """Keeps the event and cuts the line, the first two times."""
    return RESET if count <= 2 else OK


def huge_headers(after: timedelta, _: int) -> bytes:
    """A megabyte of header, for a day."""
    return answer(299, "x: " + "y" * 1_000_000) if after < 24 * HOUR else OK


def flapping(after: timedelta, count: int) -> bytes:
    """Half an hour so, half an hour so, with another error each time; an event fails 6 times."""
    turn = int(after / (HOUR / 2))
    errors = (RESET, answer(500), answer(503), answer(408))
    return errors[turn // 2 % len(errors)] if turn % 2 == 0 and count <= 6 else OK


def refusing(_: timedelta, __: int) -> bytes:
    """Never has what is asked for."""
    return answer(404)
