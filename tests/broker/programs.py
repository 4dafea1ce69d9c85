"""Programs of `examples/` as processes, and what they print."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
LINE_SECONDS_MAX = 40.0


@asynccontextmanager
async def running(
    *command: str, environment: Mapping[str, str] | None = None, files: Sequence[int] = ()
) -> AsyncIterator[asyncio.StreamReader]:
    """What a program prints, while it runs; `files` are the descriptors it is given."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        pass_fds=files,
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself; what it printed says why
            process.kill()
        await process.wait()


async def lines(output: asyncio.StreamReader, count: int) -> list[str]:
    """The next lines.  Raises TimeoutError; EOFError when the program is gone."""
    found: list[str] = []
    async with asyncio.timeout(LINE_SECONDS_MAX):
        for _ in range(count):
            line = await output.readline()
            if not line:
                raise EOFError(f"it ended after {found}")
            found.append(line.decode().rstrip("\n"))
    return found
