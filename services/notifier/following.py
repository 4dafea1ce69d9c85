"""All partitions of events for one subscriber: a read_committed consumer of no group.

It moves nobody's position, so any copy serves any subscriber.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from bus.clients import look_at, started
from bus.errors import RetryLater
from bus.settings import KafkaSettings
from schemas.topics import EVENTS
from services.notifier.events import events_of
from services.notifier.serving import Read

READ_RECORDS_MAX = 500
READ_WAIT_MS = 100
# Kafka gives one batch in any case, so larger events come through; it is what waits in memory.
PARTITION_BYTES_MAX = 256 * 1024
FETCH_BYTES_MAX = 1024 * 1024


class Following:
    """A `Source`; nothing is read before `seek`."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._topic = kafka.topic(EVENTS)
        self._places = [
            TopicPartition(self._topic, number) for number in range(kafka.partition_count(EVENTS))
        ]
        self._consumer = AIOKafkaConsumer(
            **kafka.client_args(),
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",  # what is gone is told, never passed over
            max_partition_fetch_bytes=PARTITION_BYTES_MAX,
            fetch_max_bytes=FETCH_BYTES_MAX,
        )

    async def start(self) -> None:
        """Raises RetryLater."""
        try:
            await started(self._consumer)
            look_at(self._consumer, self._places)
        except (KafkaError, TimeoutError) as error:
            raise self._unreadable(error) from error

    def seek(self, offsets: Mapping[int, int]) -> None:
        """Begin at these offsets, one for each partition."""
        self._consumer.assign(self._places)
        for place in self._places:
            self._consumer.seek(place, offsets[place.partition])

    async def close(self) -> None:
        """Let go of the connections."""
        await self._consumer.stop()

    async def oldest(self) -> dict[int, int]:
        """The first offsets that the topic still has.  Raises RetryLater."""
        try:
            found = await self._consumer.beginning_offsets(self._places)
        except (KafkaError, TimeoutError) as error:
            raise self._unreadable(error) from error
        return {place.partition: found[place] for place in self._places}

    async def ends(self) -> dict[int, int]:
        """The offsets behind what is committed now.  Raises RetryLater."""
        try:
            found = await self._consumer.end_offsets(self._places)
        except (KafkaError, TimeoutError) as error:
            raise self._unreadable(error) from error
        return {place.partition: found[place] for place in self._places}

    async def read(self) -> Read:
        """What there is, nothing after `READ_WAIT_MS`.  Raises RetryLater, also when what comes
        next is not on the topic any more.
        """
        try:
            batches = await self._consumer.getmany(
                timeout_ms=READ_WAIT_MS, max_records=READ_RECORDS_MAX
            )
            after = {
                place.partition: await self._consumer.position(place) for place in self._places
            }
        except (KafkaError, TimeoutError) as error:
            raise self._unreadable(error) from error
        found = [
            (place.partition, event)
            for place, records in batches.items()
            for event in events_of(records)[0]  # what is no event is set aside by the fan-out
        ]
        return Read(found, after)

    def _unreadable(self, error: Exception) -> RetryLater:
        return RetryLater(f"{self._topic}: cannot be read: {error!r}")
