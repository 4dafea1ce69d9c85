"""`/subscriptions`: create, list, get, replace, change, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from schemas.message import Name
from schemas.subscription import SigningSecret, Subscription
from services.notifier.api.changing import (
    Revise,
    changed,
    channel_of,
    check_deletable,
    check_settings,
    minted_id,
)
from services.notifier.api.context import Context
from services.notifier.api.etags import IfMatch, etag, revision
from services.notifier.api.views import CreatedView, ListView, SubscriptionView, shown
from services.notifier.api.wishes import (
    ChangedSubscription,
    NewSubscription,
    NewWebhookWish,
    ReplacedSubscription,
    TopicWish,
    WebhookWish,
)
from services.notifier.rotation import new_secret
from services.notifier.sealing import bound_to
from services.notifier.settings import check_reach, refuse_own
from services.notifier.starting import start_offsets
from services.notifier.subscriptions import Missing

PAGE = 50
PAGE_MAX = 200

Id = Annotated[Name, Path(description="as it was created, or its name in the configuration")]


def router(context: Context) -> APIRouter:
    """What the store has of subscriptions."""
    routes = APIRouter(prefix="/subscriptions", tags=["subscriptions"])
    endpoints, store = context.endpoints, context.store

    def answer(response: Response, subscription: Subscription) -> SubscriptionView:
        response.headers["etag"] = etag(subscription)
        return shown(subscription, endpoints.health(subscription.id))

    @routes.post("", status_code=201)
    async def create(wish: NewSubscription, response: Response) -> CreatedView:
        """Make one; a webhook's secret is in the answer, and never shown again."""
        subscription, secret = await _made(context, wish)
        await store.create(subscription)
        response.headers["location"] = f"/v1/subscriptions/{subscription.id}"
        view = answer(response, subscription)
        return CreatedView(**view.model_dump(by_alias=True), secret=secret)

    @routes.get("")
    async def list_subscriptions(
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE, after: Name | None = None
    ) -> ListView:
        """Those of the API and of the configuration, by id."""
        found = sorted(endpoints.all(), key=lambda one: one.id)
        page = [one for one in found if after is None or one.id > after][: limit + 1]
        more = len(page) > limit
        return ListView(
            subscriptions=[shown(one, endpoints.health(one.id)) for one in page[:limit]],
            next=page[limit - 1].id if more else None,
        )

    @routes.get("/{name}")
    async def get(name: Id, response: Response) -> SubscriptionView:
        """One of them, with its ETag."""
        if (found := endpoints.get(name)) is None:
            raise Missing(f"there is no subscription {name}; GET /v1/subscriptions names all")
        return answer(response, found)

    async def update(
        name: str, revise: Revise, if_match: str, response: Response
    ) -> SubscriptionView:
        after = await store.update(name, revise, revision=revision(if_match))
        await endpoints.current()
        return answer(response, after)

    @routes.put("/{name}")
    async def replace(
        name: Id, wish: ReplacedSubscription, if_match: IfMatch, response: Response
    ) -> SubscriptionView:
        """Say anew all that can be changed."""
        _check_reach(context, name, wish.channel)
        return await update(name, changed(wish), if_match, response)

    @routes.patch("/{name}")
    async def change(
        name: Id, wish: ChangedSubscription, if_match: IfMatch, response: Response
    ) -> SubscriptionView:
        """Change what is given, leave the rest."""
        _check_reach(context, name, wish.channel)
        return await update(name, changed(wish), if_match, response)

    @routes.delete("/{name}", status_code=204)
    async def delete(name: Id, if_match: IfMatch = "*") -> None:
        """Remove it with all its unfinished deliveries; its attempts and dead letters stay."""
        await store.delete(name, check_deletable, revision=revision(if_match))

    return routes


async def _made(context: Context, wish: NewSubscription) -> tuple[Subscription, str | None]:
    """The record, and the secret of a webhook.  Raises BadConfig, RetryLater."""
    name = minted_id()
    secret: str | None = None
    keys: tuple[SigningSecret, ...] = ()
    if isinstance(wish.channel, NewWebhookWish):
        secret = wish.channel.secret or new_secret()
        keys = (SigningSecret(reference=seal(context, name, secret)),)
    _check_reach(context, name, wish.channel)
    values = wish.model_dump(exclude={"channel"}, by_alias=True)
    subscription = Subscription.model_validate(
        {
            **values,
            "id": name,
            "channel": channel_of(wish.channel, keys),
            "start_offsets": {},
            "origin": "api",
            "created_at": context.clock.now(),
        }
    )
    check_settings(subscription)
    offsets = await start_offsets(context.kafka, {name: wish.start_from})
    return subscription.model_copy(update={"start_offsets": offsets[name]}), secret


def seal(context: Context, name: str, secret: str) -> str:
    """The reference that may stand on Kafka.  Raises BadConfig without a master key."""
    return context.surroundings.sealer.seal(secret, bound_to(context.kafka.prefix, name))


def _check_reach(context: Context, name: str, wish: object) -> None:
    """Raises BadConfig for a channel that leads where it must not."""
    if isinstance(wish, WebhookWish):
        check_reach(context.surroundings.egress, wish.url, f"subscription {name} channel.url")
    elif isinstance(wish, TopicWish):
        refuse_own(context.kafka, wish.topic, f"subscription {name} channel.topic")
