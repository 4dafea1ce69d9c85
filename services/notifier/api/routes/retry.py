"""`/subscriptions/ID/...`: deliveries tried again at once; dead letters, listed and redriven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.config import JsonDict

from schemas.command import Retry, Target
from schemas.message import Instant
from schemas.subscription import Subscription
from schemas.topics import DEAD_LETTERS
from services.notifier.api.asked import (
    LIMIT,
    WHOLE_MAX,
    Asked,
    Cursor,
    EventId,
    Id,
    Limit,
    Offset,
    PartitionNumber,
    Since,
    delivered,
    holdings,
    known,
    located,
    order,
    standing_everywhere,
    start_of,
)
from services.notifier.api.context import Context
from services.notifier.api.problems import Problem
from services.notifier.commands import TARGETS_MAX
from services.notifier.explaining import Story, delivered_since, explain, record_at, state_of
from services.notifier.history import standing
from services.notifier.letters import Letter, letter_of
from services.notifier.match import matcher_of
from services.notifier.searching import PLACE_PATTERN, Search

NAMED_MAX = 400  # in one request, whose body is bounded, too

Place = Annotated[str, StringConstraints(pattern=r"^\d{1,6}/\d{1,18}$")]
Count = Annotated[int, Field(ge=0, le=WHOLE_MAX)]
Force = Annotated[bool, Query(description="send it though it was delivered, or is not wanted")]


class Named(BaseModel):
    """One event, as a list of deliveries or attempts shows it."""

    model_config = ConfigDict(extra="forbid")

    event_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
    partition: Annotated[int, Field(ge=0, le=10_000)]
    event_offset: Count


_THESE: JsonDict = {
    "required": ["events"],
    "properties": {"events": {"minItems": 1}, "all_unfinished": {"const": False}},
}
_ALL: JsonDict = {
    "required": ["all_unfinished"],
    "properties": {"events": {"maxItems": 0}, "all_unfinished": {"const": True}},
}


class RetryWish(BaseModel):
    """These events; or all that is unfinished.

    What was delivered already, or is not wanted, is passed over; with `force` it is sent.
    """

    model_config = ConfigDict(extra="forbid", json_schema_extra={"oneOf": [_THESE, _ALL]})

    events: Annotated[list[Named], Field(max_length=NAMED_MAX)] = []
    all_unfinished: bool = False
    force: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.events) == self.all_unfinished:
            raise ValueError("say either events or all_unfinished")
        return self


class RedriveWish(BaseModel):
    """The letters at these places, or all of the subscription from an instant or cursor on.

    `reason`: some of its words.  `dry_run`: they are counted, nothing is delivered.  `force`: also
    what was delivered since, or is not wanted by the subscription any more.
    """

    model_config = ConfigDict(extra="forbid")

    places: Annotated[list[Place], Field(max_length=NAMED_MAX)] = []
    since: Instant | None = None
    cursor: Annotated[str, StringConstraints(pattern=PLACE_PATTERN, max_length=20_000)] | None = (
        None
    )
    reason: Annotated[str, StringConstraints(max_length=200)] = ""
    dry_run: bool = False
    force: bool = False


class Retried(BaseModel):
    """`command` null: nothing was left to send.  `delivered`: the events that were already, and are
    passed over.
    """

    command: int | None
    delivered: list[str]


class Redriven(BaseModel):
    """`letters` of so many different events; `command` null: there were none, or it was a dry run.

    Not among them: `delivered` since they were set aside, and `unwanted` by the subscription as it
    is now.  `next`: there is more, the same request with this cursor goes on.
    """

    letters: int
    delivered: int
    unwanted: int
    command: int | None
    next: str | None


class LetterView(BaseModel):
    """`place` is what a redrive names."""

    place: str
    at: Instant
    reason: str
    event_id: str
    event_type: str
    partition: int
    event_offset: int


class LetterList(BaseModel):
    """In order within a partition.  `next`: where to go on, null when there is no more at present;
    a page may be empty and have a next one, since a read is bounded in time.
    """

    dead_letters: list[LetterView]
    next: str | None


def router(context: Context) -> APIRouter:
    """Each one's fresh tries carry the same event id."""
    routes = APIRouter(prefix="/subscriptions/{name}", tags=["retry"])

    @routes.post("/deliveries/{event_id}/retry", status_code=202)
    async def retry_one(
        name: Id,
        event_id: EventId,
        partition: PartitionNumber = None,
        offset: Offset = None,
        force: Force = False,
    ) -> Asked:
        """Try one event at once, with all its tries, unless it was delivered or is not wanted."""
        found = delivered(context, name)
        place = await located(context, found, event_id, partition, offset)
        if not force:
            here = await standing(context.kafka, found, place.partition, holdings(context))
            story = await explain(
                context.kafka, found, event_id, place, standing=here, clock=context.clock
            )
            _refuse(story, found)
        target = Target(partition=place.partition, event_id=event_id, event_offset=place.offset)
        return await _order(context, found, [target], force=force)

    @routes.post("/retry", status_code=202)
    async def retry_many(name: Id, wish: RetryWish) -> Retried:
        """Try many at once, or all that is unfinished."""
        found = delivered(context, name)
        targets = [Target.model_validate(one.model_dump()) for one in wish.events]
        passed = set() if wish.force else await _delivered_of(context, found, targets)
        targets = [one for one in targets if one.event_id not in passed]
        if passed and not targets:
            return Retried(command=None, delivered=sorted(passed))
        asked = await _order(context, found, targets, force=wish.force)
        return Retried(command=asked.command, delivered=sorted(passed))

    @routes.get("/dead-letters")
    async def list_letters(
        name: Id, limit: Limit = LIMIT, cursor: Cursor = None, since: Since = None
    ) -> LetterList:
        """What was set aside of its deliveries, and why."""
        known(context, name)
        starts = await start_of(context, DEAD_LETTERS, cursor, since)
        search = Search(context.kafka, DEAD_LETTERS, context.clock, starts=starts)
        letters = [_view(one) for one in await _letters(search, name, "", limit)]
        return LetterList(dead_letters=letters, next=search.place)

    @routes.post("/redrive", status_code=202)
    async def redrive(name: Id, wish: RedriveWish) -> Redriven:
        """Deliver what was set aside, from the letters' own bodies, an event once."""
        found = delivered(context, name)
        letters, following = await _wished(context, name, wish)
        sifted = await _sifted(context, found, letters, force=wish.force)
        command = None
        if sifted.targets and not wish.dry_run:
            command = (await _order(context, found, sifted.targets, force=wish.force)).command
        return Redriven(
            letters=len(sifted.targets),
            delivered=sifted.delivered,
            unwanted=sifted.unwanted,
            command=command,
            next=following,
        )

    return routes


