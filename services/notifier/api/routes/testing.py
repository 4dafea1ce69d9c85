"""`POST /test` and `/subscriptions/ID/test`: which of the newest events match, and why not."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from services.notifier.api.asked import Id, known
from services.notifier.api.context import Context
from services.notifier.api.wishes import Filters, Types
from services.notifier.events import Event
from services.notifier.match import Matcher, matcher, matcher_of
from services.notifier.newest import newest

LIMIT, LIMIT_MAX = 100, 500

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="how many of the newest events")]


class Wish(BaseModel):
    """What a subscription would ask for."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    types: Types
    filters: Filters = []
    backfill: bool = False
    echo: bool = False


class Tried(BaseModel):
    """One event.  `why_not`: a line for each thing that speaks against it; none: it matches."""

    id: str
    type: str
    subject: str | None
    time: str
    partition: int
    offset: int
    matches: bool
    why_not: list[str]

    @classmethod
    def of(cls, partition: int, event: Event, asked: Matcher) -> Tried:
        """As the wish takes it, or not."""
        attributes, why_not = event.envelope.attributes, asked.why_not(event)
        return cls(
            id=event.envelope.id,
            type=event.envelope.type,
            subject=attributes.get("subject"),
            time=attributes["time"],
            partition=partition,
            offset=event.offset,
            matches=not why_not,
            why_not=why_not,
        )


class Trial(BaseModel):
    """The newest first; `complete`: False when there was no time to read up to the newest."""

    looked_at: int
    matching: int
    complete: bool
    events: list[Tried]


def router(context: Context) -> APIRouter:
    """Two routes; neither changes anything."""
    routes = APIRouter(tags=["testing"])

    async def trial(asked: Matcher, limit: int) -> Trial:
        found = await newest(context.kafka, limit, context.clock)
        tried = [Tried.of(partition, event, asked) for partition, event in found.events]
        return Trial(
            looked_at=len(tried),
            matching=sum(one.matches for one in tried),
            complete=found.complete,
            events=tried,
        )

    @routes.post("/test")
    async def test_wish(wish: Wish, limit: Limit = LIMIT) -> Trial:
        """Types and filters, before a subscription is made of them."""
        asked = matcher(wish.types, wish.filters, backfill=wish.backfill, echo=wish.echo)
        return await trial(asked, limit)

    @routes.post("/subscriptions/{name}/test")
    async def test_subscription(name: Id, limit: Limit = LIMIT) -> Trial:
        """A subscription's own."""
        return await trial(matcher_of(known(context, name)), limit)

    return routes
