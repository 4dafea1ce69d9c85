"""What is on the topics now: state, records, and what a group has not read yet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from bus.clients import look_at
from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from bus.table import read_to_end
from schemas.topics import RECORD_BYTES_MAX, Topic

READ_SECONDS_MAX = 60.0
FETCH_WAIT_MS = 20
FETCHED_MAX = 500  # records at once
SKIPPED_MAX = 2000  # offsets that are read in passing rather than sought

Offsets = dict[TopicPartition, int]


async def table(kafka: KafkaSettings, topic: Topic) -> dict[str, bytes]:
    """The newest value of each key of a compacted topic.  Raises KafkaError, TimeoutError."""
    values: dict[str, bytes] = {}
    async for record in scan(kafka, topic):
        key = (record.key or b"").decode(errors="backslashreplace")  # a stranger's may be no text
        if record.value is None:
            values.pop(key, None)
        else:
            values[key] = record.value
    return values


async def value_of(kafka: KafkaSettings, topic: Topic, key: str) -> bytes | None:
    """The newest value of one key, which is partitioned as every key is.  Raises RetryLater."""
    newest: bytes | None = None

    def take(found: str, value: bytes | None) -> None:
        nonlocal newest
        if found == key:
            newest = value

    number = partition_of(key, kafka.partition_count(topic))
    await read_to_end(kafka, kafka.topic(topic), number, take)
    return newest


async def unread(kafka: KafkaSettings, topic: Topic, group: str) -> int:
    """How many committed records a group has not covered: lag without commit markers."""
    async with _consumer(kafka, group=group) as consumer:
        starts = {place: await consumer.committed(place) or 0 for place in _places(kafka, topic)}
    return len(await records(kafka, topic, starts))


async def records(
    kafka: KafkaSettings, topic: Topic, starts: Offsets | None = None
) -> list[ConsumerRecord]:
    """What `scan` gives, by partition and offset."""
    async with aclosing(scan(kafka, topic, starts)) as found:
        return sorted([one async for one in found], key=lambda one: (one.partition, one.offset))


async def scan(
    kafka: KafkaSettings,
    topic: Topic,
    starts: Offsets | None = None,
    *,
    partition: int | None = None,
) -> AsyncGenerator[ConsumerRecord]:
    """Committed records from `starts` (missing: the beginning) up to the end as of the call.

    Of one partition, or of all; in order within a partition; none is held.  Raises TimeoutError
    when the read stands still for `READ_SECONDS_MAX`.
    """
    clock = asyncio.get_running_loop().time
    until = {
        place: end
        for place, end in (await ends(kafka, topic)).items()
        if partition in {None, place.partition}
    }
    async with _consumer(kafka) as consumer:
        consumer.assign(list(until))
        begins = await consumer.beginning_offsets(list(until))
        for place in until:
            consumer.seek(place, max((starts or {}).get(place, 0), begins[place]))
        read, moved_at = -1, clock()
        # All at once: one partition's fetch waits for the others, which may have nothing new.
        while left := [p for p, end in until.items() if await consumer.position(p) < end]:
            positions = sum([await consumer.position(place) for place in until])
            if positions > read:
                read, moved_at = positions, clock()
            elif clock() - moved_at > READ_SECONDS_MAX:
                raise _standstill(left[0])
            for batch in (await consumer.getmany(*left, timeout_ms=FETCH_WAIT_MS)).values():
                for record in batch:
                    yield record


class Picker:
    """Single records of one partition, fetched together where they are near each other."""

    def __init__(self, consumer: AIOKafkaConsumer, place: TopicPartition, end: int) -> None:
        self._consumer = consumer
        self._place = place
        self._end = end

    async def at(self, offsets: Sequence[int]) -> AsyncGenerator[tuple[int, ConsumerRecord | None]]:
        """Each offset and its record, in ascending order as they were given; None: none is there,
        or not any more.  Raises TimeoutError when the read stands still for `READ_SECONDS_MAX`.
        """
        clock = asyncio.get_running_loop().time
        wanted, moved_at = deque(offsets), clock()
        while wanted and wanted[0] < self._end:
            position = await self._consumer.position(self._place)
            if not position <= wanted[0] <= position + SKIPPED_MAX:
                self._consumer.seek(self._place, position := wanted[0])
            # Not beyond the last one: the next call may ask for what follows it.
            count = min(FETCHED_MAX, wanted[-1] + 1 - position)
            batch = await self._consumer.getmany(
                self._place, timeout_ms=FETCH_WAIT_MS, max_records=count
            )
            for record in batch.get(self._place, ()):
                while wanted and wanted[0] < record.offset:
                    yield wanted.popleft(), None
                if wanted and wanted[0] == record.offset:
                    yield wanted.popleft(), record
            after = await self._consumer.position(self._place)
            while wanted and wanted[0] < after:
                yield wanted.popleft(), None
            if after > position:
                moved_at = clock()
            elif clock() - moved_at > READ_SECONDS_MAX:
                raise _standstill(self._place)
        for offset in wanted:
            yield offset, None


@asynccontextmanager
async def picking(kafka: KafkaSettings, topic: Topic, partition: int) -> AsyncIterator[Picker]:
    """A `Picker` of what a partition holds as of now."""
    place = TopicPartition(kafka.topic(topic), partition)
    end = (await ends(kafka, topic))[place]
    async with _consumer(kafka) as consumer:
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        yield Picker(consumer, place, end)


async def record_at(
    kafka: KafkaSettings, topic: Topic, partition: int, offset: int
) -> ConsumerRecord | None:
    """The committed record there; None when there is none, or not any more."""
    async with (
        picking(kafka, topic, partition) as picker,
        aclosing(picker.at([offset])) as found,
    ):
        async for _, record in found:
            return record
    return None


async def ends(kafka: KafkaSettings, topic: Topic) -> Offsets:
    """The high watermark of each partition."""
    async with _consumer(kafka, isolation="read_uncommitted") as consumer:
        look_at(consumer, _places(kafka, topic))
        found: Offsets = await consumer.end_offsets(_places(kafka, topic))
    return found


async def offsets_since(kafka: KafkaSettings, topic: Topic, at_ms: int) -> dict[int, int]:
    """By partition, the first offset whose record is not older than that; else its end."""
    places = _places(kafka, topic)
    async with _consumer(kafka) as consumer:
        look_at(consumer, places)
        last = await consumer.end_offsets(places)
        timed = await consumer.offsets_for_times(dict.fromkeys(places, max(0, at_ms)))
    return {
        place.partition: timed[place].offset if timed[place] else last[place] for place in places
    }


def _standstill(place: TopicPartition) -> TimeoutError:
    return TimeoutError(
        f"reading {place.topic}/{place.partition} stands still for {READ_SECONDS_MAX:g} s: another "
        "writer's open transaction holds readers up, or the broker is away"
    )


def _places(kafka: KafkaSettings, topic: Topic) -> list[TopicPartition]:
    name = kafka.topic(topic)
    return [TopicPartition(name, number) for number in range(kafka.partition_count(topic))]


@asynccontextmanager
async def _consumer(
    kafka: KafkaSettings, *, group: str = "", isolation: str = "read_committed"
) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        **kafka.client_args(),
        group_id=group or None,
        isolation_level=isolation,
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # of what has gone meanwhile, the next that is left
        max_partition_fetch_bytes=RECORD_BYTES_MAX,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()
