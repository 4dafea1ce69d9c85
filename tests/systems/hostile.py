"""Receivers that speak wrongly on purpose, one coroutine each: (reader, writer) after a request."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\n"
DRIP_SECONDS = 0.02
GUSH = 64 * 1024  # bytes at once


class Talker:
    """A server that answers each connection's first request with `talk`; counts what it did."""

    def __init__(self, talk: Talk) -> None:
        self.connections = 0
        self.ended = asyncio.Event()  # a conversation is over
        self._talk = talk

    @asynccontextmanager
    async def serve(self, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
        """Serve until left; yields the port on loopback."""
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None, "asyncio runs this in a task"
            tasks.add(task)
            self.connections += 1
            # A client that goes away, or is refused, ends its own connection only.
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await read_request(reader)
                await self._talk(reader, writer)
            writer.close()
            self.ended.set()
            tasks.discard(task)

        server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in tuple(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Head and body of one request of ours, which tells its length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
    return head + await reader.readexactly(int(length))


def saying(answer: bytes) -> Talk:
    """These bytes, then the connection is closed in order."""

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return talk


def keeping_on(head: bytes, part: bytes, *, seconds: float = 0.0) -> Talk:
    """`head`, then `part` for as long as the other side listens, so many seconds apart."""

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(seconds)

    return talk


async def keeping_alive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Well-behaved: 204 to this request and to all that follow on the connection."""
    while True:
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        await read_request(reader)


SLOW: dict[str, Talk] = {
    "a status line that never ends": keeping_on(b"HTTP/1.1 200 ", b"O", seconds=DRIP_SECONDS),
    "a header now and then": keeping_on(OK, b"x: y\r\n", seconds=DRIP_SECONDS),
    "a byte of body now and then": keeping_on(
        OK + b"content-length: 60000\r\n\r\n", b"x", seconds=DRIP_SECONDS
    ),
    "early hints without end": keeping_on(
        b"", b"HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n", seconds=DRIP_SECONDS
    ),
    "a chunk now and then": keeping_on(
        OK + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n", seconds=DRIP_SECONDS
    ),
}
"""None of these ends; each keeps every timeout of a single read from passing."""

BROKEN: dict[str, Talk] = {
    "nothing at all": saying(b""),
    "half a status line": saying(b"HTTP/1.1 2"),
    "no HTTP": saying(b"\x00\xff\x15\x03\x01" * 200),
    "another protocol": saying(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "a length that is none": saying(OK + b"content-length: -1\r\n\r\n"),
    "two lengths": saying(OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nab"),
    "a chunk of no size": saying(OK + b"transfer-encoding: chunked\r\n\r\nzz\r\nx"),
    "a body cut short": saying(OK + b"content-length: 10\r\n\r\nab"),
    "chunks without an end": saying(OK + b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n"),
    "one header of a megabyte": saying(OK + b"x: " + b"y" * 1_000_000 + b"\r\n\r\n"),
    "headers without end": keeping_on(OK, b"x: y\r\n" * (GUSH // 6)),
    "a header that ends in the middle": saying(OK + b"x\r\n\r\n"),
}
"""No complete answer comes of any of these: the event may have arrived or not."""

ENDLESS: dict[str, Talk] = {
    "a body without end": keeping_on(OK + b"content-length: 99999999999\r\n\r\n", b"x" * GUSH),
    "chunks that never stop": keeping_on(
        OK + b"transfer-encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * GUSH + b"\r\n"
    ),
}
"""A success that says too much."""
