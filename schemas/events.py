"""What changed, one class for each event type, as CloudEvents 1.0.

On Kafka: binary mode, `ce_` headers and JSON value (CloudEvents Kafka binding).  Over HTTP: the
structured form.  The id is derived from content, so seeing a fact again gives the same id.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, ClassVar, Self

from schemas.fulfillment import FulfillmentHeader, Package
from schemas.keys import joined, minted
from schemas.message import Headers, Message, iso

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"
REVISION_DIGITS = 10
INDEX_DIGITS = 4


class Change(Message):
    """One field of the package or fulfillment, JSON value before and after."""

    field: str
    before: Any = None
    after: Any = None


class EventData(Message):
    """The JSON value of an event.

    `provisional`: the source says this package may still change.  `backfill`: the fact is older
    than the connection to the account.  `echo`: it was read while a request of our own about it
    was open.
    """

    fulfillment: FulfillmentHeader
    package: Package | None = None
    changes: tuple[Change, ...] = ()
    provisional: bool = False
    backfill: bool = False
    echo: bool = False


class FulfillmentEvent(Message):
    """An event and its envelope.  `sequence` sorts as text within one fulfillment."""

    type: ClassVar[str]

    id: str
    time: datetime
    sequence: str
    data: EventData

    @classmethod
    def of(
        cls, data: EventData, *, discriminator: str | int, index: int, time: datetime
    ) -> FulfillmentEvent:
        """The event for `data`; `index` is its place among those of one revision.

        The id covers fulfillment key, package id, type and `discriminator` (design 2): a constant
        for what happens once, the package's revision for what may happen again.
        """
        header, package = data.fulfillment, data.package
        identity = [header.key, package.id if package else None, cls.type, discriminator]
        return cls(
            id=minted("evt", identity),
            time=time,
            sequence=sequence(header.revision, index),
            data=data,
        )

    @property
    def key(self) -> str:
        """Fulfillment key: the record key and CloudEvents partitionkey."""
        return self.data.fulfillment.key

    @property
    def attributes(self) -> dict[str, str]:
        """CloudEvents context attributes, without datacontenttype."""
        header, package = self.data.fulfillment, self.data.package
        return {
            "specversion": SPEC_VERSION,
            "id": self.id,
            "source": "/" + joined(header.source, header.account),
            "type": self.type,
            "subject": package.id if package else header.key,
            "time": iso(self.time),
            "dataschema": f"urn:shipfeed:v1:{self.type}",
            "partitionkey": header.key,
            "sequence": self.sequence,
        }

    def headers(self) -> list[tuple[str, bytes]]:
        """Kafka headers of the binary mode."""
        pairs = [(f"ce_{name}", value.encode()) for name, value in self.attributes.items()]
        return [*pairs, ("content-type", CONTENT_TYPE.encode())]


class PackageCreated(FulfillmentEvent):
    """A package was seen for the first time; it may not have left, nor have a tracking number."""

    type: ClassVar[str] = "package.created"


class PackageShipped(FulfillmentEvent):
    """The package left.  At most once for each package, whatever happens."""

    type: ClassVar[str] = "package.shipped"


class PackageTrackingChanged(FulfillmentEvent):
    """Tracking numbers were added, corrected or removed."""

    type: ClassVar[str] = "package.tracking_changed"


class PackageContentsChanged(FulfillmentEvent):
    """What is in the package differs from what was told before."""

    type: ClassVar[str] = "package.contents_changed"


class PackageRemoved(FulfillmentEvent):
    """A known package is no longer in a full snapshot of its fulfillment."""

    type: ClassVar[str] = "package.removed"


class FulfillmentItemsCanceled(FulfillmentEvent):
    """More of it was canceled than before: a quantity, never a package."""

    type: ClassVar[str] = "fulfillment.items_canceled"


class FulfillmentCanceled(FulfillmentEvent):
    """All of it was called off; what has left before is told no different."""

    type: ClassVar[str] = "fulfillment.canceled"


class FulfillmentReopened(FulfillmentEvent):
    """What was canceled, or an order that had been shipped whole, is open again."""

    type: ClassVar[str] = "fulfillment.reopened"


class FulfillmentPartiallyShipped(FulfillmentEvent):
    """Some of the fulfillment has left, some has not."""

    type: ClassVar[str] = "fulfillment.partially_shipped"


class FulfillmentShipped(FulfillmentEvent):
    """All of the fulfillment has left; last among the events of its snapshot."""

    type: ClassVar[str] = "fulfillment.shipped"


EVENT_CLASSES: tuple[type[FulfillmentEvent], ...] = (
    PackageCreated,
    PackageShipped,
    PackageTrackingChanged,
    PackageContentsChanged,
    PackageRemoved,
    FulfillmentItemsCanceled,
    FulfillmentCanceled,
    FulfillmentReopened,
    FulfillmentPartiallyShipped,
    FulfillmentShipped,
)
EVENT_TYPES: tuple[str, ...] = tuple(cls.type for cls in EVENT_CLASSES)


class Envelope(Message):
    """A CloudEvent as read from Kafka: attributes by name and the JSON bytes of `data`."""

    attributes: dict[str, str]
    data: bytes

    @classmethod
    def read(cls, headers: Headers, value: bytes) -> Self:
        """From an events record.  Raises ValueError when a needed header is missing."""
        found = {name[3:]: raw.decode() for name, raw in headers.items() if name.startswith("ce_")}
        for needed in ("id", "type", "partitionkey", "time"):
            if not found.get(needed):
                raise ValueError(f"an event without the header ce_{needed}")
        return cls(attributes=found, data=value)

    @property
    def id(self) -> str:
        """CloudEvents id = webhook-id = idempotency key."""
        return self.attributes["id"]

    @property
    def type(self) -> str:
        """Event type, such as package.shipped."""
        return self.attributes["type"]

    @property
    def key(self) -> str:
        """Fulfillment key."""
        return self.attributes["partitionkey"]

    def structured(self) -> bytes:
        """The structured form: one JSON object, `data` byte for byte as on Kafka."""
        head = json.dumps({**self.attributes, "datacontenttype": CONTENT_TYPE})
        return head[:-1].encode() + b', "data": ' + self.data + b"}"


def sequence(revision: int, index: int) -> str:
    """Zero-padded fulfillment revision + index: "0000000003.0001" sorts as text."""
    return f"{revision:0{REVISION_DIGITS}}.{index:0{INDEX_DIGITS}}"
