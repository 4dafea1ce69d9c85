"""A small HTTP/1.1 server whose answers can be broken on purpose.

A handler decides and returns at once; waiting, cutting and resetting are done here.
Bodies are sized by Content-Length in both directions. Not for the open internet.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 32 * 1024 * 1024
IDLE_SECONDS_MAX = 120.0
# SO_LINGER on with 0 s: closing sends a reset instead of an orderly end.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Request:
    """`target` is path and query as sent; header names are lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        """The path without its query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query, the last value of each name."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    def json(self) -> Any:
        """The decoded body; raises ValueError when it is not JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Response:
    """`delay_seconds` pass before it is sent; `cut` sends half the body, `reset` nothing, both
    send half the body and reset.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    cut: bool = False
    reset: bool = False


def json_response(status: int, value: Any, headers: dict[str, str] | None = None) -> Response:
    """A response with a JSON body."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return Response(status, body, {"Content-Type": "application/json", **(headers or {})})


class NotHttpError(Exception):
    """What arrived is not a request this server reads; its connection is closed."""


Handler = Callable[[Request], Response]


@asynccontextmanager
async def serving(
    handler: Handler, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[str]:
    """Serve until left; yields `http://HOST:PORT`. Port 0 takes a free one."""
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio runs this in a task"
        connections.add(task)
        try:
            await _converse(handler, reader, writer)
        except asyncio.CancelledError:
            # The server is stopping; a task that ends canceled would be reported by asyncio.
            pass
        finally:
            connections.discard(task)
            writer.close()

    server = await asyncio.start_server(connected, host, port, limit=HEAD_BYTES_MAX)
    try:
        yield f"http://{host}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tuple(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()


async def _converse(
    handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    # A client that goes away or talks nonsense ends its own connection only.
    with suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError, NotHttpError):
        while (request := await asyncio.wait_for(_read(reader), IDLE_SECONDS_MAX)) is not None:
            response = handler(request)
            if response.delay_seconds:  # else who was heard is answered, also when we stop
                await asyncio.sleep(response.delay_seconds)
            if response.cut or not response.reset:
                writer.write(_encode(response))
                await writer.drain()
            if response.reset:
                _reset(writer)
                return
            if response.cut or request.headers.get("connection", "").lower() == "close":
                return


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """The next request, None at an orderly end; raises NotHttpError."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise NotHttpError("request head too long") from error
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    request_line, *lines = head.decode("latin-1").split("\r\n")[:-2]
    try:
        method, target, _ = request_line.split(" ")
    except ValueError as error:
        raise NotHttpError(f"not a request line: {request_line!r}") from error
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if "transfer-encoding" in headers:
        raise NotHttpError("chunked requests are not read here: send Content-Length")
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > BODY_BYTES_MAX:
        raise NotHttpError(f"body of {length} bytes, at most {BODY_BYTES_MAX} are read")
    return Request(method, target, headers, await reader.readexactly(int(length)))


def _encode(response: Response) -> bytes:
    phrase = HTTPStatus(response.status).phrase if response.status in _STATUSES else "Unknown"
    headers = {**response.headers, "Content-Length": str(len(response.body))}
    lines = [f"HTTP/1.1 {response.status} {phrase}", *(f"{k}: {v}" for k, v in headers.items())]
    body = response.body[: len(response.body) // 2] if response.cut else response.body
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


_STATUSES = frozenset(HTTPStatus)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()
