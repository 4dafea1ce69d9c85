"""The composition root of the poller."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from starlette.routing import BaseRoute

from bus.admin import ensure_topics
from bus.baseline import refuse_lost_state
from bus.clock import Clock, SystemClock
from bus.consumer import PartitionConsumer
from bus.errors import RetryLater
from bus.settings import Config, KafkaSettings
from schemas.topics import CURSORS
from services.poller.settings import PollerSettings, accounts
from services.poller.slot import Slot, home_of
from services.poller.source import AccountSettings

NO_ACCOUNTS = "add an [[accounts]] table with source, name and its credential to shipfeed.toml"
NEW_BASELINE = "what changed since the last poll would be passed over"

log = structlog.get_logger(__name__)


async def build(
    config: Config, end: Callable[[BaseException], None], *, accept_new_baseline: bool = False
) -> Poller:
    """A poller that has not begun.  Raises BadConfig."""
    poller, kafka = config.section("poller", PollerSettings), config.kafka()
    configured, clock = accounts(config), SystemClock()
    return Poller(kafka, poller, configured, clock, end, accept_new_baseline=accept_new_baseline)


class Poller:
    """A member of the poller group: it runs the accounts of the slots it is given."""

    routes: Sequence[BaseRoute] = ()

    def __init__(
        self,
        kafka: KafkaSettings,
        poller: PollerSettings,
        configured: Sequence[AccountSettings],
        clock: Clock,
        end: Callable[[BaseException], None],
        *,
        accept_new_baseline: bool = False,
    ) -> None:
        self._kafka = kafka
        self._accept_new_baseline = accept_new_baseline
        self._poller = poller
        self._accounts = configured
        self._clock = clock
        self._consumer = PartitionConsumer(
            kafka,
            CURSORS,
            f"{kafka.prefix}.poller",
            self._slot,
            clock=clock,
            on_fatal=end,
            consuming=False,
        )

    async def start(self) -> None:
        """Make sure of the topics, join the group.  Raises Stop, BadConfig, KafkaError."""
        await ensure_topics(self._kafka, self._clock)
        if not self._accept_new_baseline:
            await refuse_lost_state(self._kafka, CURSORS, NEW_BASELINE)
        if not self._accounts:
            log.warning("poller.accounts_missing", advice=NO_ACCOUNTS)
        await self._consumer.start()

    async def stop(self) -> None:
        """Leave the group; what is being written is finished or aborted."""
        await self._consumer.stop()

    def health(self) -> dict[str, object]:
        """The consumer's, and every stream's."""
        found = self._consumer.health()
        slots = [one for one in self._consumer.owned.values() if isinstance(one, Slot)]
        streams = [task for slot in slots for task in slot.streams]
        advice = {} if self._accounts else {"advice": NO_ACCOUNTS}
        return {**found, "streams": [task.health() for task in streams], **advice}

    def _slot(self, number: int, broken: Callable[[RetryLater], None]) -> Slot:
        slots = self._kafka.slots
        mine = [one for one in self._accounts if home_of(one.source, one.name, slots) == number]
        return Slot(number, self._kafka, self._poller, mine, clock=self._clock, broken=broken)
