"""The canonical model as the normalizer holds it: the shapes of `schemas`, as structs.

The classes in `schemas.fulfillment` and `schemas.events` are the contract.  These have the same
fields in the same order, and their JSON is the same to the byte; but making and comparing them is
what a normalizer does all day, and takes a tenth of the time.  Nothing is checked when one is
made: a mapper makes them of what its decoder has checked.

Differences: an instant or a local date (`Moment`) is its text, and what is the source's own is
JSON as it is, never a number through a float.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from schemas.cloudevents import Shared
from schemas.fulfillment import FulfillmentStatus, Identity, PackageStatus, Scope
from schemas.message import SCHEMA_VERSION, readable_version

NULL = msgspec.Raw(b"null")
_AFTER_HEADER = b',"line_items":'

_ENCODER = msgspec.json.Encoder()


class OrderRef(msgspec.Struct, frozen=True, gc=False):
    """See schemas.fulfillment.OrderRef."""

    id: str
    number: str | None = None


class LineItem(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """See schemas.fulfillment.LineItem; `quantity` as `schemas.message.quantity` gives it."""

    sku: str | None = None
    line_id: str | None = None
    order_id: str | None = None
    quantity: str | None
    unit: str | None = None
    description: str | None = None
    properties: msgspec.Raw = NULL
    echo: bool = False


class Carrier(msgspec.Struct, frozen=True, gc=False):
    """See schemas.fulfillment.Carrier."""

    code: str | None = None
    name_raw: str | None = None
    code_raw: str | None = None


class Tracking(msgspec.Struct, frozen=True, gc=False):
    """See schemas.fulfillment.Tracking."""

    number: str | None = None
    number_normalized: str | None = None
    url: str | None = None


class UpstreamId(msgspec.Struct, frozen=True, gc=False):
    """See schemas.fulfillment.UpstreamId."""

    kind: str
    id: str


class Package(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """See schemas.fulfillment.Package."""

    id: str
    upstream_id: str | None = None
    upstream_ids: tuple[UpstreamId, ...] = ()
    identity: Identity
    status: PackageStatus
    status_raw: str | None = None
    carrier: Carrier | None = None
    service_level: str | None = None
    trackings: tuple[Tracking, ...] = ()
    shipped_at: str | None = None
    delivered_at: str | None = None
    line_items: tuple[LineItem, ...] | None = None
    revision: int
    shipped_event_id: str | None = None
    delivered_event_id: str | None = None


class RawRef(msgspec.Struct, frozen=True, gc=False):
    """See schemas.fulfillment.RawRef."""

    topic: str
    partition: int
    offset: int


class Earlier(msgspec.Struct, frozen=True, gc=False):
    """See schemas.fulfillment.Earlier."""

    before: str
    after: str
    at: datetime


class LastTold(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """See schemas.fulfillment.LastTold."""

    status: FulfillmentStatus
    status_raw: str | None = None
    canceled_items: tuple[LineItem, ...] = ()
    packages: tuple[Package, ...] = ()
    since: datetime


class Flapping(msgspec.Struct, frozen=True, gc=False):
    """See schemas.fulfillment.Flapping."""

    earlier: tuple[Earlier, ...] = ()
    told: LastTold | None = None


class FulfillmentHeader(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """See schemas.fulfillment.FulfillmentHeader."""

    schema_version: str = SCHEMA_VERSION
    key: str
    source: str
    account: str
    resource: str
    upstream_id: str
    remote_id: str | None = None
    scope: Scope
    orders: tuple[OrderRef, ...]
    status: FulfillmentStatus
    status_raw: str | None = None
    final: bool
    echo: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    observed_at: datetime
    revision: int
    field_mappings: msgspec.Raw = NULL
    raw: RawRef


class Fulfillment(FulfillmentHeader, frozen=True, gc=False, kw_only=True):
    """See schemas.fulfillment.Fulfillment."""

    line_items: tuple[LineItem, ...] = ()
    canceled_items: tuple[LineItem, ...] = ()
    packages: tuple[Package, ...] = ()
    remote_data: msgspec.Raw = NULL
    stub: bool = False
    positional_ids: tuple[str, ...] = ()
    flapping: Flapping | None = None

    def header(self) -> FulfillmentHeader:
        """The part that events carry."""
        return FulfillmentHeader(
            schema_version=self.schema_version,
            key=self.key,
            source=self.source,
            account=self.account,
            resource=self.resource,
            upstream_id=self.upstream_id,
            remote_id=self.remote_id,
            scope=self.scope,
            orders=self.orders,
            status=self.status,
            status_raw=self.status_raw,
            final=self.final,
            echo=self.echo,
            created_at=self.created_at,
            updated_at=self.updated_at,
            observed_at=self.observed_at,
            revision=self.revision,
            field_mappings=self.field_mappings,
            raw=self.raw,
        )

    def to_json(self) -> bytes:
        """As the contract's class writes it; a stub without what is null."""
        value = _ENCODER.encode(self)
        return _ENCODER.encode(_told(msgspec.json.decode(value))) if self.stub else value

    def header_json(self, written: bytes) -> bytes:
        """The JSON of `header`, cut out of `written`, which is that of the whole.

        Its fields come first.  No text can hold the name of the next field, quotes and all; what
        is the account's own, and a stub, are written anew.
        """
        if self.stub or self.field_mappings != NULL:
            return _ENCODER.encode(self.header())
        return written[: written.index(_AFTER_HEADER)] + b"}"

    @classmethod
    def from_json(cls, value: bytes) -> Fulfillment:
        """What `to_json` of this class or the contract's wrote.

        Raises ValueError: not readable, or of a newer major version.
        """
        try:
            found = _FULFILLMENT.decode(value)
        except msgspec.ValidationError:
            readable_version(cls.__name__, _VERSION.decode(value).schema_version)
            raise
        if found.schema_version != SCHEMA_VERSION:
            readable_version(cls.__name__, found.schema_version)
        return found


