"""Channel `topic`: the event as it stands, headers too, on a topic of the same cluster.

Written with the position in one transaction, so a read_committed consumer sees each event once.
The events of one partition go to one partition, so their order holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bus.admin import Layout, layout_of
from bus.clock import Clock
from bus.errors import BadConfig
from bus.settings import KafkaSettings
from bus.transaction import BATCH_BYTES, OVERHEAD_BYTES, Reach, Record, Writer
from schemas.subscription import Subscription, TopicChannel
from schemas.topics import EVENTS
from services.notifier.channel import Sink, Way
from services.notifier.events import Event
from services.notifier.fan_out import delivery_of
from services.notifier.settings import refuse_own
from services.notifier.settlement import dead_letter

WAY: Way = "written"
SETTINGS = frozenset[str]()


class TopicSink:
    """One partition of the topic, for the events of one of ours."""

    def __init__(
        self, kafka: KafkaSettings, subscription: str, partition: int, topic: str, layout: Layout
    ) -> None:
        self._kafka = kafka
        self._subscription = subscription
        self._partition = partition
        self._bytes_max = layout.record_bytes_max
        self._topic = topic
        self._number = partition % layout.partition_count

    @property
    def places(self) -> Sequence[tuple[str, int]]:
        """The topic, and the events partition modulo its count."""
        return [(self._topic, self._number)]

    def record(self, event: Event, now: datetime) -> Record:
        """Byte for byte; the dead letter of one that is larger than the topic takes."""
        value, headers = event.envelope.data, event.headers
        record = Record(self._topic, self._number, event.key, value, headers)
        size = record.bytes_on_wire
        if size <= self._bytes_max:
            return record
        delivery = delivery_of(self._subscription, event, now)
        reason = (
            f"{size} bytes are more than the {self._bytes_max} that topic {self._topic} takes: "
            "raise its max.message.bytes"
        )
        return dead_letter(self._kafka, self._partition, delivery, event, reason=reason, now=now)


async def open_sink(
    subscription: Subscription, kafka: KafkaSettings, partition: int, clock: Clock
) -> Sink:
    """The topic is made if there is none, laid out as events are, and tried with a record that is
    never committed.

    Raises BadConfig when it may not be written to, RetryLater.
    """
    channel = subscription.channel
    assert isinstance(channel, TopicChannel)
    where, topic = f"subscription {subscription.id} channel.topic", channel.topic
    refuse_own(kafka, topic, where)
    layout = await layout_of(
        kafka,
        topic,
        clock,
        partitions=kafka.partition_count(EVENTS),
        config=kafka.topic_config(EVENTS),
    )
    needed = BATCH_BYTES + OVERHEAD_BYTES
    if layout.record_bytes_max < BATCH_BYTES:
        raise BadConfig(
            f"{where}: {topic} takes {layout.record_bytes_max} bytes at once, events are written "
            f"in batches of up to {BATCH_BYTES}: alter its max.message.bytes to {needed} or more"
        )
    sink = TopicSink(kafka, subscription.id, partition, topic, layout)
    name = f"{kafka.prefix}.notifier.{subscription.id}.{partition}"
    probe = Writer(kafka, name, Reach(outputs=tuple(sink.places)))
    await probe.start()
    await probe.close()
    return sink
