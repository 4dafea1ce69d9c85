"""From wishes to records: which subscription becomes of a request.  Pure; nothing is looked up."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from bus.errors import Misuse
from schemas.subscription import (
    Channel,
    LogChannel,
    SigningSecret,
    StreamChannel,
    Subscription,
    TopicChannel,
    WebhookChannel,
)
from services.notifier.api.wishes import (
    ChangedSubscription,
    ChannelWish,
    ReplacedSubscription,
    TopicWish,
    WebhookWish,
)
from services.notifier.channel import idle_setting
from services.notifier.subscriptions import GONE_FROM_FILE

ID_BYTES = 10
Revise = Callable[[Subscription], Subscription]


def minted_id() -> str:
    """An id that was never taken: what is left of a deleted one cannot meet a new one."""
    return f"sub-{secrets.token_hex(ID_BYTES)}"


def channel_of(wish: ChannelWish, keys: tuple[SigningSecret, ...]) -> Channel:
    """The channel that is wished for; a webhook signs with `keys`."""
    match wish:
        case WebhookWish(url=url, content=content):
            return WebhookChannel(url=url, content=content, secrets=keys)
        case TopicWish(topic=topic):
            return TopicChannel(topic=topic)
        case _:
            return LogChannel() if wish.type == "log" else StreamChannel()


def changed(wish: ReplacedSubscription | ChangedSubscription) -> Revise:
    """What a PUT or PATCH makes of a subscription.  It raises Misuse."""
    given = None if isinstance(wish, ReplacedSubscription) else wish.model_fields_set

    def revise(before: Subscription) -> Subscription:
        check_origin(before)
        values = {
            name: getattr(wish, name)
            for name in type(wish).model_fields
            if given is None or name in given
        }
        return check_settings(_with(before, values))

    return revise


def check_settings(subscription: Subscription) -> Subscription:
    """Return it.  Raises Misuse for a setting that does nothing with its channel."""
    if (why := idle_setting(subscription.channel.type, subscription.model_dump())) is not None:
        raise Misuse(why)
    return subscription


def _with(before: Subscription, values: Mapping[str, Any]) -> Subscription:
    update = dict(values)
    for name in ("types", "filters"):
        if name in update:
            update[name] = tuple(update[name])
    if (channel := update.pop("channel", None)) is not None:
        if channel.type != before.channel.type:
            raise Misuse(
                f"subscription {before.id} has a channel of type {before.channel.type}, and what "
                f"was begun for it cannot go another way: create one of type {channel.type}"
            )
        keys = before.channel.secrets if isinstance(before.channel, WebhookChannel) else ()
        update["channel"] = channel_of(channel, keys)
    return before.model_copy(update=update)


def enabled(before: Subscription) -> Subscription:
    """Events go out again, from where it stands.  Raises Misuse."""
    if before.disabled_reason == GONE_FROM_FILE:
        raise Misuse(
            f"subscription {before.id} is {GONE_FROM_FILE}: put it back there, or delete it"
        )
    return before.model_copy(update={"disabled_reason": None})


def disabled(reason: str) -> Revise:
    """It stands still; one that is disabled keeps its reason."""
    return lambda before: before.model_copy(
        update={"disabled_reason": before.disabled_reason or reason}
    )


def check_origin(before: Subscription) -> None:
    """Raises Misuse for one of the configuration file, which would be changed back."""
    if before.origin == "config":
        raise Misuse(
            f"subscription {before.id} stands in the configuration: change its "
            "[[subscriptions]] table and restart; only enable and disable work here"
        )


def check_deletable(before: Subscription) -> None:
    """Raises Misuse for one that the configuration file would bring back."""
    if before.disabled_reason != GONE_FROM_FILE:
        check_origin(before)
