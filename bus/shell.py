"""FastStream as the consuming shell: raw batches in, nothing parsed, nothing committed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.message import FAKE_CONSUMER
from faststream.kafka.subscriber.usecase import BatchSubscriber
from faststream.middlewares import AckPolicy

from bus.security import faststream_security
from bus.settings import KafkaSettings
from schemas.topics import RECORD_BYTES_MAX

BATCH_RECORDS_MAX = 2000
BATCH_WAIT_MS = 20

Told = Callable[[Sequence[int]], Awaitable[None]]


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells partition numbers; aiokafka sends no heartbeats until `assigned` has returned."""

    def __init__(self, assigned: Told, revoked: Told) -> None:
        self._assigned, self._revoked = assigned, revoked

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """What this member has now."""
        await self._assigned(sorted(place.partition for place in assigned))

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """What it had; the rebalance waits for the return."""
        await self._revoked(sorted(place.partition for place in revoked))


def sticky() -> type[StickyPartitionAssignor]:
    """An assignor for one consumer: what it owned comes back to it where the shares allow.

    A class of its own each time, because aiokafka keeps a member's assignment on the class.
    """
    return type("Sticky", (StickyPartitionAssignor,), {"member_assignment": None})


def shell(
    kafka: KafkaSettings,
    topic: str,
    group: str,
    consume: Callable[[KafkaMessage], Awaitable[None]],
    listener: Listener,
) -> tuple[KafkaBroker, BatchSubscriber]:
    """A broker and its one subscriber, not started.  Raises BadConfig."""
    broker = KafkaBroker(
        kafka.bootstrap_servers.split(","),
        security=faststream_security(kafka),
        request_timeout_ms=kafka.request_timeout_ms,
        consumer_only=True,
        allow_auto_create_topics=False,
        # FastStream's own logger writes plain text.
        logger=logging.getLogger("shipfeed.consumer"),
        log_level=logging.DEBUG,  # of each batch; errors of fetching stay errors
        apply_types=False,
    )
    subscriber = broker.subscriber(
        topic,
        batch=True,
        group_id=group,
        max_records=BATCH_RECORDS_MAX,
        batch_timeout_ms=BATCH_WAIT_MS,
        fetch_max_wait_ms=BATCH_WAIT_MS,
        max_partition_fetch_bytes=RECORD_BYTES_MAX,
        ack_policy=AckPolicy.MANUAL,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        session_timeout_ms=kafka.session_timeout_ms,
        heartbeat_interval_ms=kafka.session_timeout_ms // 3,
        rebalance_timeout_ms=kafka.rebalance_timeout_ms,
        partition_assignment_strategy=(sticky(),),
        listener=listener,
        parser=_unparsed,
        decoder=_undecoded,
    )
    subscriber(consume)
    return broker, subscriber


async def _unparsed(records: tuple[ConsumerRecord, ...]) -> KafkaMessage:
    """Raw records as they are: parsing each one costs more than all of our own work."""
    return KafkaMessage(raw_message=records, body=b"", headers={}, consumer=FAKE_CONSUMER)


async def _undecoded(message: KafkaMessage) -> KafkaMessage:
    return message