class Change(msgspec.Struct, frozen=True, gc=False):
    """See schemas.events.Change."""

    field: str
    before: Any = None
    after: Any = None


class EventData(msgspec.Struct, frozen=True, gc=False):
    """See schemas.events.EventData; `fulfillment` may be a whole one, its header is written."""

    fulfillment: FulfillmentHeader
    package: Package | None = None
    changes: tuple[Change, ...] = ()
    provisional: bool = False
    backfill: bool = False
    echo: bool = False

    def to_json(self, header: bytes | None = None) -> bytes:
        """As the contract's class writes it; `header` is the fulfillment's, if written before."""
        if header is None:
            known = self.fulfillment
            header = _ENCODER.encode(known.header() if isinstance(known, Fulfillment) else known)
        return _ENCODER.encode(msgspec.structs.replace(self, fulfillment=msgspec.Raw(header)))


class RetractionData(EventData, frozen=True, gc=False, kw_only=True):
    """See schemas.events.RetractionData."""

    retracts: str


class RestorationData(EventData, frozen=True, gc=False, kw_only=True):
    """See schemas.events.RestorationData."""

    reinstates: str | None = None


class Event(msgspec.Struct, frozen=True, gc=False):
    """One of the contract's events: its `type`, its data, its envelope."""

    type: str
    id: str
    time: datetime
    sequence: str
    data: EventData
    shared: Shared

    def headers(self) -> list[tuple[str, bytes]]:
        """Kafka headers of the binary mode."""
        return self.shared.headers(self.type, self.id, self.subject, self.sequence)

    @property
    def subject(self) -> str:
        """What it is about: a package, else the fulfillment."""
        package = self.data.package
        return package.id if package else self.data.fulfillment.key


class _Version(msgspec.Struct):
    schema_version: str = SCHEMA_VERSION


_FULFILLMENT = msgspec.json.Decoder(Fulfillment)
_VERSION = msgspec.json.Decoder(_Version)


def _told(value: Any) -> Any:
    """JSON without the members that are null."""
    if isinstance(value, dict):
        return {name: _told(one) for name, one in value.items() if one is not None}
    return [_told(one) for one in value] if isinstance(value, list) else value
