"""A partition of a compacted topic as a mapping.

Values stay bytes: a large state costs the garbage collector nothing, and decoding is the
reader's business.  They are kept by folder, all of a key up to its last "/", so that what belongs
together is found without a look at the rest.  Start the partition's `Writer` before `restore`, so
that no older owner can write behind the read.

A table that is handed on within a rebalance is a cache with a checkpoint: `restore` reads what
the topic holds from the checkpoint on, so whoever wrote meanwhile is read as well (decision 0010).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from bus.clients import look_at, started
from bus.errors import RetryLater, Stop
from bus.settings import KafkaSettings
from bus.transaction import Record, Writer, Written
from schemas.message import newer_version
from schemas.topics import RECORD_BYTES_MAX, Topic

STALL_SECONDS = 30.0  # no progress for so long while restoring: give up and try again later
FETCH_WAIT_MS = 20  # how late the end is seen when it is a commit marker, not a record
PROGRESS_RECORDS = 1000  # between two signs of progress while restoring

log = structlog.get_logger(__name__)


class Table:
    """The newest value of each key in one partition of `topic`."""

    def __init__(self, kafka: KafkaSettings, topic: Topic, partition: int) -> None:
        self.topic = kafka.topic(topic)
        self.partition = partition
        self._kafka = kafka
        self._folders: dict[str, dict[str, bytes]] = {}
        self._checkpoint: int | None = None  # the content is the topic's up to there, or newer
        self._applied_count = 0  # records taken in since `restore`
        self._given_away = False
        self.settled = False  # may be handed on
        self.unreadable: dict[str, str] = {}  # why, by key; what depends on it is held
        self.restored_count = 0  # records that the last `restore` has read so far
        self.on_progress: Callable[[int], None] = _nobody  # told of `restored_count`

    async def restore(self) -> None:
        """Read it whole, or from its checkpoint on where that is in the topic.

        Raises RetryLater when Kafka does not answer or the read stalls.
        """
        self.unreadable = {}
        start, self._checkpoint = self._checkpoint, None
        folders = self._folders if start is not None else {}
        self.restored_count = self._applied_count = 0

        def take(key: str, value: bytes | None) -> None:
            _set(folders, key, value)
            self.restored_count += 1
            if not self.restored_count % PROGRESS_RECORDS:
                self.on_progress(self.restored_count)

        try:
            end = await read_to_end(self._kafka, self.topic, self.partition, take, start=start)
        except CheckpointGone:
            folders = {}
            end = await read_to_end(self._kafka, self.topic, self.partition, take)
        self._folders, self._checkpoint = folders, end

    def settle(self, writer: Writer) -> None:
        """Say that all that was taken in is durable and `writer`, which wrote it, has ended.

        The checkpoint moves to the last batch that was written.  It stays where `restore` ended
        when something was written but not taken in: what follows it is read again then.
        """
        written = writer.written(self.topic, self.partition) or Written(0, -1)
        if self._checkpoint is None or self._given_away or self._applied_count > written.records:
            return
        if self._applied_count == written.records:
            self._checkpoint = max(self._checkpoint, written.last_offset)
        self.settled = True

    def inherit(self, other: Table) -> None:
        """Begin with what a settled table holds; `restore` then reads only what came since."""
        assert (other.topic, other.partition) == (self.topic, self.partition)
        assert other.settled, "only what stands for Kafka's own state is handed on"
        other.settled = False
        self._folders, self._checkpoint = other._folders, other._checkpoint

    def get(self, key: str) -> bytes | None:
        """The value of `key`."""
        values = self._folders.get(_folder_of(key))
        return values.get(key) if values else None

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Every key and value, as of now."""
        return iter([pair for values in self._folders.values() for pair in values.items()])

    def take(self, folder: str) -> dict[str, bytes]:
        """What is `below` a folder, given away: who takes it keeps it from now on."""
        self._given_away = True
        return self._folders.pop(folder, {})

    def below(self, folder: str) -> Iterator[tuple[str, bytes]]:
        """Every key that is `folder`, which ends in "/", and one more part, with its value."""
        return iter(list(self._folders.get(folder, {}).items()))

    def __len__(self) -> int:
        return sum(map(len, self._folders.values()))

    @property
    def folder_count(self) -> int:
        """How many folders have something in them."""
        return len(self._folders)

    def put(self, key: str, value: bytes | None) -> Record:
        """The record that sets `key` (None: deletes it); `apply` it once it is committed."""
        return Record(self.topic, self.partition, key, value)

    def apply(self, records: Iterable[Record]) -> None:
        """Take in committed records; those of other topics are passed over."""
        for record in records:
            if record.topic == self.topic:
                _set(self._folders, record.key, record.value)
                self._applied_count += 1
                self.unreadable.pop(record.key, None)

    def hold(self, key: str, value: bytes, error: ValueError) -> None:
        """Note that a record cannot be read; it stays as it is.

        Raises Stop, naming it, when it is of a newer major version.
        """
        where = f"{self.topic}/{self.partition} {key}"
        if newer_version(value):
            raise Stop(f"{where}: {error}") from error
        self.unreadable[key] = reason = why_unreadable(error)
        log.error("table.record_unreadable", record=where, reason=reason)

    def forget(self, key: str) -> None:
        """Drop a key from memory alone: its record stays on the topic."""
        _set(self._folders, key, None)