@dataclass(frozen=True, slots=True)
class _Sifted:
    """What of some letters is to be delivered, and how many events are passed over."""

    targets: list[Target]
    delivered: int
    unwanted: int


async def _sifted(
    context: Context, found: Subscription, letters: Sequence[Letter], *, force: bool
) -> _Sifted:
    """Raises RetryLater."""
    newest = {one.target.event_id: one for one in letters}
    if force:
        return _Sifted([one.target for one in newest.values()], 0, 0)
    asides = {event_id: one.why.at for event_id, one in newest.items()}
    delivered = await delivered_since(context.kafka, found.id, asides, context.clock)
    matcher = matcher_of(found)
    rest = [one for event_id, one in newest.items() if event_id not in delivered]
    targets = [one.target for one in rest if matcher.takes(one.event)]
    return _Sifted(targets, len(delivered), len(rest) - len(targets))


async def _delivered_of(
    context: Context, found: Subscription, targets: Sequence[Target]
) -> set[str]:
    """Of these events those that are finished and were delivered.  Raises RetryLater."""
    if not targets:
        return set()
    unfinished = {
        event_id
        for one in (await standing_everywhere(context, found)).values()
        for event_id in one.unfinished
    }
    finished = {one.event_id: None for one in targets if one.event_id not in unfinished}
    return {*await delivered_since(context.kafka, found.id, finished, context.clock)}


def _refuse(story: Story, found: Subscription) -> None:
    """Raises Problem for an event that was delivered, or is not wanted."""
    why = None
    if story.delivery is None and story.event is not None:
        why = "; ".join(matcher_of(found).why_not(story.event)) or None
    if (state := state_of(story, found)) == "delivered":
        why = "it was delivered already"
    elif state == "unknown" and not story.complete:
        why = "whether it was delivered already could not be read in time"
    if why is not None:
        raise Problem(409, "Conflict", f"{why}: with force=true it is sent all the same")


async def _order(
    context: Context, found: Subscription, targets: Sequence[Target], *, force: bool
) -> Asked:
    now = context.clock.now()
    return await order(
        context,
        found,
        lambda number: Retry(
            subscription=found.id,
            number=number,
            created_at=now,
            targets=tuple(targets),
            force=force,
        ),
    )


async def _letters(search: Search, name: str, reason: str, count: int) -> list[Letter]:
    found: list[Letter] = []
    async for record in search.records():
        letter = letter_of(record, name)
        if letter is not None and reason.casefold() in letter.why.reason.casefold():
            found.append(letter)
            if len(found) == count:
                break
    return found


async def _wished(
    context: Context, name: str, wish: RedriveWish
) -> tuple[list[Letter], str | None]:
    """The letters that are meant, and the cursor to go on from.  Raises Problem, RetryLater."""
    if wish.places:
        return await _named(context, name, wish.places), None
    starts = await start_of(context, DEAD_LETTERS, wish.cursor, wish.since)
    search = Search(context.kafka, DEAD_LETTERS, context.clock, starts=starts)
    return await _letters(search, name, wish.reason, TARGETS_MAX), search.place


async def _named(context: Context, name: str, places: Sequence[str]) -> list[Letter]:
    """Raises Problem for a place where there is no letter of this subscription."""
    found: list[Letter] = []
    for place in places:
        partition, offset = (int(text) for text in place.split("/"))
        if partition >= context.kafka.partition_count(DEAD_LETTERS):
            record = None
        else:
            record = await record_at(context.kafka, DEAD_LETTERS, partition, offset)
        letter = letter_of(record, name) if record is not None else None
        if letter is None:
            raise Problem(
                404,
                "Not found",
                f"there is no dead letter of {name} at {place}, or not any more; "
                f"/v1/subscriptions/{name}/dead-letters lists them",
            )
        found.append(letter)
    return found


def _view(one: Letter) -> LetterView:
    return LetterView(
        place=one.place,
        at=one.why.at,
        reason=one.why.reason,
        event_id=one.event.envelope.id,
        event_type=one.event.envelope.type,
        partition=one.partition,
        event_offset=one.event.offset,
    )
