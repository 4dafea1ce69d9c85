"""One story from one seed: every simulated upstream, all three services, a receiver, an audit.

The broker, the simulators, the receiver and each copy of each service are processes; services are
killed and upstreams misbehave while they work, when the story says so.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2

from bus import reading
from bus.clock import Clock
from console.auditing import Outside
from console.house import SERVICES, House
from console.processes import Kept
from console.settling import settled
from console.staging import ACCOUNT, PROBE_SECONDS_MAX, Stage
from schemas.keys import split
from schemas.message import iso
from schemas.topics import DELIVERIES
from services.poller.settings import accounts
from testbed.audit import Report
from testbed.mayhem import OUTAGE_SECONDS, kills, outage, strikes

FOLLOW_SECONDS = 0.2
PAGE_SIZE = 25  # small, so that ties and drift cross page borders
QUIET_SECONDS = 2.0
HARM_BEGINS_SECONDS = 2.0
START_SECONDS_MAX = 60.0  # until each system is asked for the first time
DELIVERED_PER_SECOND = 100  # to one subscriber, on the slowest machine
CAUGHT_UP_MARGIN_SECONDS = 10
TOKEN = "demo-token"  # noqa: S105 - for the simulators on this machine only


@dataclass(frozen=True, slots=True)
class Story:
    """What is played.  Durations in seconds; `orders` of every system.

    `kill_each` SIGKILLs of every service, `fault_each` faults of every simulator.
    """

    seed: int
    orders: int
    duration: float
    copies: int
    kill_each: int
    fault_each: int
    restart_broker: bool
    deadline: float


@dataclass(frozen=True, slots=True)
class Outage:
    """The subscriber was away; `backlog` deliveries of then arrived so long after its return."""

    away_seconds: float
    backlog: int
    caught_up_seconds: float

    @property
    def bound_seconds(self) -> float:
        """How long that may take: up to the next probe, then as fast as deliveries go."""
        backlog_seconds = self.backlog / DELIVERED_PER_SECOND
        return PROBE_SECONDS_MAX + backlog_seconds + CAUGHT_UP_MARGIN_SECONDS

    def as_dict(self) -> dict[str, float]:
        """Its figures, the bound too."""
        return {**asdict(self), "bound_seconds": round(self.bound_seconds, 1)}


@dataclass(slots=True)
class Ending:
    """How it ended; `disturbed`: something was killed or restarted, so a repeat is excused.

    `struck` counts by source the requests and writes that met a fault, `odd` by kind the records
    that were shown oddly.
    """

    report: Report
    kills: int
    seconds: float
    unsettled: list[str] = field(default_factory=list)
    disturbed: bool = False
    struck: Mapping[str, int] = field(default_factory=dict)
    outage: Outage | None = None
    odd: Mapping[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Nothing missing, doubled, wrong or late, and nothing sent again without a reason."""
        excused = self.disturbed or (self.report.redelivered == 0 and not self.late)
        return self.report.clean and excused and not self.unsettled

    @property
    def late(self) -> bool:
        """Whether the subscriber waited for longer than it may once it was back."""
        outage = self.outage
        return outage is not None and outage.caught_up_seconds > outage.bound_seconds

    def as_dict(self) -> dict[str, Any]:
        """The figures, in all and by source."""
        extra = {"kills": self.kills, "seconds": round(self.seconds, 1)}
        figures = {name: asdict(one) for name, one in self.report.by_source.items()}
        by_source = {
            name: {**one, "faults": self.struck.get(name, 0), **extra}
            for name, one in figures.items()
        }
        faults = sum(self.struck.values())
        whole = {**self.report.as_dict(), "faults": faults, **extra, "unsettled": self.unsettled}
        whole["odd"] = dict(self.odd)
        if self.outage is not None:
            whole["outage"] = self.outage.as_dict()
        return {**whole, "by_source": by_source}


Tell = Callable[[dict[str, Any]], None]


async def play(story: Story, folder: Path, clock: Clock, tell: Tell) -> Ending:
    """Play it in `folder`.  `tell` gets each received event's record.  Raises Stop."""
    began = clock.monotonic()
    async with AsyncExitStack() as stack:
        simulators, subscriber = await _start_outside(story, folder, stack)
        outside = await stack.enter_async_context(Outside(simulators, subscriber.url))
        config = await _write_config(folder, outside, subscriber.url, clock.now())
        house = House(config, folder / "shipfeed", copies=story.copies)
        stack.push_async_callback(house.stop)
        await house.start()
        following = asyncio.create_task(_follow(outside, tell))
        stack.callback(following.cancel)
        await _unless_refused(house, outside.begin(), START_SECONDS_MAX)
        harm = asyncio.create_task(_harm(story, house, outside, subscriber, clock))
        stack.callback(harm.cancel)
        unsettled = await _settle(story, house, outside, clock, harm)
        await clock.sleep(QUIET_SECONDS)
        report, struck = await outside.audit(house.kafka), await outside.struck()
        odd = await outside.odd()
        count = sum(child.kills for child in house.children)
    disturbed = story.kill_each > 0 or story.restart_broker
    seconds = clock.monotonic() - began
    return Ending(report, count, seconds, unsettled, disturbed, struck, subscriber.outage, odd)


