"""What the API is asked for: shapes of requests, checked before anything is looked up."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from schemas.events import EVENT_TYPES
from schemas.filters import Filter
from services.notifier.filters import NODES_MAX, parsed_filters
from services.notifier.guard import URL_LENGTH_MAX, checked_url
from services.notifier.match import EVERYTHING, FAMILY_SUFFIX, check_pattern
from services.notifier.rotation import OVERLAP_SECONDS, OVERLAP_SECONDS_MAX
from services.notifier.starting import checked_start

FAMILIES = {event_type.partition(".")[0] + FAMILY_SUFFIX for event_type in EVENT_TYPES}
PATTERNS = sorted({EVERYTHING, *EVENT_TYPES, *FAMILIES})
DAY_SECONDS = 24 * 3600.0
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_BYTE = r"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_PORT = r"(6553[0-5]|655[0-2]\d|65[0-4]\d{2}|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3})"
# A name, whose last label is no number, or an IPv4 address in its one plain form.
_HOST = rf"(({_LABEL}\.){{0,20}}[A-Za-z]([A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?|({_BYTE}\.){{3}}{_BYTE})"
URL_PATTERN = rf'^https?://{_HOST}(:{_PORT})?([/?][!"$-~]*)?$'
TEXT_PATTERN = r"^[^\x00-\x1f\x7f]*$"
_BASE64 = r"[A-Za-z0-9+/]"
# 24 to 62 bytes, of the 64 that Standard Webhooks allows.
_SECRET = rf"^whsec_({_BASE64}{{4}}){{8,20}}({_BASE64}{{2}}==|{_BASE64}{{3}}=)?$"


def _checked_filters(value: object) -> object:
    return list(parsed_filters(value))


def _made_here(value: object) -> object:
    """What writes into another system is decided by who runs Shipfeed."""
    if isinstance(value, dict) and value.get("type") == "write_back":
        raise ValueError(
            "a channel of type write_back is made in the configuration alone, since it moves money "
            "elsewhere: a [[subscriptions]] table with it and the [[targets]] table that it names; "
            "then restart the notifiers"
        )
    return value


def whole(value: object) -> object:
    """JSON has one kind of number: 2.0 is an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Url = Annotated[
    str, Field(pattern=URL_PATTERN, max_length=URL_LENGTH_MAX), BeforeValidator(checked_url)
]
TypePattern = Annotated[
    str,
    BeforeValidator(check_pattern),
    WithJsonSchema({"type": "string", "enum": PATTERNS}),
]
Types = Annotated[list[TypePattern], Field(min_length=1, max_length=len(PATTERNS))]
Filters = Annotated[list[Filter], Field(max_length=NODES_MAX), BeforeValidator(_checked_filters)]
StartFrom = Annotated[
    str,
    BeforeValidator(checked_start),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": ["now", "earliest"]},
                {"type": "string", "format": "date-time"},
            ]
        }
    ),
]
Description = Annotated[str, Field(max_length=200, pattern=TEXT_PATTERN)]
Reason = Annotated[str, Field(min_length=1, max_length=200, pattern=TEXT_PATTERN)]
Secret = Annotated[str, Field(pattern=_SECRET, description="whsec_ and base64; write-only")]
Order = Literal["ordered", "unordered"]
DeadlineSeconds = Annotated[float, Field(gt=0, le=30 * DAY_SECONDS, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0.001, le=100_000, allow_inf_nan=False)]
Concurrency = Annotated[int, Field(ge=1, le=10_000), BeforeValidator(whole)]
OverlapSeconds = Annotated[int, Field(ge=0, le=OVERLAP_SECONDS_MAX), BeforeValidator(whole)]


class _Wish(BaseModel):
    """Unknown members are refused, and nothing is taken for what it is not."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class WebhookWish(_Wish):
    """POST to `url`.  Its secrets stay what they are."""

    type: Literal["webhook"]
    url: Url
    content: Literal["structured", "plain"] = "structured"


class NewWebhookWish(WebhookWish):
    """`secret` left out: one is made.  Either way it is shown once, in the answer."""

    secret: Secret | None = None


class LogWish(_Wish):
    """One structured log line for each event."""

    type: Literal["log"]


class TopicWish(_Wish):
    """A topic of the same cluster."""

    type: Literal["topic"]
    topic: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,248}$")]


class StreamWish(_Wish):
    """Read over HTTP."""

    type: Literal["stream"]


ChannelWish = Annotated[
    WebhookWish | LogWish | TopicWish | StreamWish,
    Field(discriminator="type"),
    BeforeValidator(_made_here),
]
NewChannelWish = Annotated[
    NewWebhookWish | LogWish | TopicWish | StreamWish,
    Field(discriminator="type"),
    BeforeValidator(_made_here),
]


class _SubscriptionWish(_Wish):
    description: Description = ""
    types: Types
    filters: Filters = []
    order: Order = "ordered"
    lane_deadline_seconds: DeadlineSeconds | None = None
    rate_per_second: Rate | None = None
    concurrency: Concurrency | None = None
    backfill: bool = False
    echo: bool = False


class NewSubscription(_SubscriptionWish):
    """`start_from`: `now`, `earliest` or an instant; fixed as offsets when it is made."""

    channel: NewChannelWish
    start_from: StartFrom = "now"


class ReplacedSubscription(_SubscriptionWish):
    """All that can be changed; what is left out is as for a new one."""

    channel: ChannelWish


class ChangedSubscription(_Wish):
    """What is left out stays.  `channel` is given whole, of the type it has."""

    description: Description = ""
    types: Types = Field(default_factory=list)
    filters: Filters = []
    channel: ChannelWish | None = None
    order: Order = "ordered"
    lane_deadline_seconds: DeadlineSeconds | None = None
    rate_per_second: Rate | None = None
    concurrency: Concurrency | None = None
    backfill: bool = False
    echo: bool = False


class Disabling(_Wish):
    """`reason` is shown wherever the subscription is."""

    reason: Reason = "disabled by an operator"


class Rotation(_Wish):
    """`secret` left out: one is made.  Those before it sign for `overlap_seconds` more."""

    secret: Secret | None = None
    overlap_seconds: OverlapSeconds = OVERLAP_SECONDS
