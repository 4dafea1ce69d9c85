"""Refusing to forget: no state beside events that were told means a lost table, not a new feed.

With an empty table a service would begin anew, so the operator has to say that this is wanted:
`--accept-new-baseline`.
"""

from __future__ import annotations

from argparse import ArgumentParser

from aiokafka import AIOKafkaConsumer, TopicPartition

from bus.clients import look_at
from bus.errors import Misuse
from bus.settings import KafkaSettings
from bus.table import read_to_end
from schemas.topics import EVENTS, Topic


class _Found(Exception):
    """Ends a read early: one record is all that was asked for."""


async def refuse_lost_state(kafka: KafkaSettings, state: Topic, consequence: str) -> None:
    """Raises Misuse when `events` holds committed records and `state` none; RetryLater.

    Events are asked first: what is told follows from a state that was written before or with it.
    """
    if await _holds_any(kafka, EVENTS) and not await _holds_any(kafka, state):
        raise Misuse(
            f"{kafka.topic(state)} is empty while {kafka.topic(EVENTS)} is not: the state was "
            f"lost, and {consequence}; restore the topic, or start once with --accept-new-baseline"
        )


def add_accept_option(parser: ArgumentParser, consequence: str) -> None:
    """`--accept-new-baseline`."""
    parser.add_argument(
        "--accept-new-baseline",
        action="store_true",
        help=f"start although events exist and state does not: {consequence}",
    )


async def _holds_any(kafka: KafkaSettings, topic: Topic) -> bool:
    """Whether any partition has a committed record: markers of aborted transactions are none."""

    def take(_: str, value: bytes | None) -> None:
        if value is not None:
            raise _Found

    name = kafka.topic(topic)
    for partition in await _not_blank(kafka, name, kafka.partition_count(topic)):
        try:
            await read_to_end(kafka, name, partition, take)
        except _Found:
            return True
    return False


async def _not_blank(kafka: KafkaSettings, topic: str, count: int) -> list[int]:
    """The partitions that hold anything, a transaction's marker included."""
    places = [TopicPartition(topic, partition) for partition in range(count)]
    consumer = AIOKafkaConsumer(**kafka.client_args(), isolation_level="read_uncommitted")
    try:
        await consumer.start()
        look_at(consumer, places)
        beginnings = await consumer.beginning_offsets(places)
        ends = await consumer.end_offsets(places)
    finally:
        await consumer.stop()
    return [place.partition for place in places if ends[place] > beginnings[place]]
