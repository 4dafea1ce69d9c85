"""Children of this process: started, watched, started again, ended; none outlives us."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bus.child import Child
from bus.errors import BadConfig, Stop

STOP_SECONDS = 12.0
READY_SECONDS = 30.0
RESTART_SECONDS_MIN = 0.3
RESTART_SECONDS_MAX = 30.0
HEALTHY_SECONDS = 30.0  # a child that ran for so long is restarted without delay again
LOG_BYTES_MAX = 16 * 1024 * 1024  # of one file; an older one of the same size stays beside it
WATCH_SECONDS = 0.05
EXIT_REFUSED = 2


def restart_wait_seconds(failures: int) -> float:
    """How long to wait before a child starts again that failed so often in a row before."""
    return min(RESTART_SECONDS_MAX, RESTART_SECONDS_MIN * 2.0 ** min(failures, 32))


def failures_after(failures: int, ran_seconds: float) -> int:
    """How often a child has failed in a row, once more after it ran for so long."""
    return 0 if ran_seconds >= HEALTHY_SECONDS else failures + 1


def rotate(log: Path, bytes_max: int = LOG_BYTES_MAX) -> None:
    """Once a log is larger than that, copy it to `<name>.1` and empty it.

    The process that writes it holds it open for appending, so it goes on at the new beginning; what
    it writes between the copy and the cut is lost from the logs.
    """
    try:
        if log.stat().st_size <= bytes_max:
            return
    except FileNotFoundError:
        return
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)


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
        self.log_path = log_path
        self.kills = 0
        self._command = [sys.executable, "-m", module, *arguments]
        self._environment = environment or {}
        self._child: Child | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._failures = 0  # in a row, each after less than HEALTHY_SECONDS

    async def start(self, *, announces: bool = False) -> dict[str, Any]:
        """Start it; with `announces`, wait for its one JSON line on stdout and give it back.

        Raises Stop when it ends or stays silent, with the end of its log.
        """
        self._child = await Child.spawn(
            self._command,
            log=self.log_path,
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
        """Start it again whenever it ends, later each time while it keeps failing.

        Exit code 2 (wrong configuration) is reported instead.
        """
        self._keeper = asyncio.create_task(self._keep(on_refused), name=f"keep {self.name}")

    async def kill(self) -> None:
        """SIGKILL once it runs, as the kernel would; `keep_running` starts it again.

        Raises TimeoutError when it does not run within `READY_SECONDS`.
        """
        async with asyncio.timeout(READY_SECONDS):
            while self._child is None or self._child.pid is None:
                await asyncio.sleep(WATCH_SECONDS)
        self._failures = 0  # it did not fail by itself
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
        clock = asyncio.get_running_loop().time
        while self._child is not None:
            began = clock()
            code = await self._child.wait()
            await self._child.kill()  # lets its watchdog go
            if code == EXIT_REFUSED:
                on_refused(BadConfig(f"{self.name}: {self._tail(1)}"))
                return
            await asyncio.sleep(restart_wait_seconds(self._failures))
            self._failures = failures_after(self._failures, clock() - began)
            await self.start()

    def _tail(self, lines: int = 5) -> str:
        text = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        return " | ".join(text[-lines:]) or f"{self.log_path} is empty"
