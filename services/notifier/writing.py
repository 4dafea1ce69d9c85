"""One change of the subscriptions topic, decided over all that is there.

Every write holds `<prefix>.subscriptions`: init, read to the end, compare, write, commit; a fenced
writer reads again (design 4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bus.clock import Clock
from bus.errors import RetryLater, TransactionLost
from bus.settings import KafkaSettings
from bus.table import read_to_end
from bus.transaction import Reach, Record, Transaction, Writer
from schemas.topics import SUBSCRIPTIONS
from services.notifier.known import Known

WRITES_MAX = 5
RETRY_WAIT_SECONDS_MAX = 0.5

Decide = Callable[[Known], Awaitable[list[Record]]]


class Writing:
    """Of one copy: its writes wait for each other, and only other copies fence them."""

    def __init__(self, kafka: KafkaSettings, clock: Clock, writer: type[Writer] = Writer) -> None:
        self._writer = writer
        self._kafka = kafka
        self._clock = clock
        self._lock = asyncio.Lock()

    async def write(self, decide: Decide, tries_max: int = WRITES_MAX) -> None:
        """Write what `decide` makes of the newest content; it is asked again when fenced.

        Raises what `decide` raises, and RetryLater after `tries_max` tries: Fenced when others
        wrote all the time.
        """
        async with self._lock:
            lost: list[Record] = []
            for tries_left in reversed(range(tries_max)):
                try:
                    await self._try(decide, lost)
                except RetryLater:
                    if not tries_left:
                        raise
                    # Two copies that started together must not go on fencing each other in step.
                    await self._clock.sleep(self._clock.chance() * RETRY_WAIT_SECONDS_MAX)
                else:
                    return

    async def _try(self, decide: Decide, lost: list[Record]) -> None:
        """`lost` are the records of a try whose outcome is unknown: they may be there."""
        topic = self._kafka.topic(SUBSCRIPTIONS)
        reach = Reach(outputs=((topic, 0),))
        writer = self._writer(self._kafka, f"{self._kafka.prefix}.subscriptions", reach)
        known, values = Known(), dict[str, bytes | None]()

        def take(key: str, value: bytes | None) -> None:
            known.take(key, value)
            values[key] = value

        try:
            await writer.start()
            known.end = await read_to_end(self._kafka, topic, 0, take)
            if lost and all(values.get(record.key) == record.value for record in lost):
                return
            if records := await decide(known):
                try:
                    await writer.commit(Transaction(records))
                except TransactionLost:
                    lost[:] = records
                    raise
        finally:
            await writer.close()
