"""Records and input offsets written together or not at all, by a writer whose id names the work.

`Transaction` is a value that pure code builds; `Writer` commits it.  On any doubt a writer closes
itself for good: its owner builds a new one with the same id and reads its state again, because
aiokafka cannot tell a lost commit from a done one, and commits even when a send inside failed
unless every future was awaited (design 6).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, KafkaError, ProducerFenced
from aiokafka.structs import RecordMetadata

from bus.clients import started
from bus.clock import SystemClock
from bus.errors import Fenced, RetryLater, SetAside, TransactionLost
from bus.record_batch import NONE, RecordBatch, block
from bus.settings import PRODUCER_CLOSE_SECONDS_MAX, KafkaSettings
from schemas.topics import RECORD_BYTES_MAX, Topic

BATCH_BYTES = 1024 * 1024
RETRY_BACKOFF_MS = 1  # 100 halves the rate of small transactions: CONCURRENT_TRANSACTIONS waits
FENCE_KEY = "fence"  # of records that are never committed
CLOSE_SECONDS_MAX = PRODUCER_CLOSE_SECONDS_MAX / 2  # of each of two waits
# The last two: what aiokafka raises once the broker has ended its transaction, or a newer writer
# has fenced it between two sends.
RUINED = (KafkaError, TimeoutError, AssertionError, IllegalOperation)
OVERHEAD_BYTES = 256  # record framing, counted generously
# A value below that fits with all that may be beside it: what key and headers hold comes from it.
SURELY_FITS_BYTES = 256 * 1024


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record for one partition; `value` None is a tombstone.

    `block`: the headers as `record_batch.block` encodes them, in place of `headers`.
    A struct, since a dataclass takes ten times as long to make, and there are two for each
    record polled.
    """

    topic: str
    partition: int
    key: str
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    block: bytes = b""

    @property
    def fits(self) -> bool:
        """Whether its topic takes it."""
        small = len(self.value or b"") < SURELY_FITS_BYTES and len(self.key) < SURELY_FITS_BYTES
        return small or self.bytes_on_wire <= RECORD_BYTES_MAX

    @property
    def bytes_on_wire(self) -> int:
        """An upper estimate of its size in a batch."""
        size = len(self.key.encode()) + len(self.value or b"") + OVERHEAD_BYTES
        return size + len(self.block or block(self.headers))


@dataclass(slots=True)
class Transaction:
    """What belongs together: records in order, and the input offsets of `group` that they cover."""

    records: list[Record] = field(default_factory=list)
    offsets: dict[TopicPartition, int] = field(default_factory=dict)
    group: str = ""

    def add(self, other: Transaction) -> None:
        """Take in another; both must speak of the same group, if of any."""
        if self.group and other.group and self.group != other.group:
            raise ValueError(f"one transaction for groups {self.group} and {other.group}")
        self.records.extend(other.records)
        self.offsets.update(other.offsets)
        self.group = self.group or other.group


def refuse_any_too_large(records: Iterable[Record]) -> None:
    """Raises SetAside, as `refuse_too_large` does."""
    for record in records:
        value = record.value
        if (value is not None and len(value) >= SURELY_FITS_BYTES) or (
            len(record.key) >= SURELY_FITS_BYTES
        ):
            refuse_too_large(record)


def refuse_too_large(record: Record) -> None:
    """Raises SetAside: a record over the topic's limit would ruin its whole transaction."""
    if not record.fits:
        raise SetAside(
            f"the record has {record.bytes_on_wire} bytes, the topic takes {RECORD_BYTES_MAX}"
        )


@dataclass(frozen=True, slots=True)
class Reach:
    """All that transactions under one id may touch: (topic, partition) pairs, and input offsets."""

    outputs: tuple[tuple[str, int], ...] = ()
    inputs: tuple[TopicPartition, ...] = ()
    group: str = ""


class Written(NamedTuple):
    """What one writer has committed to one partition; `last_offset` is where the last batch begins,
    -1 if unknown.
    """

    records: int
    last_offset: int


