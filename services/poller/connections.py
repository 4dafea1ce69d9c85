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


class Connections:
    """At most CONNECTIONS_MAX at once; who asks for one more waits."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._idle: list[httpcore2.AsyncHTTPConnection] = []  # the one used last at the end
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
                    self._idle.append(connection)
                else:
                    await connection.aclose()

    async def close(self) -> None:
        """Close those that are not in use."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.aclose()

    async def _taken(self, origin: httpcore2.Origin) -> httpcore2.AsyncHTTPConnection:
        while self._idle:
            connection = self._idle.pop()
            if connection.can_handle_request(origin) and not connection.has_expired():
                return connection
            await connection.aclose()
        return httpcore2.AsyncHTTPConnection(
            origin, ssl_context=self._tls, keepalive_expiry=IDLE_SECONDS_MAX
        )
