"""Running a server of the testbed as a process of its own."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import AbstractAsyncContextManager


async def run_until_stopped(server: AbstractAsyncContextManager[str]) -> None:
    """Serve, print `{"base_url": …}` once ready, end on SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with server as base_url:
        print(json.dumps({"base_url": base_url}), flush=True)  # noqa: T201 - its announcement
        await stopped.wait()