class Writer:
    """The only one that may write under `transactional_id`; starting it fences any older one."""

    def __init__(
        self, kafka: KafkaSettings, transactional_id: str, reach: Reach | None = None
    ) -> None:
        self.transactional_id = transactional_id
        self._reach = reach or Reach()
        self._kafka = kafka
        self._producer: AIOKafkaProducer | None = None
        self._written: dict[tuple[str, int], Written] = {}

    @classmethod
    def of_partition(
        cls,
        kafka: KafkaSettings,
        group: str,
        place: TopicPartition,
        outputs: Iterable[Topic],
        others: Iterable[tuple[str, int]] = (),
    ) -> Writer:
        """The writer of the work of `group` on one input partition; outputs go to its number.

        `others` are (topic, partition) pairs that are written, too.
        """
        ours = [(kafka.topic(topic), place.partition) for topic in outputs]
        written = tuple(dict.fromkeys([*ours, *others]))
        name = f"{group}.{place.topic}.{place.partition}"
        return cls(kafka, name, Reach(written, (place,), group))

    async def start(self) -> None:
        """Fence the older writer; whatever it left open within reach is aborted.

        Raises RetryLater.
        """
        producer = AIOKafkaProducer(
            **self._kafka.client_args(),
            transactional_id=self.transactional_id,
            transaction_timeout_ms=self._kafka.transaction_timeout_ms,
            retry_backoff_ms=RETRY_BACKOFF_MS,
            max_batch_size=BATCH_BYTES,
            max_request_size=RECORD_BYTES_MAX + BATCH_BYTES,
        )
        try:
            async with asyncio.timeout(self._kafka.request_timeout_ms / 1000):
                await started(producer)
                await _abort_leftovers(producer, self._reach)
        except RUINED as error:
            await _closed(producer)
            raise RetryLater(f"{self.transactional_id}: cannot start: {error!r}") from error
        except BaseException:
            await _closed(producer)
            raise
        self._producer = producer

    @property
    def commit_seconds_max(self) -> float:
        """When a commit is given up: before the broker ends the transaction by itself."""
        return self._kafka.commit_seconds_max

    async def commit(self, transaction: Transaction) -> None:
        """All of it or nothing.

        Raises Fenced or TransactionLost; the writer is then closed.  Raises SetAside before
        anything is sent.
        """
        producer = self._producer
        if producer is None:
            raise TransactionLost(f"{self.transactional_id}: the writer is closed")
        batches = _batches(transaction.records)
        try:
            async with asyncio.timeout(self.commit_seconds_max):
                await producer.begin_transaction()
                sent = await _send(producer, batches)
                if transaction.offsets:
                    await producer.send_offsets_to_transaction(
                        transaction.offsets, transaction.group
                    )
                await producer.commit_transaction()
            self._count(batches, sent)
        except ProducerFenced as error:
            await self.close()
            raise Fenced(f"{self.transactional_id}: a newer owner writes") from error
        except RUINED as error:
            await self.close()
            raise TransactionLost(f"{self.transactional_id}: {error!r}") from error
        except BaseException:
            await self.close()
            raise

    def written(self, topic: str, partition: int) -> Written | None:
        """What it has committed there so far."""
        return self._written.get((topic, partition))

    def _count(self, batches: Iterable[_Batch], offsets: Iterable[int]) -> None:
        for batch, offset in zip(batches, offsets, strict=True):
            place = batch.topic, batch.partition
            before = self._written.get(place, Written(0, -1))
            count = before.records + batch.builder.record_count()
            self._written[place] = Written(count, max(before.last_offset, offset))

    async def close(self) -> None:
        """Let go.  An open transaction is aborted by the next owner's start, or times out."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _closed(producer)


async def _abort_leftovers(producer: AIOKafkaProducer, reach: Reach) -> None:
    """An aborted transaction over all that is in reach.

    A broker without a second replica can forget the end markers of a transaction when it goes
    down: its coordinator calls the transaction complete, its partitions hold it open for ever,
    and no restore would reach their end.  The abort markers of the same producer end it (decision
    0004).
    """
    if not reach.outputs and not reach.inputs:
        return
    await producer.begin_transaction()
    fences = [Record(topic, number, FENCE_KEY, None) for topic, number in reach.outputs]
    await _send(producer, _batches(fences))
    if reach.inputs:
        await producer.send_offsets_to_transaction(dict.fromkeys(reach.inputs, 0), reach.group)
    await producer.abort_transaction()


@dataclass(frozen=True, slots=True)
class _Batch:
    """Encoded records of one partition."""

    topic: str
    partition: int
    builder: RecordBatch


def _batches(records: Iterable[Record]) -> list[_Batch]:
    """Records encoded, in order within each partition.  Raises SetAside for one too large.

    Nothing is sent: the transaction is open for no longer than sending takes.
    """
    at = int(SystemClock().now().timestamp() * 1000)
    found: list[_Batch] = []
    filling: dict[tuple[str, int], RecordBatch] = {}
    for record in records:
        place = (record.topic, record.partition)
        key, value, headers = record.key.encode(), record.value, record.block or NONE
        if record.headers:
            headers = block(record.headers)
        batch = filling.get(place)
        size = batch.append(key, value, headers) if batch else 0
        if not size:
            batch = filling[place] = RecordBatch(BATCH_BYTES, at)
            found.append(_Batch(*place, batch))
            size = batch.append(key, value, headers)
        if size + OVERHEAD_BYTES > RECORD_BYTES_MAX:
            refuse_too_large(record)
    return found


async def _send(producer: AIOKafkaProducer, batches: Iterable[_Batch]) -> list[int]:
    """Send and await every batch; return where each begins.  The first failure is raised at once.

    The rest is not waited for: while the broker is away it would never end.
    """
    futures: list[asyncio.Future[RecordMetadata]] = []
    for batch in batches:
        future = await producer.send_batch(batch.builder, batch.topic, partition=batch.partition)
        future.add_done_callback(_looked_at)
        futures.append(future)
    return [one.offset for one in await asyncio.gather(*futures)]


def _looked_at(future: asyncio.Future[RecordMetadata]) -> None:
    """A batch given up together with its producer is no news."""
    if not future.cancelled():
        future.exception()


async def _closed(producer: AIOKafkaProducer) -> None:
    """Close in bounded time, whatever state the producer is in.

    Not `stop()`: it flushes first, and a ruined producer never ends flushing.
    """
    waiter = producer._txn_manager.wait_for_transaction_end()  # noqa: SLF001 - see below
    if waiter is not None:
        waiter.add_done_callback(_looked_at)
    unsent = producer._message_accumulator._batches  # noqa: SLF001
    for batch in [batch for batches in unsent.values() for batch in batches]:
        batch._drain_waiter.add_done_callback(_looked_at)  # noqa: SLF001 - nobody else waits
    sending = producer._sender.sender_task  # noqa: SLF001 - the library has no way to abandon
    if sending is not None:
        sending.cancel()
        await asyncio.wait({sending}, timeout=CLOSE_SECONDS_MAX)
    try:
        async with asyncio.timeout(CLOSE_SECONDS_MAX):
            await producer.client.close()
    except (KafkaError, TimeoutError, OSError):
        pass  # its connections die with it; the next owner fences whatever is left
    producer._closed = True  # noqa: SLF001 - else it warns that nobody stopped it
