"""The clock the contract tests live by: it never moves under one who works."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from tests.contract.virtual_clock import VirtualClock

BEGAN_AT = datetime(2026, 3, 1, tzinfo=UTC)


async def test_a_day_passes_while_no_time_passes_for_one_who_works() -> None:
    """One sleeps an hour at a time, the other works in real time between two long sleeps."""
    clock = VirtualClock(BEGAN_AT)
    hours: list[datetime] = []
    worked: list[timedelta] = []

    async def sleeper() -> None:
        while True:
            await clock.sleep(3600)
            hours.append(clock.now())

    async def worker() -> None:
        while True:
            await clock.sleep(5 * 3600)
            began_at = clock.now()
            await asyncio.sleep(0.02)
            worked.append(clock.now() - began_at)

    tasks = [asyncio.create_task(sleeper()), asyncio.create_task(worker())]
    await clock.run(BEGAN_AT + timedelta(days=1), lambda: len(tasks), real_seconds=10)
    for task in tasks:
        task.cancel()

    assert [BEGAN_AT + timedelta(hours=hour) for hour in range(1, 25)] == hours
    assert [timedelta(0)] * 4 == worked
    assert clock.now() == BEGAN_AT + timedelta(days=1)
