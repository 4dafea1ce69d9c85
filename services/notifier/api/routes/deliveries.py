"""`/subscriptions/ID/...`: deliveries that are unfinished, what was tried, and one explained."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from schemas.delivery import Attempt, Delivery, Outcome
from schemas.message import Instant
from schemas.subscription import Subscription
from schemas.topics import ATTEMPTS, DELIVERIES
from services.notifier.api.asked import (
    LIMIT,
    Cursor,
    EventId,
    Id,
    Limit,
    Offset,
    PartitionNumber,
    Since,
    holdings,
    known,
    located,
    start_of,
)
from services.notifier.api.context import Context
from services.notifier.explaining import State, Story, explain, state_of
from services.notifier.history import standing
from services.notifier.match import matcher_of
from services.notifier.searching import Search

DeliveryCursor = Annotated[
    str | None, Query(pattern=r"^\d{1,6}\.\d{1,18}$", description="`next` of before")
]


class DeliveryView(BaseModel):
    """Unfinished: tried again at `due_at`; `failing_since` null: not tried yet, or begun anew."""

    event_id: str
    event_type: str
    partition: int
    event_offset: int
    event_at: Instant
    lane: str
    attempts: int
    due_at: Instant
    failing_since: Instant | None
    from_dead_letter: bool


class DeliveryList(BaseModel):
    """By partition and event.  `held`: why nothing is tried at present; `next`: the cursor of the
    next page, null on the last one.
    """

    deliveries: list[DeliveryView]
    held: str | None
    next: str | None


class AttemptView(BaseModel):
    """One try; `next_at` null: there is no other."""

    event_id: str
    event_type: str
    partition: int
    event_offset: int
    number: int
    started_at: Instant
    duration_ms: int
    outcome: Outcome
    status_code: int | None
    detail: str | None
    response_body: str | None
    next_at: Instant | None


class AttemptList(BaseModel):
    """In order within a partition.  `next`: where to go on, null when there is no more at present;
    a page may be empty and have a next one, since a read is bounded in time.
    """

    attempts: list[AttemptView]
    next: str | None


class EventView(BaseModel):
    """The event itself; `trace_id` is that of the poll."""

    type: str
    subject: str | None
    time: str
    backfill: bool
    echo: bool
    trace_id: str | None


class UpstreamView(BaseModel):
    """The upstream's record it came from, as read by a poll; null what raw has forgotten."""

    topic: str
    partition: int
    offset: int
    source: str | None = None
    account: str | None = None
    stream: str | None = None
    upstream_id: str | None = None
    observed_at: Instant | None = None
    trace_id: str | None = None


class AsideView(BaseModel):
    """Set aside; `place` is what a redrive names."""

    place: str
    at: Instant
    reason: str


class Explanation(BaseModel):
    """From the poll to the next try.

    `why_not`: what speaks against the event, empty where the subscription wants it; null when the
    event is gone.  `at_least`: there may be more attempts and letters than there was time to read.
    """

    event_id: str
    partition: int
    event_offset: int
    state: State
    event: EventView | None
    upstream: UpstreamView | None
    why_not: list[str] | None
    position: int
    attempts: list[AttemptView]
    dead_letters: list[AsideView]
    next_at: Instant | None
    held: str | None
    at_least: bool


