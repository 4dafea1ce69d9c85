"""Copies of one service as processes that are killed, started again, and told to end."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from bus.child import Child
from tests.broker.notifying import SECRET
from tests.broker.reading import until
from tests.e2e.running import STOP_SECONDS, environment

START_SECONDS_MAX = 60.0
MASTER_KEY = base64.b64encode(bytes(range(32))).decode()
IN_FLIGHT_MAX = 48  # tries of one subscription, over all copies
NOTIFIER_CONFIG = f"""\
[kafka]
session_timeout_ms = 1500
transaction_timeout_ms = 3000

[notifier]
allow_networks = ["127.0.0.0/8"]
retry_schedule_seconds = [0.1, 0.2, 0.5, 1, 2, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5]
concurrency = {IN_FLIGHT_MAX}
master_key = "env:MASTER_KEY"
"""


class Copy:
    """One process of `services.<service>`; its output of all its lives is in `log`."""

    def __init__(self, service: str, number: int, folder: Path, extra: Mapping[str, str]) -> None:
        self.log = folder / f"{service}-{number}.log"
        self._command = [sys.executable, "-m", f"services.{service}", "--config", "shipfeed.toml"]
        self._folder = folder
        self._extra = extra
        self._child: Child | None = None
        self._seen = 0  # how long the log was when this life began

    async def start(self) -> None:
        """A new life; it may not be ready yet."""
        assert self._child is None, "one process at a time"
        self._seen = len(self.log.read_bytes()) if self.log.exists() else 0
        self._child = await Child.spawn(
            self._command, log=self.log, cwd=self._folder, environment=environment(self._extra)
        )

    async def kill(self) -> None:
        """SIGKILL, wherever it stands."""
        child, self._child = self._child, None
        assert child is not None, "it runs"
        assert child.pid is not None, f"it ended by itself: {self.log.read_text()[-2000:]}"
        await child.kill()

    async def died(self) -> int:
        """Its exit code, once it has ended by itself; negative for a signal."""
        child, self._child = self._child, None
        assert child is not None, "it runs"
        return await child.wait()

    async def stop(self) -> int | None:
        """Told to end; its exit code, None when it does not run."""
        child, self._child = self._child, None
        if child is None:
            return None
        await child.stop(STOP_SECONDS)
        return await child.wait()

    async def url(self) -> str:
        """Where it answers.  Raises TimeoutError when it does not start."""
        await until(lambda: self._address() is not None, START_SECONDS_MAX)
        address = self._address()
        assert address is not None, "it was just there"
        return address

    async def health(self) -> dict[str, Any]:
        """What it says of itself; nothing while it does not answer."""
        address = self._address()
        if self._child is None or address is None:
            return {}
        try:
            async with httpx2.AsyncClient(trust_env=False) as client:
                found = await client.get(f"{address}/health")
        except httpx2.TransportError:
            return {}
        return dict(found.json())

    async def ready(self) -> bool:
        """Whether it owns what it is to own."""
        return (await self.health()).get("ready") is True

    def _address(self) -> str | None:
        """As told in the log of this life."""
        lines = self.log.read_bytes()[self._seen :].splitlines() if self.log.exists() else []
        for line in lines:
            if b'"service.started"' in line:
                return str(json.loads(line)["http"])
        return None


def surroundings(kafka: str, prefix: str) -> dict[str, str]:
    """Where copies find Kafka and their secrets."""
    return {
        "SHIPFEED_KAFKA__BOOTSTRAP_SERVERS": kafka,
        "SHIPFEED_KAFKA__PREFIX": prefix,
        "HOOK_SECRET": SECRET,
        "MASTER_KEY": MASTER_KEY,
    }


async def nothing_pending(all_copies: Sequence[Copy]) -> bool:
    """Whether all own partitions and none has a delivery that is not done."""
    found = [await one.health() for one in all_copies]
    return all(one.get("ready") and one.get("pending") == 0 for one in found)


@asynccontextmanager
async def copies(
    service: str, count: int, folder: Path, extra: Mapping[str, str], *, started: int
) -> AsyncIterator[list[Copy]]:
    """The first `started` of them run; all end when the block is left.  `shipfeed.toml` lies in
    `folder`.
    """
    found = [Copy(service, number, folder, extra) for number in range(count)]
    try:
        for one in found[:started]:
            await one.start()
        yield found
    finally:
        for one in found:
            await one.stop()
