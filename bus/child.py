"""A child process that never outlives us, however we end, SIGKILL included.

Linux could do it with a death signal per thread; a pipe does it on every POSIX system.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

# The shell becomes the command and leaves a subshell behind, reading a pipe only we hold open:
# a line says "ended in order", an end without one "the parent is gone". The birth time (field 22,
# empty without /proc) spares a stranger who was given the number of a child that died by itself.
_WITH_WATCHDOG = """\
born() { cut -d ' ' -f 22 /proc/$$/stat; }
exec 3<&0
( at=$(born); read -r _ <&3 || [ "$at" != "$(born)" ] || kill -9 $$ ) >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-
"""


class Child:
    """One running command, in a session of its own: Ctrl-C in the terminal is for us alone."""

    def __init__(self, process: asyncio.subprocess.Process, lifeline: int) -> None:
        self._process = process
        self._lifeline: int | None = lifeline

    @classmethod
    async def spawn(
        cls,
        command: Sequence[str],
        *,
        log: Path,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        announces: bool = False,
    ) -> Child:
        """Starts `command`, its output added to `log`; with `announces` stdout goes to `line`."""
        read_end, lifeline = os.pipe()
        try:
            with log.open("ab") as output:
                process = await asyncio.create_subprocess_exec(
                    *("/bin/sh", "-c", _WITH_WATCHDOG, "sh", *command),
                    stdin=read_end,
                    stdout=asyncio.subprocess.PIPE if announces else output,
                    stderr=output,
                    cwd=cwd,
                    env=None if environment is None else {**os.environ, **environment},
                    start_new_session=True,
                )
        except BaseException:
            os.close(lifeline)
            raise
        finally:
            os.close(read_end)
        return cls(process, lifeline)

    @property
    def pid(self) -> int | None:
        """Its process id, None once it has ended."""
        return self._process.pid if self._process.returncode is None else None

    async def line(self) -> bytes:
        """The next line of its stdout; empty when it has ended or writes to its log."""
        stdout = self._process.stdout
        return b"" if stdout is None else await stdout.readline()

    async def wait(self) -> int:
        """Its exit code, negative for a signal, once it has ended."""
        return await self._process.wait()

    async def stop(self, deadline_seconds: float) -> None:
        """SIGTERM, and SIGKILL when it has not ended by the deadline."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.wait(), deadline_seconds)
        await self.kill()

    async def kill(self) -> None:
        """SIGKILL; nothing when it has ended."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self.wait()
        lifeline, self._lifeline = self._lifeline, None
        if lifeline is not None:
            with suppress(BrokenPipeError):
                os.write(lifeline, b"ended\n")
            os.close(lifeline)
