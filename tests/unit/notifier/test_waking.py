"""What a loop rests on: no wake is missed, and no rest is without an end."""

from __future__ import annotations

import asyncio

from services.notifier.waking import Waking


async def test_a_wake_during_a_look_ends_the_rest_behind_it() -> None:
    """Also one that came before anybody rested; a look takes what came before it."""
    waking = Waking()
    waking.look_again()
    waking.wake()
    await asyncio.wait_for(waking.rest(3600), timeout=60)

    waking.look_again()
    resting = asyncio.create_task(waking.rest(3600))
    await asyncio.sleep(0)
    assert not resting.done()
    waking.wake()
    await asyncio.wait_for(resting, timeout=60)


async def test_a_rest_that_nobody_ends_ends_by_itself() -> None:
    """Quietly."""
    resting = asyncio.create_task(Waking().rest(0.01))
    done, _ = await asyncio.wait({resting}, timeout=60)

    assert [task.exception() for task in done] == [None]
