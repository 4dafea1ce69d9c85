"""A service's life: start, serve /health /ready /metrics, stop within ten seconds.

A service stops for Kafka or its own configuration only; what cannot go on says so in one line
and the exit code tells a supervisor what to do: 0 asked to stop, 1 start me again, 2 fix the
configuration first, or say what was asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import structlog
from aiokafka.errors import KafkaError
from prometheus_client import make_asgi_app
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route

from bus.errors import BadConfig, Misuse, ShipfeedError, Stop
from bus.server import Server
from bus.settings import Config, HttpSettings
from bus.telemetry import set_up_logging

STOP_SECONDS = 10.0
# Made before the garbage collector looks at them.  Its 700 were looked at in vain: a batch keeps
# a hundred thousand until it is committed, and then lets them all go.
YOUNG_OBJECTS_MAX = 500_000

log = structlog.get_logger(__name__)


class Service(Protocol):
    """What `run` drives.  `start` returns when work has begun; `stop` finishes or aborts it.

    `routes` are served beside /health, /ready and /metrics.
    """

    routes: Sequence[BaseRoute]

    async def start(self) -> None:
        """Begin.  Raises Stop, BadConfig, KafkaError."""

    async def stop(self) -> None:
        """End: no transaction is left open."""

    def health(self) -> dict[str, object]:
        """`{"ok": bool, "ready": bool, ...}`: ok by progress, not by being alive."""


End = Callable[[BaseException], None]
Build = Callable[[Config, End], Awaitable[Service]]
"""Everything checked, nothing started.  Raises BadConfig."""


def command_line(name: str) -> argparse.ArgumentParser:
    """What every service takes: `--config FILE`."""
    parser = argparse.ArgumentParser(prog=f"python -m services.{name}")
    parser.add_argument("--config", type=Path, help="shipfeed.toml; left out: environment only")
    return parser


def run(name: str, settings: type[HttpSettings], build: Build, config_path: Path | None) -> int:
    """Run a service until it is told to stop.  Returns the exit code."""
    set_up_logging(name)
    gc.freeze()  # what is imported lives as long as the process: no collection looks at it again
    gc.set_threshold(YOUNG_OBJECTS_MAX, *gc.get_threshold()[1:])
    try:
        config = Config.read(config_path)
        http = config.section(name, settings)
        return asyncio.run(_run(http, lambda end: build(config, end)))
    except (BadConfig, Misuse) as error:
        sys.stderr.write(f"shipfeed {name}: {error}\n")
        return 2


async def _run(http: HttpSettings, build: Callable[[End], Awaitable[Service]]) -> int:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[BaseException | None] = loop.create_future()

    def end(error: BaseException | None) -> None:
        if not ended.done():
            ended.set_result(error)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, None)
    service = await build(end)
    server = Server(application(service), http.http_host, http.http_port)
    serving = asyncio.create_task(server.serve())
    serving.add_done_callback(lambda _: end(Stop("the HTTP server ended")))
    starting = asyncio.create_task(service.start())
    try:
        either: list[asyncio.Future[Any]] = [starting, ended]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            log.info("service.started", http=f"http://{http.http_host}:{server.port()}")
        error = await ended
    except (ShipfeedError, KafkaError, OSError) as failure:
        error = failure
    finally:
        starting.cancel()
        await _stopped(service)
        server.should_exit = True
        await asyncio.wait({serving}, timeout=STOP_SECONDS)
    if error is None:
        log.info("service.stopped")
        return 0
    if isinstance(error, BadConfig | Misuse):
        raise error
    log.error("service.failed", error=str(error), kind=type(error).__name__, exc_info=error)
    return 1


async def _stopped(service: Service) -> None:
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await service.stop()
    except (TimeoutError, ShipfeedError, KafkaError) as error:
        # The broker aborts what is left open when the next owner starts.
        log.warning("service.stop_incomplete", error=repr(error))


def application(service: Service) -> Starlette:
    """Health, metrics, and what the service itself serves."""

    async def health(_: Request) -> JSONResponse:
        found = service.health()
        return JSONResponse(found, 200 if found["ok"] else 503)

    async def ready(_: Request) -> JSONResponse:
        found = service.health()
        return JSONResponse(found, 200 if found["ready"] else 503)

    routes: list[BaseRoute] = [
        Route("/health", health),
        Route("/ready", ready),
        Mount("/metrics", make_asgi_app()),
        *service.routes,
    ]
    return Starlette(routes=routes)
