"""Channel `write_back`: what an event asks of another system, on `write-backs`, exactly once.

Written with the position in one transaction, to the partition of the order there, whose owner does
the rest (`write_backs/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bus.clock import Clock
from bus.errors import BadConfig
from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.subscription import Subscription, WriteBackChannel
from schemas.topics import WRITE_BACKS
from services.notifier.channel import Sink, Way
from services.notifier.events import Event
from services.notifier.fan_out import delivery_of
from services.notifier.settlement import dead_letter
from services.notifier.write_backs import wanting
from services.notifier.write_backs.files import BadFile, OrderIds, Watched, order_ids
from services.notifier.write_backs.intake import WANTED_BYTES_MAX

WAY: Way = "written"
SETTINGS = frozenset[str]()  # the target has a rate of its own


class WriteBackSink:
    """The orders at one target, for the events of one partition."""

    def __init__(
        self,
        kafka: KafkaSettings,
        subscription: str,
        partition: int,
        channel: WriteBackChannel,
        ids: Watched[OrderIds] | None,
    ) -> None:
        self._kafka = kafka
        self._subscription = subscription
        self._partition = partition
        self._channel = channel
        self._ids = ids
        self._topic = kafka.topic(WRITE_BACKS)
        self._count = kafka.partition_count(WRITE_BACKS)

    @property
    def places(self) -> Sequence[tuple[str, int]]:
        """All of write-backs: which one is the order's to say."""
        return [(self._topic, number) for number in range(self._count)]

    def record(self, event: Event, now: datetime) -> Record | None:
        """The Wanted; the dead letter of what is no event of ours, or too large a one."""
        ids = self._ids.value() if self._ids is not None else None
        try:
            wanted = wanting.wanted_of(event.envelope, self._subscription, self._channel, ids)
        except ValueError as error:
            return self._set_aside(event, f"not to be written back: {error}", now)
        if wanted is None:
            return None
        value = wanted.to_json()
        if len(value) > WANTED_BYTES_MAX:
            reason = f"{len(value)} bytes are more than the {WANTED_BYTES_MAX} of a write-back"
            return self._set_aside(event, reason, now)
        number = wanting.partition(wanted, self._count)
        return Record(self._topic, number, wanted.key, value)

    def _set_aside(self, event: Event, reason: str, now: datetime) -> Record:
        delivery = delivery_of(self._subscription, event, now)
        return dead_letter(self._kafka, self._partition, delivery, event, reason=reason, now=now)


async def open_sink(
    subscription: Subscription, kafka: KafkaSettings, partition: int, clock: Clock
) -> Sink:
    """Raises BadConfig when the map of orders cannot be read."""
    channel = subscription.channel
    assert isinstance(channel, WriteBackChannel)
    ids = order_ids(channel.order)
    try:
        _ = ids.value() if ids is not None else None
    except BadFile as error:
        raise BadConfig(f"subscription {subscription.id} channel.order: {error}") from error
    return WriteBackSink(kafka, subscription.id, partition, channel, ids)
