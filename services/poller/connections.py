"""An account's connections: lent to one request at a time, kept between requests, few at once.

Not the client's own pool, which looks through all of them before and after every request: that
took a sixth of what a whole request costs (decision 0005).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpcore2

CONNECTIONS_MAX = 4
IDLE_SECONDS_MAX = 5.0  # longer, and more servers have closed one before we use it again
FRESH_SECONDS = 0.1  # so soon after an answer nobody looks whether the server has gone


class Connections:
    """At most CONNECTIONS_MAX at once; who asks for one more waits."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        # With the loop's time at their return, the one used last at the end.
        self._idle: list[tuple[httpcore2.AsyncHTTPConnection, float]] = []
        self._room = asyncio.Semaphore(CONNECTIONS_MAX)

    @asynccontextmanager
    async def lent(self, origin: httpcore2.Origin) -> AsyncIterator[httpcore2.AsyncHTTPConnection]:
        """A connection for one request and its whole answer; one that then is not clean, because
        the answer was left unread or failed, is closed.
        """
        async with self._room:
            connection = await self._taken(origin)
            try:
                yield connection
            finally:
                if connection.is_idle() and not connection.is_closed():
                    self._idle.append((connection, asyncio.get_running_loop().time()))
                else:
                    await connection.aclose()

    async def close(self) -> None:
        """Close those that are not in use."""
        idle, self._idle = self._idle, []
        for connection, _ in idle:
            await connection.aclose()

    async def _taken(self, origin: httpcore2.Origin) -> httpcore2.AsyncHTTPConnection:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection, since = self._idle.pop()
            fresh = now - since < FRESH_SECONDS
            if connection.can_handle_request(origin) and (fresh or not connection.has_expired()):
                return connection
            await connection.aclose()
        return httpcore2.AsyncHTTPConnection(
            origin, ssl_context=self._tls, keepalive_expiry=IDLE_SECONDS_MAX
        )
