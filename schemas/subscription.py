"""Who wants which events, from where on, and how they are handed over."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.message import Instant, Message, Name, StateRecord


class WebhookChannel(Message):
    """POST to `url`; `secret` is a reference, `env:NAME` or `file:PATH`, never the secret."""

    type: Literal["webhook"] = "webhook"
    url: str
    secret: str


class LogChannel(Message):
    """One structured log line for each event."""

    type: Literal["log"] = "log"


Channel = Annotated[WebhookChannel | LogChannel, Field(discriminator="type")]


class Subscription(StateRecord):
    """A wish for events.

    `start_offsets` are the events offsets it begins at, one for each partition, fixed when the
    record was made.  Disabled: its positions stand still, nothing is lost within retention.
    """

    id: Name
    types: tuple[str, ...]
    channel: Channel
    backfill: bool = False
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


class EndpointHealth(StateRecord):
    """What every copy obeys about an endpoint; key `<subscription>/health`.

    `disabled_reason` stops it (410 Gone), `paused_until` delays it (Retry-After).
    """

    subscription: str
    disabled_reason: str | None = None
    paused_until: Instant | None = None
    updated_at: Instant
