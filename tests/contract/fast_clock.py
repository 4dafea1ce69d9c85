"""Time that passes faster for an account and its upstream alike, so that no test waits long."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from tests.systems.bench import EagerClock


class FastClock(EagerClock):
    """Real time, `times` as fast; what is measured by the network itself stays as it is."""

    def __init__(self, times: float) -> None:
        self._times = times
        self._began = super().monotonic()
        self._began_at = super().now()

    def now(self) -> datetime:
        return self._began_at + timedelta(seconds=self.monotonic() - self._began)

    def monotonic(self) -> float:
        return self._began + (super().monotonic() - self._began) * self._times

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._times)
