"""Reads of a topic from anywhere to its end, bounded in time; what was not read is told.

A place is the next offset of every partition, as text in their order: "12.0.7".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from bus import reading
from bus.clock import Clock
from bus.errors import Misuse, RetryLater
from bus.settings import KafkaSettings
from schemas.topics import Topic

SEARCH_SECONDS_MAX = 10.0
AT_ONCE_RECORDS = 200  # before others have a turn
PLACE_PATTERN = r"^\d{1,18}(\.\d{1,18})*$"


class Search:
    """One read.  `offsets` move along with it: where the next one would go on.

    `complete` once it has come to the end as of its beginning.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: Topic,
        clock: Clock,
        *,
        starts: Mapping[int, int] | None = None,
        partition: int | None = None,
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._clock = clock
        self._partition = partition
        self.offsets = dict.fromkeys(range(kafka.partition_count(topic)), 0) | dict(starts or {})
        self.complete = False

    async def records(self) -> AsyncGenerator[ConsumerRecord]:
        """Committed records, in order within a partition.  Raises RetryLater."""
        deadline = self._clock.monotonic() + SEARCH_SECONDS_MAX
        name, count = self._kafka.topic(self._topic), 0
        starts = {TopicPartition(name, number): first for number, first in self.offsets.items()}
        found = reading.scan(self._kafka, self._topic, starts, partition=self._partition)
        async with _reading(self._kafka, self._topic), aclosing(found):
            async for record in found:
                self.offsets[record.partition] = record.offset + 1
                yield record
                count += 1
                if not count % AT_ONCE_RECORDS:
                    await asyncio.sleep(0)
                if self._clock.monotonic() > deadline:
                    return
        self.complete = True

    @property
    def place(self) -> str | None:
        """Where to go on, None at the end."""
        return None if self.complete else written(self.offsets)


def written(offsets: Mapping[int, int]) -> str:
    """The text of a place."""
    return ".".join(str(offsets[number]) for number in sorted(offsets))


def read(place: str, kafka: KafkaSettings, topic: Topic) -> dict[int, int]:
    """Offsets by partition.  Raises Misuse when it is of another topic."""
    offsets = [int(text) for text in place.split(".")]
    if len(offsets) != (count := kafka.partition_count(topic)):
        raise Misuse(
            f"a cursor of {kafka.topic(topic)} has {count} offsets, this one has {len(offsets)}: "
            "use one that was given here, or none to begin anew"
        )
    return dict(enumerate(offsets))


async def since(kafka: KafkaSettings, topic: Topic, at_ms: int) -> dict[int, int]:
    """The first offset of each partition whose record is not older.  Raises RetryLater."""
    async with _reading(kafka, topic):
        return await reading.offsets_since(kafka, topic, at_ms)


async def ends(kafka: KafkaSettings, topic: Topic) -> dict[int, int]:
    """The end of each partition.  Raises RetryLater."""
    async with _reading(kafka, topic):
        return {place.partition: end for place, end in (await reading.ends(kafka, topic)).items()}


@asynccontextmanager
async def _reading(kafka: KafkaSettings, topic: Topic) -> AsyncIterator[None]:
    try:
        yield
    except (KafkaError, TimeoutError) as error:
        raise RetryLater(f"{kafka.topic(topic)} cannot be read: {error!r}") from error
