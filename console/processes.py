"""Children of this process: started, watched, started again, ended; none outlives us."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bus.child import Child
from bus.errors import BadConfig, Stop

STOP_SECONDS = 12.0
READY_SECONDS = 30.0
RESTART_WAIT_SECONDS = 0.3
WATCH_SECONDS = 0.05
EXIT_REFUSED = 2


class Kept:
    """One module run as a process, its output in `log_path`."""

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        log_path: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.kills = 0
        self._command = [sys.executable, "-m", module, *arguments]
        self._log_path = log_path
        self._environment = environment or {}
        self._child: Child | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self, *, announces: bool = False) -> dict[str, Any]:
        """Start it; with `announces`, wait for its one JSON line on stdout and give it back.

        Raises Stop when it ends or stays silent, with the end of its log.
        """
        self._child = await Child.spawn(
            self._command,
            log=self._log_path,
            environment=self._environment,
            announces=announces,
        )
        if not announces:
            return {}
        try:
            async with asyncio.timeout(READY_SECONDS):
                found: dict[str, Any] = json.loads(await self._child.line())
        except (TimeoutError, ValueError) as error:
            raise Stop(f"{self.name} did not start; {self._tail()}") from error
        return found

    def keep_running(self, on_refused: Callable[[Stop], None]) -> None:
        """Start it again whenever it ends; exit code 2 (not to be started so) is told instead."""
        self._keeper = asyncio.create_task(self._keep(on_refused), name=f"keep {self.name}")

    async def kill(self) -> None:
        """SIGKILL once it runs, as the kernel would; `keep_running` starts it again.

        Raises TimeoutError when it does not run within `READY_SECONDS`.
        """
        async with asyncio.timeout(READY_SECONDS):
            while self._child is None or self._child.pid is None:
                await asyncio.sleep(WATCH_SECONDS)
        await self._child.kill()
        self.kills += 1

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        if self._child is not None:
            await self._child.stop(STOP_SECONDS)

    async def _keep(self, on_refused: Callable[[Stop], None]) -> None:
        while self._child is not None:
            code = await self._child.wait()
            await self._child.kill()  # lets its watchdog go
            if code == EXIT_REFUSED:
                on_refused(BadConfig(f"{self.name}: {self._tail(1)}"))
                return
            await asyncio.sleep(RESTART_WAIT_SECONDS)
            await self.start()

    def _tail(self, lines: int = 5) -> str:
        text = self._log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        return " | ".join(text[-lines:]) or f"{self._log_path} is empty"
