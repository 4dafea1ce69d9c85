"""Who wants which events, from where on, and how they are handed over."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas.filters import Filter
from schemas.message import Instant, Message, Name, StateRecord


class SigningSecret(Message):
    """`reference`: `env:NAME` or `file:PATH`, never the secret; or `sealed:...`, the secret under
    `[notifier] master_key`.  `until`: it was replaced, and signs beside the new one until then.
    """

    reference: str
    until: Instant | None = None


class WebhookChannel(Message):
    """POST to `url`, signed with every secret in force, the newest first.

    `content`: a CloudEvent in structured form, or Standard Webhooks' plain type, timestamp, data.
    """

    type: Literal["webhook"] = "webhook"
    url: str
    secrets: tuple[SigningSecret, ...]
    content: Literal["structured", "plain"] = "structured"


class LogChannel(Message):
    """One structured log line for each event."""

    type: Literal["log"] = "log"


class TopicChannel(Message):
    """The event as it stands, on a topic of the same cluster, exactly once."""

    type: Literal["topic"] = "topic"
    topic: str


class StreamChannel(Message):
    """Read by the subscriber over HTTP, as server-sent events or pulled; it keeps the cursor."""

    type: Literal["stream"] = "stream"


class WriteBackChannel(Message):
    """What shipped is fulfilled in another system, once.

    `target`: the name of a `[[targets]]` table.  `order`: what an order is found by there, the
    event's `order_number` or `order_id`, or `file:PATH` of a JSON object from order numbers to the
    target's order ids.  `costs`: `file:PATH` of a JSON object from SKUs to `{"distributor_cost":
    "1.20", "shipping_cost": "0.30"}`, in `currency` (ISO 4217).
    """

    type: Literal["write_back"] = "write_back"
    target: str
    order: str = "order_number"
    costs: str | None = None
    currency: str | None = None
    partner_id: str | None = None


Channel = Annotated[
    WebhookChannel | LogChannel | TopicChannel | StreamChannel | WriteBackChannel,
    Field(discriminator="type"),
]


class Subscription(StateRecord):
    """A wish for events.

    `start_offsets` are the events offsets it begins at, one for each partition, fixed when the
    record was made.  Disabled: its positions stand still, nothing is lost within retention.
    `order`: whether deliveries of one fulfillment wait for each other.  `lane_deadline_seconds`:
    how long a failing one may hold up those behind it; none: until its tries are used up.
    `rate_per_second`, `concurrency`: of tries, over all copies; none: as the notifier's settings.
    `echo`: whether it wants to hear of what was written back by us.  `description` is for people.
    """

    id: Name
    description: str = ""
    types: tuple[str, ...]
    filters: tuple[Filter, ...] = ()
    channel: Channel
    order: Literal["ordered", "unordered"] = "ordered"
    lane_deadline_seconds: float | None = None
    rate_per_second: float | None = None
    concurrency: int | None = None
    backfill: bool = False
    echo: bool = False
    start_from: str = "now"
    start_offsets: dict[int, int]
    origin: Literal["config", "api"] = "config"
    disabled_reason: str | None = None
    created_at: Instant
    revision: int = 1

    @property
    def enabled(self) -> bool:
        """Whether events are handed over at present."""
        return self.disabled_reason is None


class CursorKey(StateRecord):
    """What resume cursors are MACed with where no master key is set; key `cursor-key/1`.

    `secret`: 64 hex characters, made once.  It opens nothing: whoever reads it here reads the
    events as well, and a cursor only says where to begin.
    """

    KEY: ClassVar[str] = "cursor-key/1"

    secret: str
    created_at: Instant


class EndpointHealth(StateRecord):
    """What every copy obeys about an endpoint; key `<subscription>/health`.

    `disabled_reason` stops it (410 Gone, or failing for days), `paused_until` delays it
    (Retry-After).  `failing_since`: no try succeeded since then; of `failed_tries` made, the most
    that one copy knows of.  `succeeded_at` ends what failed before.
    """

    subscription: str
    disabled_reason: str | None = None
    paused_until: Instant | None = None
    failing_since: Instant | None = None
    failed_tries: int = 0
    succeeded_at: Instant | None = None
    updated_at: Instant
