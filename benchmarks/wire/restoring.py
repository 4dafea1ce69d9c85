"""How long a process takes to have its state back, and how much memory that takes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from benchmarks.wire.subject import Running
from bus.clock import Clock

TAKEN_OVER = '"consumer.taken_over"'  # the log line of a partition whose state is there
CHECK_SECONDS = 0.02
RESTORE_SECONDS_MAX = 120.0


@dataclass(frozen=True, slots=True)
class Restored:
    """From the start of the process on; the most memory it had resident until then."""

    seconds: float
    resident_mb: float


async def restored(running: Running, partitions: int, clock: Clock) -> Restored:
    """Once every partition was taken over.  Raises TimeoutError."""
    began = clock.monotonic()
    async with asyncio.timeout(RESTORE_SECONDS_MAX):
        while running.log.read_text(encoding="utf-8").count(TAKEN_OVER) < partitions:
            await clock.sleep(CHECK_SECONDS)
    seconds = clock.monotonic() - began
    return Restored(seconds, _most_resident_mb(running.pid))


def _most_resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    fields = dict(line.split(":", 1) for line in status)
    return int(fields["VmHWM"].split()[0]) * 1024 / 1e6
