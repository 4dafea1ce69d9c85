"""The canonical model: fulfillment, package, line item.

A value that was not told is null, never 0 or "".  The raw word stands beside the normalized one.
"""

from __future__ import annotations

from typing import Any, Literal

from schemas.message import Instant, Message, Moment, Quantity, StateRecord

Scope = Literal["shipment", "order"]
FulfillmentStatus = Literal[
    "open", "partially_shipped", "shipped", "delivered", "canceled", "returned", "unknown"
]
PackageStatus = Literal["pending", "shipped", "delivered", "canceled", "removed"]
Identity = Literal["source_id", "sscc", "tracking", "content"]

LIVE: frozenset[PackageStatus] = frozenset({"pending", "shipped", "delivered"})
LEFT: frozenset[PackageStatus] = frozenset({"shipped", "delivered"})
GONE: frozenset[PackageStatus] = frozenset({"canceled", "removed"})

# Kinds of ids that several packages may carry: what they travel in, or that they travel in nothing.
COMMON_KINDS = frozenset({"container_number", "loose"})
PLACES_MAX = 1000  # a whole number up to here may be a package's place in a list


class OrderRef(Message):
    """An order that a fulfillment belongs to; `number` is what people call it."""

    id: str
    number: str | None = None


class LineItem(Message):
    """So many of one product.  `quantity` is a decimal string, in `unit` where one was told.

    It is null when the source tells none that can be read: how many it is, is not known.

    `properties` are the source's own words for it, by name (engraving: "Ana").  `echo`: a request
    of our own about it is open, so what is shown of it is from before.
    """

    sku: str | None = None
    line_id: str | None = None
    order_id: str | None = None
    quantity: Quantity | None
    unit: str | None = None
    description: str | None = None
    properties: dict[str, Any] | None = None
    echo: bool = False


class Carrier(Message):
    """`code` is ours and null when unknown; the source's own words are kept as given."""

    code: str | None = None
    name_raw: str | None = None
    code_raw: str | None = None


class Tracking(Message):
    """`number` as given; `number_normalized` for comparing only; `url` only when told."""

    number: str | None = None
    number_normalized: str | None = None
    url: str | None = None


class UpstreamId(Message):
    """An id that the source gives a package; ids of different `kind` are never compared."""

    kind: str
    id: str


class Package(Message):
    """One parcel.  `line_items` is null when the source does not say what is in it.

    `upstream_ids` are the ids that the source gives it, at most one of each kind, and `upstream_id`
    is the best of them.

    `id` is sticky: minted at first sight, stored, never recomputed.  `shipped_event_id` names the
    one `package.shipped` that announced it, so that no other can follow, `delivered_event_id` the
    one `package.delivered`.  `shipped_at` and
    `delivered_at` are instants, or local dates where the source tells no more.
    """

    id: str
    upstream_id: str | None = None
    upstream_ids: tuple[UpstreamId, ...] = ()
    identity: Identity
    status: PackageStatus
    status_raw: str | None = None
    carrier: Carrier | None = None
    service_level: str | None = None
    trackings: tuple[Tracking, ...] = ()
    shipped_at: Moment | None = None
    delivered_at: Moment | None = None
    line_items: tuple[LineItem, ...] | None = None
    revision: int
    shipped_event_id: str | None = None
    delivered_event_id: str | None = None


class RawRef(Message):
    """Where the upstream's verbatim record is."""

    topic: str
    partition: int
    offset: int


class Earlier(Message):
    """A change at `at`; `before` and `after` are digests of what events tell of a fulfillment."""

    before: str
    after: str
    at: Instant


class LastTold(Message):
    """What events have told of a fulfillment whose later changes are not told yet.

    `since` is when what is shown now was read first.
    """

    status: FulfillmentStatus
    status_raw: str | None = None
    canceled_items: tuple[LineItem, ...] = ()
    packages: tuple[Package, ...] = ()
    since: Instant


class Flapping(Message):
    """The changes that no version ordered.

    `told`: one of them came again, so what is shown now is not told until it stays.
    """

    earlier: tuple[Earlier, ...] = ()
    told: LastTold | None = None


class FulfillmentHeader(StateRecord):
    """A fulfillment without its packages and line items: what every event carries.

    `remote_id` is its id in a system behind the source.  `echo`: it stands at the source because we
    wrote it back there, from an event about another one.  `field_mappings` are fields that the
    account itself has named at the source.
    """

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
    created_at: Instant | None = None
    updated_at: Instant | None = None
    observed_at: Instant
    revision: int
    field_mappings: dict[str, Any] | None = None
    raw: RawRef


class Fulfillment(FulfillmentHeader):
    """Current state of one upstream record, removed packages included.

    `updated_at` is the source's own version where it has one; `revision` counts accepted changes.
    `canceled_items` will not be shipped, `line_items` have been or may be.  `remote_data` is what a
    system behind the source says, in its own words, null unless the account asks for it.  `stub`:
    it was closed long ago, and what is left is what it and its packages are known by.
    `positional_ids` are the kinds of ids that have so far been no more than each package's place in
    the list: 1, 2, 3 or 0, 1, 2.  `flapping` is null unless it changed while no version ordered it.
    """

    line_items: tuple[LineItem, ...] = ()
    canceled_items: tuple[LineItem, ...] = ()
    packages: tuple[Package, ...] = ()
    remote_data: dict[str, Any] | None = None
    stub: bool = False
    positional_ids: tuple[str, ...] = ()
    flapping: Flapping | None = None

    def header(self) -> FulfillmentHeader:
        """The part that events carry."""
        fields = FulfillmentHeader.model_fields
        return FulfillmentHeader.model_construct(**{name: getattr(self, name) for name in fields})
