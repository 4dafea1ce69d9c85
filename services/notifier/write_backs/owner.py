"""The owner of one partition of write-backs: takes in what is wanted, and has it worked on.

What is wanted becomes a WriteBack in the transaction that moves the offset, so nothing is ever
read twice; only the owner of an order's partition looks it up, guards it and calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from aiokafka import ConsumerRecord, TopicPartition

from bus.clock import Clock
from bus.committer import Committer
from bus.crash import crash_point
from bus.errors import RetryLater
from bus.settings import KafkaSettings
from bus.table import Table
from bus.telemetry import RECORDS, SET_ASIDE
from bus.transaction import Record, Writer
from schemas.topics import DEAD_LETTERS, WRITE_BACKS
from schemas.write_back import WriteBack
from services.notifier.endpoints import Endpoints
from services.notifier.settlement import SERVICE
from services.notifier.write_backs.accounts import Accounts
from services.notifier.write_backs.intake import Batch, read_batch, taken_in_all
from services.notifier.write_backs.ledger import Ledger
from services.notifier.write_backs.steps import interrupted
from services.notifier.write_backs.work import Work

OUTPUTS = (WRITE_BACKS, DEAD_LETTERS)

log = structlog.get_logger(__name__)


def group_of(kafka: KafkaSettings) -> str:
    """The consumer group of all copies that write back."""
    return f"{kafka.prefix}.write-backs"


def writer_of(kafka: KafkaSettings, number: int) -> Writer:
    """Of the partition: its start fences whoever else has one."""
    place = TopicPartition(kafka.topic(WRITE_BACKS), number)
    return Writer.of_partition(kafka, group_of(kafka), place, OUTPUTS)


class Owner:
    """The `Owned` of partition `number`; thrown away and built anew when its writer breaks."""

    def __init__(
        self,
        kafka: KafkaSettings,
        number: int,
        *,
        accounts: Accounts,
        endpoints: Endpoints,
        clock: Clock,
        broken: Callable[[RetryLater], None],
    ) -> None:
        self._kafka = kafka
        self._number = number
        self._accounts = accounts
        self._endpoints = endpoints
        self._clock = clock
        self._broken = broken
        self._place = TopicPartition(kafka.topic(WRITE_BACKS), number)
        self._group = group_of(kafka)
        self._writer: Writer | None = None
        self._committer: Committer | None = None
        self.ledger = Ledger(kafka, number)
        self._work = Work(self.ledger, accounts, endpoints, clock, broken)

    @property
    def table(self) -> Table:
        """Its WriteBacks."""
        return self.ledger.table

    async def open(self) -> None:
        """Fence the older owner, restore, begin to work.  Raises RetryLater, Stop.

        The older one may have died with a call on its way: what was `sending` is unknown now.
        """
        self._writer = writer_of(self._kafka, self._number)
        await self._writer.start()
        self._committer = Committer(self._writer, self._broken)
        await self.ledger.restore(self._committer)
        now = self._clock.now()
        await self.ledger.write(
            interrupted(one, now) for one in self.ledger.all_unfinished() if one.state == "sending"
        )
        self._work.start()

    async def handle(self, records: Sequence[ConsumerRecord]) -> None:
        """Take a batch in.  Raises RetryLater, Stop."""
        batch = read_batch(self._kafka, records, self._clock.now())
        made = self._made(batch)
        if any(one.state == "held" for one in made):
            await self._endpoints.current()  # a change may be known to its own copy alone as yet
            made = self._made(batch)
        removed = [Record(self._place.topic, self._number, key, None) for key in batch.keys]
        if made:
            crash_point("write_back.taking_in")
        await self.ledger.write(
            made,
            beside=[*removed, *batch.letters],
            offsets={self._place: records[-1].offset + 1},
            group=self._group,
        )
        if made:
            crash_point("write_back.taken_in")
        RECORDS.labels(SERVICE, self._place.topic).inc(len(records))
        self._tell(batch)
        for write_back in made:
            self._work.look_at(write_back.wanted.folder)

    async def close(self) -> None:
        """No call is on its way when it returns; one that was given up is unknown to the next."""
        await self._work.close(self._kafka.drain_seconds_max)
        self.ledger.close()
        if self._committer is None or self._writer is None:
            await self._writer.close() if self._writer is not None else None
        elif await self._committer.close():
            self.table.settle(self._writer)

    def _made(self, batch: Batch) -> list[WriteBack]:
        return taken_in_all(
            batch,
            known=self.ledger.get,
            subscription=self._endpoints.get,
            unreadable=self._endpoints.unreadable,
            targets=self._accounts,
            now=self._clock.now(),
        )

    def _tell(self, batch: Batch) -> None:
        for reason in batch.reasons:
            SET_ASIDE.labels(SERVICE, "").inc()
            log.warning("notifier.wanted_set_aside", reason=reason)
