"""The one way out of the notifier: HTTP/1.1 to one origin, whose address is checked when dialed.

Straight over httpx2's transport, without a client before it: no redirect is followed, no cookie
kept, no proxy or credential taken from the environment.
"""

from __future__ import annotations

import httpcore2
import httpx2

from services.notifier.channel import Surroundings
from services.notifier.guard import GuardedBackend

USER_AGENT = "shipfeed"


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """httpx2's own, over a guarded pool: its constructor takes no network backend."""

    def __init__(self, url: str, surroundings: Surroundings, *, idle_seconds: float) -> None:
        """A connection that nobody used for `idle_seconds` is not used again."""
        super().__init__(verify=surroundings.ssl_context, trust_env=False)
        self._closed = False
        secure = httpx2.URL(url).scheme == "https"
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=surroundings.ssl_context,
            max_connections=surroundings.connections_max,
            keepalive_expiry=idle_seconds,
            network_backend=GuardedBackend(
                surroundings.egress, surroundings.resolver, surroundings.clock, secure=secure
            ),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises httpx2.ConnectError once it is closed: its pool would dial again."""
        if self._closed:
            raise httpx2.ConnectError("the channel is closed", request=request)
        return await super().handle_async_request(request)

    async def aclose(self) -> None:
        """Close its connections; nothing is sent afterwards."""
        self._closed = True
        await super().aclose()


def timeouts(total_seconds: float, surroundings: Surroundings) -> dict[str, float | None]:
    """Of each phase of a request, as httpx2's extension; the total needs a clock of its own."""
    connect_seconds = min(surroundings.connect_timeout_seconds, total_seconds)
    return httpx2.Timeout(total_seconds, connect=connect_seconds).as_dict()
