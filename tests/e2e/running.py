"""Running `shipfeed` as a person would: a process, its output, its exit code."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Ended:
    """Exit code and output of a process that ended by itself."""

    code: int
    out: str
    err: str


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, with the checkout importable from any folder."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **(extra or {})}


async def shipfeed(
    *arguments: str, folder: Path, seconds: float, extra: Mapping[str, str] | None = None
) -> Ended:
    """Run to the end.  Raises TimeoutError after `seconds`."""
    process = await _spawn(("console.cli", *arguments), folder, extra)
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def running(
    *arguments: str, folder: Path, extra: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m ARGUMENTS`, ended with SIGTERM when the block is left."""
    process = await _spawn(arguments, folder, extra)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.communicate()
            except TimeoutError:
                process.kill()
                raise


async def _spawn(
    arguments: tuple[str, ...], folder: Path, extra: Mapping[str, str] | None
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        cwd=folder,
        env=environment(extra),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
