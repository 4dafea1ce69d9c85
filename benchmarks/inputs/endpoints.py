"""Endpoints that take what is posted to them, as cheaply as can be, in a process of their own.

Below `/dead` nothing is ever answered, and below `/NAME` no more after `GET /dies/NAME`.
`GET /count` says how many posts were answered so far, `GET /arrivals` which ones: path, webhook-id,
seconds of the monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bus.clock import SystemClock
from testbed.process import run_until_stopped

DEAD = b"/dead"
DIES = b"/dies/"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
ID = re.compile(rb"\r\nwebhook-id: *([^\r]+)", re.IGNORECASE)
TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

Arrival = tuple[str, str, float]


class Endpoints:
    """What has arrived so far."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self._dead: tuple[bytes, ...] = (DEAD,)
        self._clock = SystemClock()

    def answer(self, head: bytes) -> bytes:
        """To one request that was read whole."""
        method, path, _ = head.split(b" ", 2)
        if method == b"POST":
            if path.startswith(self._dead):
                return b""
            found = ID.search(head)
            name = found[1].decode() if found else ""
            self.arrivals.append((path.decode(), name, self._clock.monotonic()))
            return TAKEN
        if path.startswith(DIES):
            self._dead += (b"/" + path.removeprefix(DIES),)
        told = self.arrivals if path == b"/arrivals" else len(self.arrivals)
        body = json.dumps(told).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve until left; yields the URL."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


class _Connection(asyncio.Protocol):
    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._unread = b""
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while (end := self._unread.find(b"\r\n\r\n")) >= 0:
            head = self._unread[:end]
            length = LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._unread) < whole:
                return
            self._unread = self._unread[whole:]
            assert isinstance(self._transport, asyncio.WriteTransport), "TCP is written to"
            self._transport.write(self._endpoints.answer(head))


if __name__ == "__main__":
    asyncio.run(run_until_stopped(Endpoints().serve()))
