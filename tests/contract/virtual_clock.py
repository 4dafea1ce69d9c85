"""A clock that stands while anything works and jumps when everything waits for it.

Days pass in seconds, over real HTTP in the same event loop: a task with a request in flight does
not sleep here, so time cannot move under it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

# What one task wakes in another passes through fewer turns of the event loop than these.
QUIET_TURNS = 10


class VirtualClock:
    """bus.clock.Clock over a time of its own; chance is always its smallest."""

    def __init__(self, began_at: datetime) -> None:
        self._began_at = began_at
        self._seconds = 0.0
        self._sleepers: dict[asyncio.Future[None], float] = {}
        self._changes = 0

    def now(self) -> datetime:
        return self._began_at + timedelta(seconds=self._seconds)

    def monotonic(self) -> float:
        return self._seconds

    def chance(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """Until the clock has been moved so far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers[waking] = self._seconds + seconds
        self._changes += 1
        try:
            await waking
        finally:
            self._sleepers.pop(waking, None)
            self._changes += 1

    async def run(self, until: datetime, tasks: Callable[[], int], real_seconds: float) -> None:
        """Pass time up to `until`, from one due instant to the next.

        `tasks` counts those that live: each of them sleeps here once when nothing is to be done.
        Raises TimeoutError when that takes longer than `real_seconds` of the machine's time.
        """
        end = (until - self._began_at).total_seconds()
        async with asyncio.timeout(real_seconds):
            while True:
                await self._all_wait(tasks)
                due = min(self._sleepers.values(), default=end)
                self._seconds = min(due, end)
                if due > end or not self._sleepers:
                    return
                for waking in [one for one, at in self._sleepers.items() if at <= self._seconds]:
                    del self._sleepers[waking]
                    if not waking.done():
                        waking.set_result(None)

    async def _all_wait(self, tasks: Callable[[], int]) -> None:
        """Every living task sleeps, and nothing has stirred for some turns of the loop."""
        quiet, seen = 0, self._changes
        while quiet < QUIET_TURNS:
            await asyncio.sleep(0)
            still = self._changes == seen and len(self._sleepers) >= tasks()
            quiet, seen = (quiet + 1 if still else 0), self._changes
