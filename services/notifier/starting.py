"""Where a `start_from` lies in the events topic: now, earliest, or an instant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from bus.clients import look_at
from bus.errors import RetryLater
from bus.settings import KafkaSettings
from schemas.message import iso, parse_instant
from schemas.topics import EVENTS


def checked_start(value: object) -> str:
    """`now`, `earliest`, or the instant in one spelling.  Raises ValueError."""
    if value in ("now", "earliest"):
        return str(value)
    try:
        return iso(value if isinstance(value, datetime) else parse_instant(str(value)))
    except ValueError as error:
        raise ValueError(f'write "now", "earliest" or an instant; {error}') from error


async def start_offsets(
    kafka: KafkaSettings, starts: Mapping[str, str]
) -> dict[str, dict[int, int]]:
    """Where each `start_from` lies now, by its name and partition of events.  Raises RetryLater."""
    if not starts:
        return {}
    places = [
        TopicPartition(kafka.topic(EVENTS), number)
        for number in range(kafka.partition_count(EVENTS))
    ]
    consumer = AIOKafkaConsumer(**kafka.client_args(), isolation_level="read_committed")
    try:
        await consumer.start()
        look_at(consumer, places)
        return {name: await _offsets(consumer, places, start) for name, start in starts.items()}
    except KafkaError as error:
        raise RetryLater(f"{kafka.topic(EVENTS)}: no offsets: {error!r}") from error
    finally:
        await consumer.stop()


async def _offsets(
    consumer: AIOKafkaConsumer, places: list[TopicPartition], start_from: str
) -> dict[int, int]:
    if start_from == "earliest":
        found = await consumer.beginning_offsets(places)
        return {place.partition: found[place] for place in places}
    ends = await consumer.end_offsets(places)
    if start_from == "now":
        return {place.partition: ends[place] for place in places}
    at_ms = max(0, int(parse_instant(start_from).timestamp() * 1000))  # Kafka counts from 1970
    timed = await consumer.offsets_for_times(dict.fromkeys(places, at_ms))
    return {
        place.partition: timed[place].offset if timed[place] else ends[place] for place in places
    }
