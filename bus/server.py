"""The HTTP server of a service: uvicorn, whose connections can be broken off."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, MutableMapping
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

BREAK_OFF = "shipfeed.break_off"


class Server(uvicorn.Server):
    """Serves `app` until `should_exit`; its signals are the service's own, so that work stops
    before the port closes.
    """

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        super().__init__(uvicorn.Config(app, host, port, http=_Protocol, log_config=None))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None are."""
        yield

    def port(self) -> int:
        """The port it listens on; 0 while it does not."""
        for server in getattr(self, "servers", []):
            for socket in server.sockets:
                return int(socket.getsockname()[1])
        return 0


def break_off(scope: MutableMapping[str, Any]) -> None:
    """Break the connection of a request off at once, whatever waits for its reader.

    A close would wait for the reader, who may be the very one that reads no more.
    """
    if (abort := scope.get("extensions", {}).get(BREAK_OFF)) is not None:
        abort()


class _Protocol(H11Protocol):
    """Tells each request how its connection is broken off."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        served = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[BREAK_OFF] = self.transport.abort
            await served(scope, receive, send)

        self.app = app
