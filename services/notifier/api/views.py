"""What the API shows of subscriptions: all but their secrets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from schemas.filters import Filter
from schemas.message import Instant
from schemas.subscription import (
    Channel,
    EndpointHealth,
    LogChannel,
    StreamChannel,
    Subscription,
    TopicChannel,
    WebhookChannel,
    WriteBackChannel,
)


class SecretView(BaseModel):
    """A secret that signs, the newest first; `until` is set where it was replaced."""

    until: Instant | None


class WebhookView(BaseModel):
    """Where events are posted to."""

    type: Literal["webhook"] = "webhook"
    url: str
    content: Literal["structured", "plain"]
    secrets: list[SecretView]


class HealthView(BaseModel):
    """What was found about the endpoint: why it is left alone, or until when."""

    disabled_reason: str | None
    paused_until: Instant | None


ChannelView = Annotated[
    WebhookView | LogChannel | TopicChannel | StreamChannel | WriteBackChannel,
    Field(discriminator="type"),
]


class SubscriptionView(BaseModel):
    """A subscription; its ETag is the revision in quotes."""

    id: str
    revision: int
    description: str
    types: list[str]
    filters: list[Filter]
    channel: ChannelView
    order: Literal["ordered", "unordered"]
    lane_deadline_seconds: float | None
    rate_per_second: float | None
    concurrency: int | None
    backfill: bool
    echo: bool
    start_from: str
    start_offsets: dict[int, int]
    origin: Literal["config", "api"]
    enabled: bool
    disabled_reason: str | None
    health: HealthView
    created_at: Instant


class CreatedView(SubscriptionView):
    """`secret` of a webhook is shown here and never again."""

    secret: str | None


class RotatedView(SubscriptionView):
    """`secret` is shown here and never again."""

    secret: str


class ListView(BaseModel):
    """A page, ordered by id; `next` is what `after` has to be for the next one."""

    subscriptions: list[SubscriptionView]
    next: str | None


def shown(subscription: Subscription, health: EndpointHealth | None) -> SubscriptionView:
    """Without anything that leads to a secret."""
    values = subscription.model_dump(exclude={"channel"}, by_alias=True)
    return SubscriptionView.model_validate(
        {
            **values,
            "enabled": subscription.enabled,
            "channel": _channel(subscription.channel),
            "health": {
                "disabled_reason": health.disabled_reason if health else None,
                "paused_until": health.paused_until if health else None,
            },
        }
    )


def _channel(channel: Channel) -> ChannelView:
    if not isinstance(channel, WebhookChannel):
        return channel
    secrets = [SecretView(until=secret.until) for secret in channel.secrets]
    return WebhookView(url=channel.url, content=channel.content, secrets=secrets)
