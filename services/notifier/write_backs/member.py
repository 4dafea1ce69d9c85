"""This copy as one that writes back: a consumer of write-backs, beside the one of events."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from bus.clock import Clock
from bus.consumer import PartitionConsumer
from bus.errors import RetryLater
from bus.settings import KafkaSettings
from schemas.topics import WRITE_BACKS
from schemas.write_back import State
from services.notifier.endpoints import Endpoints
from services.notifier.target import WriteTarget
from services.notifier.write_backs.accounts import Accounts
from services.notifier.write_backs.owner import Owner, group_of
from services.notifier.write_backs.settings import TargetEntry


class Member:
    """Without a target it owns nothing, and joins no group."""

    def __init__(
        self,
        kafka: KafkaSettings,
        targets: Sequence[tuple[TargetEntry, WriteTarget]],
        endpoints: Endpoints,
        clock: Clock,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._kafka = kafka
        self._endpoints = endpoints
        self._clock = clock
        self._accounts = Accounts(targets, clock, kafka.partition_count(WRITE_BACKS))
        self._consumer = PartitionConsumer(
            kafka, WRITE_BACKS, group_of(kafka), self._build, clock=clock, on_fatal=on_fatal
        )
        self._joining = False

    async def start(self) -> None:
        """Join the group.  Raises KafkaError."""
        if self._accounts:
            self._joining = True
            await self._consumer.start()

    async def stop(self) -> None:
        """Calls on their way end or are canceled; nothing stays open."""
        if self._joining:
            await self._consumer.stop()
        await self._accounts.close()

    def health(self) -> dict[str, Any]:
        """The consumer's, and how many write-backs are in which state, for each target."""
        if not self._accounts:
            return {"ok": True, "ready": True}
        counts: defaultdict[str, Counter[State]] = defaultdict(Counter)
        for owner in self._consumer.owned.values():
            assert isinstance(owner, Owner), "built here"
            for (target, state), count in owner.ledger.counts.items():
                counts[target] += Counter({state: count})  # nothing is told of what is not there
        return {
            **self._consumer.health(),
            "states": {name: dict(one) for name, one in counts.items()},
        }

    def _build(self, number: int, broken: Callable[[RetryLater], None]) -> Owner:
        return Owner(
            self._kafka,
            number,
            accounts=self._accounts,
            endpoints=self._endpoints,
            clock=self._clock,
            broken=broken,
        )
