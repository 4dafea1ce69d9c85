"""A response of server-sent events that ends with its reader, or without one that reads no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from bus.errors import RetryLater
from bus.server import break_off

MEDIA_TYPE = "text/event-stream"
HEADERS = {"x-accel-buffering": "no"}  # a proxy is not to collect them

log = structlog.get_logger(__name__)


class EventStream(StreamingResponse):
    """`frames` one by one; `held` is closed with it, however it ends.

    A reader that takes nothing for `stall_seconds` is broken off: it has its cursor, and comes
    again with it.
    """

    def __init__(
        self, frames: AsyncGenerator[bytes], held: AsyncExitStack, stall_seconds: float, name: str
    ) -> None:
        super().__init__(frames, media_type=MEDIA_TYPE, headers=HEADERS)
        self._frames = frames
        self._held = held
        self._stall_seconds = stall_seconds
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; what is `held` is let go afterwards."""

        async def sent(message: Message) -> None:
            try:
                async with asyncio.timeout(self._stall_seconds):
                    await send(message)
            except TimeoutError:
                log.warning("notifier.stream_stalled", subscription=self._name)
                break_off(scope)
                await send(message)  # returns when the connection is gone

        async with self._held:
            await super().__call__(scope, receive, sent)

    async def stream_response(self, send: Send) -> None:
        """The frames, and a clean end also where Kafka cannot be read any more."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with aclosing(self._frames) as frames:
            try:
                async for frame in frames:
                    await send({"type": "http.response.body", "body": frame, "more_body": True})
            except RetryLater as error:
                log.warning("notifier.stream_unread", subscription=self._name, error=str(error))
        await send({"type": "http.response.body", "body": b"", "more_body": False})
