"""The topic catalogue, as data: names, keys, partition counts, cleanup, retention (design 2)."""

from __future__ import annotations

from typing import Literal

from schemas.api_key import ApiKey
from schemas.command import Recover, Retry
from schemas.cursor import Cursor, Mark
from schemas.dead_letter import DeadLetter
from schemas.delivery import Attempt, Delivery, Position
from schemas.events import EVENT_CLASSES
from schemas.fulfillment import Fulfillment
from schemas.message import Message
from schemas.raw import Provenance
from schemas.subscription import CursorKey, EndpointHealth, Subscription
from schemas.write_back import Wanted, WriteBack

DAY_MS = 24 * 3600 * 1000
RECORD_BYTES_MAX = 8 * 1024 * 1024
CURSOR_SLOTS = 8
SHARED_PARTITIONS = 6

COMPACTION = {
    "cleanup.policy": "compact",
    "segment.bytes": str(64 * 1024 * 1024),
    "segment.ms": str(10 * 60 * 1000),
    "min.cleanable.dirty.ratio": "0.2",
    "max.compaction.lag.ms": str(3600 * 1000),
}


class Topic(Message):
    """One topic.  `count` says which setting fixes its partitions: shared, slots, or always one.

    Topics of the shared count speak of the same fulfillments in the same partition.  `kinds` are
    the classes of its records: the JSON value, or the headers beside a verbatim one.  `audience`:
    whom the records are for; the services' own memory may change more freely.
    """

    name: str
    key: str
    record: str
    kinds: tuple[type, ...]
    audience: Literal["consumers", "services"] = "services"
    count: Literal["shared", "slots", "one"] = "shared"
    retention_ms: int | None = None

    @property
    def compacted(self) -> bool:
        """Whether the newest record of each key is kept for ever."""
        return self.retention_ms is None

    @property
    def config(self) -> dict[str, str]:
        """Kafka's own topic settings."""
        sized = {"max.message.bytes": str(RECORD_BYTES_MAX)}
        if self.retention_ms is None:
            return {**COMPACTION, **sized}
        return {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms), **sized}


RAW = Topic(
    name="raw",
    key="fulfillment key",
    record="the upstream's record, verbatim; provenance in headers",
    retention_ms=30 * DAY_MS,
    kinds=(Provenance,),
    audience="consumers",
)
CURSORS = Topic(
    name="cursors",
    key="account and stream, or record",
    record="Cursor or Mark",
    count="slots",
    kinds=(Cursor, Mark),
)
FULFILLMENTS = Topic(
    name="fulfillments",
    key="fulfillment key",
    record="Fulfillment: canonical current state",
    kinds=(Fulfillment,),
    audience="consumers",
)
EVENTS = Topic(
    name="events",
    key="fulfillment key",
    record="CloudEvents 1.0: what changed",
    retention_ms=30 * DAY_MS,
    kinds=EVENT_CLASSES,
    audience="consumers",
)
DEAD_LETTERS = Topic(
    name="dead-letters",
    key="the original's key",
    record="the record untouched; why and where from in headers",
    retention_ms=30 * DAY_MS,
    kinds=(DeadLetter,),
    audience="consumers",
)
SUBSCRIPTIONS = Topic(
    name="subscriptions",
    key="subscription id",
    record="Subscription, EndpointHealth, Recover, Retry, ApiKey or CursorKey",
    count="one",
    kinds=(Subscription, EndpointHealth, Recover, Retry, ApiKey, CursorKey),
)
DELIVERIES = Topic(
    name="deliveries",
    key="subscription and event",
    record="Delivery, or Position of a subscription",
    kinds=(Delivery, Position),
)
ATTEMPTS = Topic(
    name="attempts",
    key="subscription and event",
    record="Attempt",
    retention_ms=14 * DAY_MS,
    kinds=(Attempt,),
)

WRITE_BACKS = Topic(
    name="write-backs",
    key="target account and order",
    record="Wanted, or the WriteBack that came of it",
    kinds=(Wanted, WriteBack),
)

TOPICS: tuple[Topic, ...] = (
    RAW,
    CURSORS,
    FULFILLMENTS,
    EVENTS,
    DEAD_LETTERS,
    SUBSCRIPTIONS,
    DELIVERIES,
    ATTEMPTS,
    WRITE_BACKS,
)
