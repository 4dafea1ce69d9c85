"""`/subscriptions/{name}/...`: enable, disable, rotate the secret, ping."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response
from pydantic import BaseModel

from bus.errors import Misuse
from schemas.delivery import Outcome
from schemas.subscription import Subscription, WebhookChannel
from services.notifier.api.changing import Revise, check_origin, disabled, enabled
from services.notifier.api.context import Context
from services.notifier.api.etags import IfMatch, etag, revision
from services.notifier.api.problems import Problem
from services.notifier.api.routes.subscriptions import Id, seal
from services.notifier.api.views import RotatedView, SubscriptionView, shown
from services.notifier.api.wishes import Disabling, Rotation
from services.notifier.pinging import ping
from services.notifier.rotation import new_secret, rotated
from services.notifier.subscriptions import Missing

PINGS_MAX = 4  # at once, of one copy
# What a request without a body wishes.
DISABLING, ROTATION = Disabling(), Rotation()


class PingView(BaseModel):
    """What came of a ping; of a refused address not even how long it took."""

    outcome: Outcome
    status_code: int | None
    detail: str | None
    duration_ms: int | None


def router(context: Context) -> APIRouter:
    """What an operator does to one subscription."""
    routes = APIRouter(prefix="/subscriptions/{name}", tags=["operating"])
    pings = asyncio.Semaphore(PINGS_MAX)

    async def update(
        name: str, revise: Revise, if_match: str, response: Response, *, well_again: bool = False
    ) -> SubscriptionView:
        after = await context.store.update(
            name, revise, revision=revision(if_match), well_again=well_again
        )
        await context.endpoints.current()
        response.headers["etag"] = etag(after)
        return shown(after, context.endpoints.health(name))

    @routes.post("/enable")
    async def enable(name: Id, response: Response, if_match: IfMatch = "*") -> SubscriptionView:
        """Go on from where it stands; what was found about its endpoint, as 410, is forgotten."""
        return await update(name, enabled, if_match, response, well_again=True)

    @routes.post("/disable")
    async def disable(
        name: Id, response: Response, wish: Disabling = DISABLING, if_match: IfMatch = "*"
    ) -> SubscriptionView:
        """Stand still: what comes meanwhile is held, and delivered once it is enabled."""
        return await update(name, disabled(wish.reason), if_match, response)

    @routes.post("/rotate-secret")
    async def rotate_secret(
        name: Id, response: Response, wish: Rotation = ROTATION, if_match: IfMatch = "*"
    ) -> RotatedView:
        """Sign with a new secret; those before it sign beside it for a while, or end at once."""
        secret = wish.secret or new_secret()
        revise = _rotation(context, secret, wish.overlap_seconds)
        view = await update(name, revise, if_match, response)
        return RotatedView(**view.model_dump(by_alias=True), secret=secret)

    @routes.post("/ping")
    async def send_ping(name: Id) -> PingView:
        """Send a signed `system.ping` once, and tell what came of it."""
        if (found := context.endpoints.get(name)) is None:
            raise Missing(f"there is no subscription {name}; GET /v1/subscriptions names all")
        if pings.locked():
            raise Problem(
                429,
                "Too many requests",
                f"{PINGS_MAX} pings are on their way: try again when they are answered",
            )
        async with pings:
            result = await ping(found, context.surroundings)
        return PingView(
            outcome=result.outcome,
            status_code=result.status_code,
            detail=result.detail,
            duration_ms=None if result.outcome == "blocked" else result.duration_ms,
        )

    return routes


def _rotation(context: Context, secret: str, overlap_seconds: int) -> Revise:
    now = context.clock.now()

    def revise(before: Subscription) -> Subscription:
        check_origin(before)
        if not isinstance(before.channel, WebhookChannel):
            raise Misuse(
                f"subscription {before.id} has a channel of type {before.channel.type}, which "
                "signs nothing: only a webhook has secrets"
            )
        reference = seal(context, before.id, secret)
        keys = rotated(before.channel.secrets, reference, now, overlap_seconds)
        channel = before.channel.model_copy(update={"secrets": keys})
        return before.model_copy(update={"channel": channel})

    return revise