def router(context: Context) -> APIRouter:
    """Reads, and no more."""
    routes = APIRouter(prefix="/subscriptions/{name}", tags=["deliveries"])

    @routes.get("/deliveries")
    async def list_deliveries(
        name: Id, limit: Limit = LIMIT, cursor: DeliveryCursor = None
    ) -> DeliveryList:
        """What is unfinished, whichever copy works on it."""
        found = known(context, name)
        page = await _unfinished(context, found, limit + 1, cursor)
        more = len(page) > limit
        last = page[limit - 1] if more else None
        return DeliveryList(
            deliveries=[_delivery(number, one) for number, one in page[:limit]],
            held=context.endpoints.held().get(name),
            next=f"{last[0]}.{last[1].event_offset}" if last else None,
        )

    @routes.get("/attempts")
    async def list_attempts(
        name: Id,
        limit: Limit = LIMIT,
        cursor: Cursor = None,
        since: Since = None,
    ) -> AttemptList:
        """Every try that is kept, failed or not."""
        known(context, name)
        starts = await start_of(context, ATTEMPTS, cursor, since)
        search = Search(context.kafka, ATTEMPTS, context.clock, starts=starts)
        folder, attempts = f"{name}/".encode(), list[AttemptView]()
        async for record in search.records():
            if (record.key or b"").startswith(folder):
                attempt = Attempt.model_validate_json(record.value)
                attempts.append(_attempt(record.partition, attempt))
                if len(attempts) == limit:
                    break
        return AttemptList(attempts=attempts, next=search.place)

    @routes.get("/deliveries/{event_id}")
    async def explain_delivery(
        name: Id, event_id: EventId, partition: PartitionNumber = None, offset: Offset = None
    ) -> Explanation:
        """One event from poll to next try; with partition and offset it is found at once."""
        found = known(context, name)
        place = await located(context, found, event_id, partition, offset)
        here = await standing(context.kafka, found, place.partition, holdings(context))
        story = await explain(
            context.kafka, found, event_id, place, standing=here, clock=context.clock
        )
        return _explanation(context, found, event_id, story)

    return routes


async def _unfinished(
    context: Context, found: Subscription, count: int, cursor: str | None
) -> list[tuple[int, Delivery]]:
    """The first so many behind the cursor, with their partitions.  Raises RetryLater."""
    first, after = (int(text) for text in cursor.split(".")) if cursor else (0, -1)
    page: list[tuple[int, Delivery]] = []
    for number in range(first, context.kafka.partition_count(DELIVERIES)):
        here = await standing(context.kafka, found, number, holdings(context))
        for delivery in here.unfinished.values():
            if number > first or delivery.event_offset > after:
                page.append((number, delivery))
                if len(page) == count:
                    return page
    return page


def _delivery(partition: int, one: Delivery) -> DeliveryView:
    own = one.model_dump(include=set(DeliveryView.model_fields))
    return DeliveryView(**own, partition=partition, from_dead_letter=one.letter_offset is not None)


def _attempt(partition: int, one: Attempt) -> AttemptView:
    own = one.model_dump(include=set(AttemptView.model_fields))
    return AttemptView(**own, partition=partition)


def _explanation(context: Context, found: Subscription, event_id: str, story: Story) -> Explanation:
    event, delivery = story.event, story.delivery
    return Explanation(
        event_id=event_id,
        partition=story.place.partition,
        event_offset=story.place.offset,
        state=state_of(story, found),
        event=EventView(
            type=event.envelope.type,
            subject=event.envelope.attributes.get("subject"),
            time=event.envelope.attributes["time"],
            backfill=event.backfill,
            echo=event.echo,
            trace_id=_trace_id((dict(event.headers).get("traceparent") or b"").decode()),
        )
        if event
        else None,
        upstream=_upstream(story),
        why_not=matcher_of(found).why_not(event) if event else None,
        position=story.standing.position.offset,
        attempts=[_attempt(story.place.partition, one) for one in story.attempts],
        dead_letters=[
            AsideView(place=one.place, at=one.why.at, reason=one.why.reason)
            for one in story.letters
        ],
        next_at=delivery.due_at if delivery else None,
        held=context.endpoints.held().get(found.id),
        at_least=not story.complete,
    )


def _upstream(story: Story) -> UpstreamView | None:
    if (raw := story.raw) is None:
        return None
    view = UpstreamView(topic=raw.topic, partition=raw.partition, offset=raw.offset)
    if (found := story.upstream) is None:
        return view
    return view.model_copy(
        update={
            "source": found.source,
            "account": found.account,
            "stream": found.stream,
            "upstream_id": found.upstream_id,
            "observed_at": found.observed_at,
            "trace_id": _trace_id(found.traceparent),
        }
    )


def _trace_id(traceparent: str) -> str | None:
    """The second of its four parts (W3C Trace Context)."""
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 else None
