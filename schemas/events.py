"""What changed, one class for each event type, as CloudEvents 1.0.

On Kafka: binary mode, `ce_` headers and JSON value (CloudEvents Kafka binding).  Over HTTP: the
structured form.  The id is derived from content, so seeing a fact again gives the same id.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from schemas.cloudevents import CONTENT_TYPE, Shared, event_id, sequence
from schemas.fulfillment import FulfillmentHeader, Package
from schemas.message import Headers, Message, present

ID_LENGTH_MAX = 256  # characters, of a type too
_VISIBLE = re.compile(rf"[!-~]{{1,{ID_LENGTH_MAX}}}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Change(Message):
    """One field of the package or fulfillment, JSON value before and after."""

    field: str
    before: Any = None
    after: Any = None


class EventData(Message):
    """The JSON value of an event.

    `provisional`: the source says this package may still change.  `backfill`: the fact is older
    than the connection to the account; of the fulfillment as a whole, where that holds for all its
    packages.  `echo`: the fulfillment's; who did not ask for echoes is not told.  `package` is null
    where the event is about the fulfillment as a whole.
    """

    fulfillment: FulfillmentHeader
    package: Package | None = None
    changes: tuple[Change, ...] = ()
    provisional: bool = False
    backfill: bool = False
    echo: bool = False


class PackageData(EventData):
    """`package` is the package that it is about, as it is after the change."""

    package: Package


class RetractionData(PackageData):
    """`retracts` is the id of the package.shipped that no longer holds."""

    retracts: str


class RestorationData(PackageData):
    """`reinstates` is the id of the package.shipped that holds again, null when there was none."""

    reinstates: str | None = None


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
        """The event for `data`; `index` is its place among those of one revision."""
        header, package = data.fulfillment, data.package
        return cls(
            id=event_id(header.key, package.id if package else None, cls.type, discriminator),
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
        return {
            name.removeprefix("ce_"): value.decode()
            for name, value in self.headers()
            if name.startswith("ce_")
        }

    def headers(self) -> list[tuple[str, bytes]]:
        """Kafka headers of the binary mode."""
        header, package = self.data.fulfillment, self.data.package
        shared = Shared.of(header.key, header.source, header.account, self.time)
        subject = package.id if package else header.key
        return shared.headers(self.type, self.id, subject, self.sequence)


class PackageEvent(FulfillmentEvent):
    """An event about one package."""

    data: PackageData


class PackageCreated(PackageEvent):
    """A package was seen for the first time; it may not have left, nor have a tracking number."""

    type: ClassVar[str] = "package.created"


class PackageShipped(PackageEvent):
    """The package left.  At most once for each package, whatever happens."""

    type: ClassVar[str] = "package.shipped"


class PackageTrackingChanged(PackageEvent):
    """Tracking numbers were added, corrected or removed."""

    type: ClassVar[str] = "package.tracking_changed"


class PackageCarrierChanged(PackageEvent):
    """The source names another carrier; that we know one by another code now is no change."""

    type: ClassVar[str] = "package.carrier_changed"


class PackageContentsChanged(PackageEvent):
    """What is in the package differs from what was told before."""

    type: ClassVar[str] = "package.contents_changed"


class PackageShippedAtChanged(PackageEvent):
    """After it had left, another time was told; a more precise one of the same day is none."""

    type: ClassVar[str] = "package.shipped_at_changed"


class PackageDelivered(PackageEvent):
    """The package arrived."""

    type: ClassVar[str] = "package.delivered"


class PackageCanceled(PackageEvent):
    """The source itself says that the package is called off."""

    type: ClassVar[str] = "package.canceled"


class PackageRemoved(PackageEvent):
    """A known package is no longer in a full snapshot of its fulfillment."""

    type: ClassVar[str] = "package.removed"


class PackageRestored(PackageEvent):
    """A removed or canceled package is there again, or a withdrawn departure has happened again.

    `reinstates` names the `package.shipped` that holds again, if any.
    """

    type: ClassVar[str] = "package.restored"

    data: RestorationData


class PackageShipmentRetracted(PackageEvent):
    """A package announced as shipped is removed, canceled or has not left: take that back."""

    type: ClassVar[str] = "package.shipment_retracted"

    data: RetractionData


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
    PackageCarrierChanged,
    PackageContentsChanged,
    PackageShippedAtChanged,
    PackageDelivered,
    PackageCanceled,
    PackageRemoved,
    PackageRestored,
    PackageShipmentRetracted,
    FulfillmentPartiallyShipped,
    FulfillmentShipped,
    FulfillmentItemsCanceled,
    FulfillmentCanceled,
    FulfillmentReopened,
)
EVENT_TYPES: tuple[str, ...] = tuple(cls.type for cls in EVENT_CLASSES)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A CloudEvent as read from Kafka: attributes by name and the JSON bytes of `data`.

    No model: each event is read once by every copy, and its headers were checked when written.
    """

    attributes: dict[str, str]
    data: bytes

    @classmethod
    def read(cls, headers: Headers, value: bytes) -> Self:
        """From an events record.  Raises ValueError when a needed header is missing or ill-formed.

        No attribute has a control character (CloudEvents 1.0, String), and what becomes a header
        or a line of a stream is visible ASCII: nobody who writes events can end a line there.
        """
        found = {n[3:]: raw.decode() for n, raw in present(headers).items() if n.startswith("ce_")}
        for needed in ("id", "type", "partitionkey", "time"):
            if not found.get(needed):
                raise ValueError(f"an event without the header ce_{needed}")
        for name in ("id", "type"):
            if not _VISIBLE.fullmatch(found[name]):
                raise ValueError(f"an event whose ce_{name} is not visible ASCII")
        if _CONTROL.search("".join(found.values())):
            (name, *_) = (name for name, text in found.items() if _CONTROL.search(text))
            raise ValueError(f"an event with a control character in ce_{name}")
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
        head = json.dumps({**self.attributes, "datacontenttype": CONTENT_TYPE.decode()})
        return head[:-1].encode() + b', "data": ' + self.data + b"}"

    def plain(self) -> bytes:
        """Standard Webhooks' own form, `data` byte for byte; `timestamp` is the event's time."""
        head = json.dumps({"type": self.type, "timestamp": self.attributes["time"]})
        return head[:-1].encode() + b', "data": ' + self.data + b"}"