class Subscriber:
    """The receiver of all events, a process that can go away for a while."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self.url = ""
        self.outage: Outage | None = None
        self._arguments, self._log = arguments, log
        self._child: Kept | None = None

    async def start(self) -> None:
        """Start it, at the address that it had before."""
        port = self.url.rpartition(":")[2] or "0"
        arguments = [*self._arguments, "--port", port]
        self._child = Kept("receiver", "testbed.receiver", arguments, self._log)
        self.url = (await self._child.start(announces=True))["base_url"]

    async def stop(self) -> None:
        """Its journal stays."""
        if self._child is not None:
            await self._child.stop()

    async def go_away(self, house: House, outside: Outside, clock: Clock) -> None:
        """Be away for `OUTAGE_SECONDS`; return when all that waited then has arrived."""
        await self.stop()
        await clock.sleep(OUTAGE_SECONDS)
        deliveries = (split(key) for key in await reading.table(house.kafka, DELIVERIES))
        backlog = {name for _, name in deliveries if name != "position"}
        await self.start()
        back_at, count, waiting = clock.monotonic(), 0, set(backlog)
        while waiting:
            records = await outside.received(count)
            count += len(records)
            waiting -= {one["webhook_id"] for one in records if one["status"] == HTTPStatus.OK}
            await clock.sleep(FOLLOW_SECONDS)
        caught_up_seconds = round(clock.monotonic() - back_at, 1)
        self.outage = Outage(OUTAGE_SECONDS, len(backlog), caught_up_seconds)


async def _start_outside(
    story: Story, folder: Path, stack: AsyncExitStack
) -> tuple[str, Subscriber]:
    """The simulators' address and the receiver, both running."""
    secret = "whsec_" + base64.b64encode(sha256(f"demo {story.seed}".encode()).digest()).decode()
    (folder / "token").write_text(TOKEN, encoding="utf-8")
    (folder / "secret").write_text(secret, encoding="utf-8")
    world = ["--seed", str(story.seed), "--orders", str(story.orders), "--account", ACCOUNT]
    world += ["--duration", str(story.duration), "--token", TOKEN]
    world += ["--page-size-max", str(PAGE_SIZE), "--hold", "--odd"]
    journal = ["--secret", secret, "--journal", str(folder / "received.jsonl")]
    subscriber = Subscriber(journal, folder / "receiver.log")
    stack.push_async_callback(subscriber.stop)
    await subscriber.start()
    simulators = Kept("simulators", "testbed.simulators", world, folder / "simulators.log")
    stack.push_async_callback(simulators.stop)
    return (await simulators.start(announces=True))["base_url"], subscriber


async def _write_config(
    folder: Path, outside: Outside, receiver: str, started_at: datetime
) -> Path:
    path = folder / "shipfeed.toml"
    stage = Stage(
        await outside.base_urls(),
        f"{receiver}/hooks",
        ["127.0.0.0/8"],
        token=f"file:{folder}/token",
        secret=f"file:{folder}/secret",
        start_from=iso(started_at - timedelta(hours=1)),
    )
    path.write_text(stage.configuration(), encoding="utf-8")
    return path


async def _follow(outside: Outside, tell: Tell) -> None:
    """Hand on what the receiver got, as it comes."""
    count = 0
    while True:
        with suppress(httpx2.TransportError):  # it may be away
            for record in await outside.received(count):
                tell(record)
                count += 1
        await asyncio.sleep(FOLLOW_SECONDS)


async def _harm(
    story: Story, house: House, outside: Outside, subscriber: Subscriber, clock: Clock
) -> None:
    """All that the story says is to go wrong; nothing does any more when this returns."""
    began, end = clock.monotonic(), max(story.duration, HARM_BEGINS_SECONDS + 4)
    span = {"begin": HARM_BEGINS_SECONDS, "end": end}
    killed = kills(story.seed, SERVICES, each=story.kill_each, copies=story.copies, **span)
    struck = strikes(story.seed, await outside.known_faults(), each=story.fault_each, **span)

    async def until(at_seconds: float) -> None:
        await clock.sleep(max(0.0, began + at_seconds - clock.monotonic()))

    async def kill() -> None:
        for one in killed:
            await until(one.at_seconds)
            await house.of(one.service)[one.copy].kill()

    async def strike() -> None:
        for one in struck:
            await until(one.at_seconds)
            await outside.strike(one.source, one.fault)
        await until(end if struck else 0)
        # On a slow machine what was killed may not have asked for anything yet.
        while struck and not all((await outside.struck()).values()):
            await clock.sleep(FOLLOW_SECONDS)
        await outside.clear_faults()

    async def take_away() -> None:
        if story.fault_each:
            await until(outage(story.seed, **span))
            await subscriber.go_away(house, outside, clock)

    async with asyncio.TaskGroup() as group:
        for harm in (kill(), strike(), take_away(), _restart_broker(story, house, clock)):
            group.create_task(harm)


async def _restart_broker(story: Story, house: House, clock: Clock) -> None:
    if story.restart_broker:
        await clock.sleep(story.duration / 2)
        await house.restart_broker()


async def _settle(
    story: Story, house: House, outside: Outside, clock: Clock, harm: asyncio.Task[None]
) -> list[str]:
    """What had not arrived at the deadline; empty when all is settled.  Raises Stop."""
    still = ["the story has not ended"]

    async def settle() -> None:
        await harm
        await outside.world_ended()
        await settled(house.kafka, accounts(house.config), clock.now(), still)

    await _unless_refused(house, settle(), story.deadline)
    return still


async def _unless_refused(house: House, work: Coroutine[Any, Any, None], seconds: float) -> None:
    """Do it for at most so long.  Raises Stop as soon as a service refuses to go on."""
    working = asyncio.ensure_future(work)
    ends = [working, house.refused]
    try:
        await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            if end.done():
                end.result()
    finally:
        working.cancel()