def _set(folders: dict[str, dict[str, bytes]], key: str, value: bytes | None) -> None:
    folder = _folder_of(key)
    if value is not None:
        folders.setdefault(folder, {})[key] = value
    elif (values := folders.get(folder)) is not None:
        values.pop(key, None)
        if not values:
            del folders[folder]


def _folder_of(key: str) -> str:
    return key[: key.rfind("/") + 1]


def why_unreadable(error: ValueError) -> str:
    """One line, without values of the record."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {first['msg']}" if where else str(first["msg"])
    return str(error)


def _nobody(_: int) -> None:
    """Nobody listens."""


class CheckpointGone(Exception):
    """The topic does not reach from the offset asked for: it was made anew, or cut off."""


async def read_to_end(
    kafka: KafkaSettings,
    topic: str,
    partition: int,
    take: Callable[[str, bytes | None], None],
    *,
    start: int | None = None,
) -> int:
    """Give `take` each committed record of a partition, from `start` or its beginning up to its
    high watermark as of the call, and return that.

    The end is what a read_uncommitted client sees and is compared with `position()`: a
    read_committed end would stop before another producer's open transaction, and the last record
    is never at end - 1, where a commit marker stands.  Raises RetryLater, CheckpointGone.
    """
    place = TopicPartition(topic, partition)
    consumer = AIOKafkaConsumer(
        **kafka.client_args(),
        isolation_level="read_committed",
        enable_auto_commit=False,
        max_partition_fetch_bytes=RECORD_BYTES_MAX,
    )
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(STALL_SECONDS) as stall:
            beginning, end = await watermarks(kafka, place)
            if start is not None and not beginning <= start <= end:
                raise CheckpointGone
            await started(consumer)
            consumer.assign([place])
            consumer.seek(place, beginning if start is None else start)
            position = await consumer.position(place)
            while position < end:
                batch = await consumer.getmany(place, timeout_ms=FETCH_WAIT_MS)
                for record in batch.get(place, ()):
                    take((record.key or b"").decode(errors="replace"), record.value)
                before, position = position, await consumer.position(place)
                if position > before:
                    stall.reschedule(loop.time() + STALL_SECONDS)
            return end
    except TimeoutError as error:
        raise RetryLater(
            f"{topic}/{partition}: reading stands still before its end for {STALL_SECONDS:g} s: "
            "another writer's open transaction holds readers up (kafka-transactions.sh "
            "find-hanging names it), or the broker is away"
        ) from error
    except KafkaError as error:
        raise RetryLater(f"{topic}/{partition}: cannot be restored: {error!r}") from error
    finally:
        await consumer.stop()


async def high_watermark(kafka: KafkaSettings, place: TopicPartition) -> int:
    """The broker's own end of a partition, open transactions included."""
    return (await watermarks(kafka, place))[1]


async def watermarks(kafka: KafkaSettings, place: TopicPartition) -> tuple[int, int]:
    """The broker's own beginning and end of a partition, open transactions included."""
    consumer = AIOKafkaConsumer(**kafka.client_args(), isolation_level="read_uncommitted")
    try:
        await started(consumer)
        look_at(consumer, [place])
        beginning = (await consumer.beginning_offsets([place]))[place]
        return int(beginning), int((await consumer.end_offsets([place]))[place])
    finally:
        await consumer.stop()
