"""`/subscriptions/ID/recover` and `/commands`: events once more, and how far what was asked is."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from schemas.command import Command, Recover, Retry
from schemas.message import Instant
from schemas.subscription import Subscription
from schemas.topics import EVENTS
from services.notifier.api.asked import WHOLE_MAX, Id, known, order, standing_everywhere
from services.notifier.api.context import Context
from services.notifier.api.problems import Problem
from services.notifier.channel import way_of
from services.notifier.recovering import bounded, count, oldest_safe
from services.notifier.searching import ends, since

Number = Annotated[int, Path(ge=0, le=WHOLE_MAX)]
Offsets = Annotated[
    dict[int, Annotated[int, Field(ge=0, le=WHOLE_MAX)]],
    Field(json_schema_extra={"propertyNames": {"pattern": r"^(0|[1-9]\d{0,8})$"}}),
]
_ONLY_SINCE: JsonDict = {
    "required": ["since"],
    "properties": {"since": {"type": "string"}, "from_offsets": {"type": "null"}},
}
_ONLY_FROM: JsonDict = {
    "required": ["from_offsets"],
    "properties": {"since": {"type": "null"}, "from_offsets": {"type": "object"}},
}


class Wish(BaseModel):
    """From an instant on, or from an offset of each partition that is named.

    `dry_run`: nothing moves, the events are counted.
    """

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"oneOf": [_ONLY_SINCE, _ONLY_FROM]}
    )

    since: Instant | None = None
    from_offsets: Offsets | None = None
    dry_run: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.since is None) == (self.from_offsets is None):
            raise ValueError("say either since or from_offsets")
        return self


class Recovery(BaseModel):
    """`from_offsets`: where it begins; `shortened`: later than asked for, since what is older is
    about to be forgotten, or gone.

    A dry run counts: events that `matching` the subscription from there on, and those of them that
    come `again`, beside what comes anyway; `at_least`: there was no time to count all.
    """

    from_offsets: dict[int, int]
    shortened: bool
    command: int | None = None
    matching: int | None = None
    again: int | None = None
    at_least: bool = False


class CommandView(BaseModel):
    """`waiting`: partitions that have not carried it out yet.  `behind`: offsets that the positions
    of all have still to pass up to the newest event, in which a recover shows once it is carried
    out.
    """

    number: int
    kind: Literal["recover", "retry"]
    created_at: Instant
    from_offsets: dict[int, int] | None = None
    targets: int | None = None
    waiting: list[int]
    behind: int


class CommandList(BaseModel):
    """The oldest first; those that every partition has carried out are forgotten in time."""

    commands: list[CommandView]


def router(context: Context) -> APIRouter:
    """Recover, and what became of commands."""
    routes = APIRouter(prefix="/subscriptions/{name}", tags=["recover"])

    @routes.post("/recover", status_code=202, responses={200: {"model": Recovery}})
    async def recover(name: Id, wish: Wish, response: Response) -> Recovery:
        """Have every matching event from there on once more, each with its id; or count them."""
        found = known(context, name)
        if way_of(found) == "served":
            raise Problem(
                409, "Conflict", f"whoever reads the stream {name} has its cursor: read from there"
            )
        offsets, shortened = await _beginning(context, wish)
        if wish.dry_run:
            response.status_code = 200
            places = await standing_everywhere(context, found)
            counted = await count(context.kafka, found, offsets, places, context.clock)
            return Recovery(
                from_offsets=offsets,
                shortened=shortened,
                matching=counted.matching,
                again=counted.again,
                at_least=not counted.complete,
            )
        now = context.clock.now()
        asked = await order(
            context,
            found,
            lambda number: Recover(
                subscription=name, number=number, created_at=now, from_offsets=offsets
            ),
        )
        response.headers["location"] = f"/v1/subscriptions/{name}/commands/{asked.command}"
        return Recovery(from_offsets=offsets, shortened=shortened, command=asked.command)

    @routes.get("/commands")
    async def list_commands(name: Id) -> CommandList:
        """What was asked of its deliveries."""
        found = known(context, name)
        commands = context.endpoints.commands(name)
        return CommandList(commands=await _views(context, found, commands))

    @routes.get("/commands/{number}")
    async def show_command(name: Id, number: Number) -> CommandView:
        """One of them."""
        found = known(context, name)
        commands = [one for one in context.endpoints.commands(name) if one.number == number]
        for view in await _views(context, found, commands):
            return view
        raise Problem(404, "Not found", f"{name} has no command {number}, or it was done long ago")

    return routes


async def _beginning(context: Context, wish: Wish) -> tuple[dict[int, int], bool]:
    """Raises Problem for a partition there is not, RetryLater."""
    kafka = context.kafka
    oldest = await oldest_safe(kafka, context.clock.now())
    if wish.since is not None:
        wished = await since(kafka, EVENTS, int(wish.since.timestamp() * 1000))
    else:
        wished = wish.from_offsets or {}
    if unknown := wished.keys() - oldest.keys():
        raise Problem(
            422, "Invalid request", f"from_offsets: events has no partition {min(unknown)}"
        )
    return bounded(wished, oldest)


async def _views(
    context: Context, found: Subscription, commands: list[Command]
) -> list[CommandView]:
    if not commands:
        return []
    places = await standing_everywhere(context, found)
    newest = await ends(context.kafka, EVENTS)
    behind = sum(max(0, newest[number] - one.position.offset) for number, one in places.items())
    return [
        CommandView(
            number=command.number,
            kind=command.kind,
            created_at=command.created_at,
            from_offsets=command.from_offsets if isinstance(command, Recover) else None,
            targets=len(command.targets) if isinstance(command, Retry) else None,
            waiting=[n for n, one in places.items() if one.position.command < command.number],
            behind=behind,
        )
        for command in commands
    ]
