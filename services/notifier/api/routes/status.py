"""`GET /status`: what this copy does."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from services.notifier.api.context import Context
from services.notifier.held import Counts


class Status(BaseModel):
    """`held`: why each standing subscription stands; `held_events`: how many cannot go on."""

    partitions: list[int]
    subscriptions: int
    pending: int
    held: dict[str, str]
    held_events: Counts


def router(context: Context) -> APIRouter:
    """One route."""
    routes = APIRouter(tags=["status"])

    @routes.get("/status")
    async def status() -> Status:
        """The partitions of events it owns, and what is unfinished there."""
        owned = context.owned()
        return Status(
            partitions=sorted(owned),
            subscriptions=len(context.endpoints.all()),
            pending=sum(len(one.holdings.lanes) for one in owned.values()),
            held=dict(context.standing()),
            held_events=context.held(),
        )

    return routes
