"""What stands before every route: the request is admitted and small, and this copy is current.

Whoever is not admitted by what this copy knows is refused before Kafka is asked. Every other
request follows the subscriptions topic to its end and is judged again, so that whoever wrote over
one copy reads it over any other, and a revoked key opens nothing.
"""

from __future__ import annotations

import asyncio
import re

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bus.errors import RetryLater
from schemas.api_key import ApiKey
from services.notifier.api.auth import READING, admitted, names_unknown_key
from services.notifier.api.context import Context
from services.notifier.api.problems import Problem, failed, unavailable

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
        self._looking = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may go on; answer the rest."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send)
        try:
            await self._pass_on(scope, receive, answer)
        except Problem as problem:
            await problem.response(scope, receive, send)
        except RetryLater as error:
            await unavailable(error).response(scope, receive, send)
        except Exception as error:
            log.error("notifier.api_failed", path=_logged_path(scope), exc_info=error)
            if answer.begun:
                raise  # the connection breaks off: half an answer must not look like a whole one
            await failed().response(scope, receive, answer)

    async def _pass_on(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        """Raises Problem, RetryLater, and what no route expects."""
        key = await self._admitted(scope)
        try:
            async with asyncio.timeout(BODY_SECONDS_MAX):
                body = await _body(receive)
        except TimeoutError:
            late = f"the body did not come within {BODY_SECONDS_MAX:g} s: send it again"
            raise Problem(408, "Request timeout", late) from None
        answer.who = key.id if key else "this machine"
        await self._app(scope, _Replay(body, receive), answer)

    async def _admitted(self, scope: Scope) -> ApiKey | None:
        """Return the key, None for this machine's own.  Raises Problem, RetryLater.

        Another copy may have made the key a moment ago, so an unknown key is worth a look at Kafka;
        one such request at a time, since anybody may send one.
        """
        try:
            admitted(self._context, scope)
        except Problem:
            if not names_unknown_key(self._context, scope):
                raise
            async with self._looking:
                if names_unknown_key(self._context, scope):
                    await self._context.endpoints.current()
            admitted(self._context, scope)
        await self._context.endpoints.current()
        return admitted(self._context, scope)


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


def _logged_path(scope: Scope) -> str:
    raw: bytes = scope["raw_path"]
    return raw.decode("ascii", "replace")[:LOGGED_LENGTH_MAX]


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

    def __init__(self, scope: Scope, send: Send) -> None:
        self.who = "nobody"
        self.begun = False
        self._scope = scope
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
            if self._scope["method"] not in READING:
                log.info(
                    "notifier.api_used",
                    key=self.who,
                    method=self._scope["method"],
                    path=_logged_path(self._scope),
                    status=message["status"],
                )
        await self._send(message)
