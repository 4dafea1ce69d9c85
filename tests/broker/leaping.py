"""Time that stands while any delivery is due, and leaps to the next one when all of them wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta

from bus.clock import SystemClock
from bus.settings import KafkaSettings
from schemas.delivery import Delivery
from schemas.topics import DELIVERIES
from tests.broker.reading import records

LOOK_SECONDS = 0.05
A_MOMENT = timedelta(seconds=1)
SECONDS_MAX = 100.0  # of the machine's time


class LeapingClock(SystemClock):
    """The machine's clock, as if what was leapt had passed; chance is always its smallest.

    What is measured within the machine, such as timeouts, goes at its own pace.
    """

    def __init__(self) -> None:
        self._began_at = super().now()
        self._leapt = timedelta()

    def now(self) -> datetime:
        return super().now() + self._leapt

    def chance(self) -> float:
        return 0.0

    def leap_to(self, instant: datetime) -> None:
        """Forward only."""
        self._leapt += max(timedelta(), instant - self.now())

    @property
    def passed(self) -> timedelta:
        """Since it was made."""
        return self.now() - self._began_at


async def unfinished(kafka: KafkaSettings) -> dict[str, Delivery]:
    """Deliveries that have no tombstone, as their records say."""
    found = {record.key.decode(): record.value for record in await records(kafka, DELIVERIES)}
    return {
        key: Delivery.model_validate_json(value)
        for key, value in found.items()
        if value is not None and not key.endswith("/position")
    }


def heads(deliveries: Iterable[Delivery]) -> list[Delivery]:
    """The first of each lane: the others wait for it, whatever is due."""
    first: dict[tuple[str, str], Delivery] = {}
    for delivery in sorted(deliveries, key=lambda found: found.event_offset):
        first.setdefault((delivery.subscription, delivery.lane), delivery)
    return list(first.values())


async def pass_time(
    kafka: KafkaSettings,
    clock: LeapingClock,
    *,
    until: timedelta = timedelta.max,
    standing: Callable[[], Collection[str]] = tuple,
) -> None:
    """Until nothing is unfinished but of subscriptions that stand, or so much time has passed.

    Raises TimeoutError after `SECONDS_MAX`.
    """
    async with asyncio.timeout(SECONDS_MAX):
        while clock.passed < until:
            stand = standing()
            found = [
                one for one in (await unfinished(kafka)).values() if one.subscription not in stand
            ]
            if not found:
                return
            due_at = min(delivery.due_at for delivery in heads(found))
            if due_at > clock.now():
                clock.leap_to(due_at + A_MOMENT)
            await asyncio.sleep(LOOK_SECONDS)
