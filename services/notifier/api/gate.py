"""What stands before every route: this copy is current, the request is admitted and small.

Every request first follows the subscriptions topic to its end, so that whoever wrote over one copy
reads it over any other, and a key that was revoked opens nothing.
"""

from __future__ import annotations

import asyncio
import re

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bus.errors import RetryLater
from services.notifier.api.auth import READING, admitted
from services.notifier.api.context import Context
from services.notifier.api.problems import Problem, unavailable

BODY_BYTES_MAX = 64 * 1024
BODY_SECONDS_MAX = 10.0
LOGGED_LENGTH_MAX = 200  # characters of a path as it was sent, percent-encoded
DEPTH_MAX = 32  # of arrays and objects
_BRACKET_OR_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\Z)|[\[{]|[\]}]', re.DOTALL)

log = structlog.get_logger(__name__)


class Gate:
    """Middleware around the application."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may go on; answer the rest."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._context.endpoints.current()
            key = admitted(self._context, scope)
            async with asyncio.timeout(BODY_SECONDS_MAX):
                body = await _body(receive)
        except RetryLater as error:
            await unavailable(error).response(scope, receive, send)
        except TimeoutError:
            late = f"the body did not come within {BODY_SECONDS_MAX:g} s: send it again"
            await Problem(408, "Request timeout", late).response(scope, receive, send)
        except Problem as problem:
            await problem.response(scope, receive, send)
        else:
            who = key.id if key else "this machine"
            await self._app(scope, _Replay(body, receive), _Answer(scope, who, send))


async def _body(receive: Receive) -> bytes:
    """All of it.  Raises Problem: 413, or 400 for one too deep to be read safely."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)  # the client has gone; who works on it finds out
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            raise Problem(
                413, "Content too large", f"a body has at most {BODY_BYTES_MAX} bytes: send less"
            )
        if not message.get("more_body", False):
            break
    if depth_of(body) > DEPTH_MAX:
        raise Problem(400, "Bad request", f"a body nests at most {DEPTH_MAX} deep: flatten it")
    return bytes(body)


def depth_of(body: bytes | bytearray) -> int:
    """How deep arrays and objects nest, without reading it as JSON."""
    depth = deepest = 0
    for found in _BRACKET_OR_STRING.finditer(body):
        mark = found[0]
        if mark in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
        elif mark in (b"]", b"}"):
            depth -= 1
    return deepest


class _Replay:
    """The body that was read already, then whatever else comes."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if (body := self._body) is None:
            return await self._receive()
        self._body = None
        return {"type": "http.request", "body": body, "more_body": False}


class _Answer:
    """Says that answers are not to be stored, and logs who changed what."""

    def __init__(self, scope: Scope, who: str, send: Send) -> None:
        self._scope = scope
        self._who = who
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
            if self._scope["method"] not in READING:
                log.info(
                    "notifier.api_used",
                    key=self._who,
                    method=self._scope["method"],
                    path=self._scope["raw_path"].decode("ascii", "replace")[:LOGGED_LENGTH_MAX],
                    status=message["status"],
                )
        await self._send(message)
