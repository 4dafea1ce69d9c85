"""What a loop rests on between two looks: somebody wakes it, or time is up."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Waking:
    """`look_again` before each look, so that whoever wakes it during the look is not missed."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something changed."""
        self._woken.set()

    def look_again(self) -> None:
        """What changed until now is about to be seen."""
        self._woken.clear()

    async def rest(self, seconds_max: float) -> None:
        """Until woken, or so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds_max):
                await self._woken.wait()
