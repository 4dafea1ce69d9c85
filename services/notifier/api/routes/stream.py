"""`GET /subscriptions/{id}/stream` and `/events`: events as they come, or by the page.

Both go on behind the same cursor, on any copy; nothing about a reader is stored.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from services.notifier.api.context import Context
from services.notifier.api.event_stream import MEDIA_TYPE, EventStream
from services.notifier.api.readers import Readers
from services.notifier.api.routes.subscriptions import Id
from services.notifier.cursors import CURSOR_LENGTH_MAX

LIMIT_MAX = 500
WAIT_SECONDS_MAX = 30

Cursor = Annotated[
    str | None,
    Query(max_length=CURSOR_LENGTH_MAX, description="what came with the last event that was read"),
]
LastEventId = Annotated[
    str | None, Header(max_length=CURSOR_LENGTH_MAX, description="the same; it goes before")
]


class Page(BaseModel):
    """`events`: structured CloudEvents.  `cursor`: where to go on, also when there are none."""

    events: list[dict[str, Any]]
    cursor: str


def router(context: Context) -> APIRouter:
    """Two routes."""
    routes, readers = APIRouter(tags=["streams"]), Readers(context)

    @routes.get(
        "/subscriptions/{name}/stream",
        response_class=Response,
        responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}},
    )
    async def stream(
        request: Request, name: Id, last_event_id: LastEventId = None, cursor: Cursor = None
    ) -> Response:
        """Server-sent events without end; the `id` of each is the cursor behind it."""
        found = readers.subscription(name)
        async with AsyncExitStack() as held:
            reading = await held.enter_async_context(
                readers.reading(found, last_event_id or cursor)
            )
            return EventStream(
                readers.frames(found, reading, request.scope),
                held.pop_all(),
                context.settings.stream_stall_seconds,
                found.id,
            )

    @routes.get("/subscriptions/{name}/events", response_model=Page)
    async def events(
        request: Request,
        name: Id,
        cursor: Cursor = None,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 100,
        wait: Annotated[
            float, Query(ge=0, le=WAIT_SECONDS_MAX, description="seconds, for the first event")
        ] = 0,
    ) -> Response:
        """The events behind a cursor, fewer than `limit` when there are no more for now."""
        found = readers.subscription(name)
        async with readers.reading(found, cursor or None) as reading:
            body = await readers.page(found, reading, request.scope, limit=limit, wait_seconds=wait)
        return Response(body, media_type="application/json")

    return routes
