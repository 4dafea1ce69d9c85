"""One partition of raw: batches in; state, events, dead letters and offsets in one transaction.

What follows from raw partition p is written to partition p of every topic (design 2).  Nothing
here is the truth: after any doubt the partition is rebuilt from Kafka.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import structlog
from aiokafka import ConsumerRecord, TopicPartition

from bus.clock import Clock
from bus.committer import Committer
from bus.dead_letters import set_aside
from bus.errors import Blocked, RetryLater, SetAside
from bus.failures import NEVER_OF_A_RECORD, Failures
from bus.settings import KafkaSettings
from bus.table import Table
from bus.telemetry import BATCH_SECONDS, DEGRADED, RECORDS, SET_ASIDE, STALE
from bus.transaction import Record, Transaction, Writer, refuse_any_too_large
from schemas.dead_letter import DeadLetter
from schemas.raw import Provenance
from schemas.topics import DEAD_LETTERS, EVENTS, FULFILLMENTS, RAW
from services.normalizer.envelope import Envelopes
from services.normalizer.mapper import Mapper
from services.normalizer.merge import Outcome
from services.normalizer.model import Event, Fulfillment
from services.normalizer.observation import Unforeseen, observed, provenance_of, restored
from services.normalizer.stubs import Stubs
from services.normalizer.sweep import Sweep

SERVICE = "normalizer"
BATCHES_AHEAD_MAX = 3  # of a partition on their way to Kafka while the next one is made
BREATH_RECORDS = 100  # between two chances for heartbeats and the other partitions

log = structlog.get_logger(__name__)


def group_of(kafka: KafkaSettings) -> str:
    """The consumer group of all normalizers of this feed."""
    return f"{kafka.prefix}.{SERVICE}"


OUTPUTS = (FULFILLMENTS, EVENTS, DEAD_LETTERS)


def writer_of(kafka: KafkaSettings, partition: int) -> Writer:
    """The one writer of what follows from a partition of raw."""
    place = TopicPartition(kafka.topic(RAW), partition)
    return Writer.of_partition(kafka, group_of(kafka), place, OUTPUTS)


class RawPartition:
    """Owns one partition of raw: its writer and its table of fulfillments."""

    def __init__(
        self,
        kafka: KafkaSettings,
        partition: int,
        mappers: Mapping[str, Mapper],
        stubs: Stubs,
        *,
        failures: Failures,
        clock: Clock,
        broken: Callable[[RetryLater], None],
    ) -> None:
        self.partition = partition
        self._kafka = kafka
        self._mappers = mappers
        self._stubs = stubs
        self._failures = failures
        self._clock = clock
        self._broken = broken
        self._group = group_of(kafka)
        self._raw = TopicPartition(kafka.topic(RAW), partition)
        self._writer = writer_of(kafka, partition)
        self._committer: Committer | None = None
        self._sent: deque[asyncio.Future[None]] = deque()  # batches on their way to Kafka
        self.table = Table(kafka, FULFILLMENTS, partition)
        self._sweep = Sweep(stubs, self.table)

    async def open(self) -> None:
        """Fence the older owner, then read what it left.  Raises RetryLater."""
        await self._writer.start()
        await self.table.restore()
        self._committer = Committer(self._writer, self._broken)
        log.info(
            "normalizer.partition_restored", partition=self.partition, fulfillments=len(self.table)
        )

    async def handle(self, records: Sequence[ConsumerRecord]) -> None:
        """Normalize a batch and send it on its way; returns once few others are.

        So the next batch is made while these are committed, and no partition waits for another's
        commit.  The table runs ahead of Kafka by as much: when a commit fails, the partition is
        rebuilt with a table of its own.  Raises RetryLater, Stop.

        Where a record may not be passed, what comes before it is committed, then Blocked is raised.
        """
        committer = self._committer  # `close` may run while this method waits
        if committer is None:
            raise RetryLater(f"{self._raw}: not open")
        began = self._clock.monotonic()
        batch = _Batch(self._kafka, self.partition, self._mappers, self._stubs, self.table)
        count, blocked = await self._judged(batch, records)
        if blocked is not None and count == 0:
            raise blocked
        records = records[:count]
        batch.records += self._sweep.shrunk(batch.earliest, batch.states)
        self.table.apply(batch.records)
        offsets = {self._raw: records[-1].offset + 1}
        sent = committer.submit(Transaction(batch.records, offsets, self._group))

        def durable(sent: asyncio.Future[None]) -> None:
            if not sent.cancelled() and sent.exception() is None:
                batch.count(len(records))
                BATCH_SECONDS.labels(SERVICE).observe(self._clock.monotonic() - began)

        sent.add_done_callback(durable)
        self._sent.append(sent)
        while len(self._sent) > (0 if blocked else BATCHES_AHEAD_MAX):
            await asyncio.shield(self._sent.popleft())
        if blocked is not None:
            raise blocked

    async def _judged(
        self, batch: _Batch, records: Sequence[ConsumerRecord]
    ) -> tuple[int, Blocked | None]:
        """How many records `batch` took, and what keeps the next one from being taken.

        Raises Blocked when so many failed that none of the batch may be committed.
        """
        for number, record in enumerate(records):
            try:
                failure = batch.take(record, self._clock)
            except Blocked as error:
                return number, error
            self._failures.note(record.offset, failure)
            if number % BREATH_RECORDS == BREATH_RECORDS - 1:
                await asyncio.sleep(0)
        self._failures.check(len(records), batch.failed)
        return len(records), None

    async def close(self) -> None:
        """Finish what is being committed, let the writer go."""
        if self._committer is None:
            await self._writer.close()
            return
        committer, self._committer = self._committer, None
        if await committer.close():
            self.table.settle(self._writer)


class _Batch:
    """What a batch makes of the table, before any of it is committed."""

    def __init__(
        self,
        kafka: KafkaSettings,
        partition: int,
        mappers: Mapping[str, Mapper],
        stubs: Stubs,
        table: Table,
    ) -> None:
        self.records: list[Record] = []
        self.earliest: datetime | None = None  # instant of observation
        self._kafka = kafka
        self._partition = partition
        self._mappers = mappers
        self._stubs = stubs
        self._table = table
        self._events = kafka.topic(EVENTS)
        self.states: dict[str, Fulfillment | None] = {}
        self._event_count = 0
        self.failed: list[Exception] = []  # what records failed with that nobody planned for
        self._stale: list[str] = []
        self._degraded: list[tuple[str, str]] = []  # source and field
        self._dead: list[DeadLetter] = []

    def take(self, record: ConsumerRecord, clock: Clock) -> Exception | None:
        """Add what follows from one record: state and events, a dead letter, or nothing.

        Returns the unforeseen exception it failed with.  Raises Blocked when its state cannot be
        read.
        """
        provenance = None
        try:
            key, provenance = provenance_of(record)
            outcome = observed(
                record, provenance, self._mappers, lambda: self._stored(key, provenance.observed_at)
            )
            written = self._written(key, outcome, provenance)
        except SetAside as error:
            self._set_aside(record, provenance, error, clock)
            return self._failed(error.error) if isinstance(error, Unforeseen) else None
        except NEVER_OF_A_RECORD:
            raise
        except Exception as error:
            unforeseen = Unforeseen("it cannot be processed", error)
            self._set_aside(record, provenance, unforeseen, clock)
            return self._failed(error)
        self._degraded += [(provenance.source, field) for field in outcome.degraded]
        if outcome.stale:
            self._stale.append(provenance.source)
        if outcome.state is not None:
            self.states[key] = outcome.state
            self._event_count += len(outcome.events)
            self.records.extend(written)
        return None

    def _failed(self, error: Exception) -> Exception:
        self.failed.append(error)
        return error

    def count(self, raw_count: int) -> None:
        """Tell metrics and log, once it is committed."""
        RECORDS.labels(SERVICE, RAW.name).inc(raw_count)
        RECORDS.labels(SERVICE, EVENTS.name).inc(self._event_count)
        for source in self._stale:
            STALE.labels(source).inc()
        for source, field in self._degraded:
            DEGRADED.labels(source, field).inc()
        for letter in self._dead:
            SET_ASIDE.labels(SERVICE, letter.source).inc()
            log.warning(
                "normalizer.record_set_aside",
                origin=letter.origin,
                reason=letter.reason,
                path=letter.path,
            )

    def _stored(self, key: str, at: datetime) -> Fulfillment | None:
        """The state that an observation of the instant `at` meets."""
        if key not in self.states:
            self.states[key] = restored(key, self._table.get(key))
        self.earliest = min(self.earliest or at, at)
        return self._stubs.seen_at(self.states[key], at)

    def _written(self, key: str, outcome: Outcome, provenance: Provenance) -> list[Record]:
        """Raises SetAside when a record of it is larger than its topic takes."""
        if outcome.state is None:
            return []
        state = outcome.state.to_json()
        written = [self._table.put(key, state)]
        if outcome.events:
            header = outcome.state.header_json(state)
            envelopes = Envelopes(outcome.events[0].shared, provenance.traceparent.encode())
            written += [self._event(key, event, header, envelopes) for event in outcome.events]
        refuse_any_too_large(written)
        return written

    def _event(self, key: str, event: Event, header: bytes, envelopes: Envelopes) -> Record:
        value, block = event.data.to_json(header), envelopes.block(event)
        return Record(self._events, self._partition, key, value, block=block)

    def _set_aside(
        self, record: ConsumerRecord, provenance: Provenance | None, error: SetAside, clock: Clock
    ) -> None:
        origin = f"{record.topic}/{record.partition}/{record.offset}"
        source = provenance.source if provenance else ""
        letter = DeadLetter(
            service=SERVICE,
            reason=error.reason,
            path=error.path,
            origin=origin,
            source=source,
            account=provenance.account if provenance else "",
            at=clock.now(),
        )
        self._dead.append(letter)
        key = (record.key or b"").decode(errors="replace")
        value = record.value or b""
        self.records.append(
            set_aside(
                self._kafka,
                letter,
                key,
                value,
                partition=self._partition,
                headers=record.headers,
            )
        )
