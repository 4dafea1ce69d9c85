"""One story from one seed: a simulated upstream, all three services, a receiver, an audit.

The broker, the simulator, the receiver and each copy of each service are processes of their own;
with `kills`, services are killed while they work.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from bus.clock import Clock
from console.auditing import Outside
from console.house import SERVICES, House
from console.processes import Kept
from console.settling import settled
from schemas.message import iso
from testbed.audit import Report
from testbed.mayhem import kills

FOLLOW_SECONDS = 0.2
PAGE_SIZE = 25  # small, so that ties and drift cross page borders
MARGIN_SECONDS = 4.0
QUIET_SECONDS = 2.0
TOKEN = "demo-token"  # noqa: S105 - for the simulator on this machine only

CONFIG = """\
[kafka]
session_timeout_ms = 1500
transaction_timeout_ms = 3000

[poller]
recheck_seconds = 2

[notifier]
allow_networks = ["127.0.0.0/8"]
retry_schedule_seconds = [0.2, 0.5, 1, 2, 2, 5, 5, 5, 10, 10]

[[accounts]]
source = "zentail"
name = "acme"
base_url = "{simulator}"
token = "file:{folder}/token"
start_from = "{start_from}"
poll_interval_seconds = 1
settle_interval_seconds = 3

[[subscriptions]]
name = "demo"
types = ["*"]
start_from = "earliest"
backfill = true
channel = {{ type = "webhook", url = "{receiver}/hooks", secret = "file:{folder}/secret" }}
"""


@dataclass(frozen=True, slots=True)
class Story:
    """What is played.  Durations in seconds; `kill_each` SIGKILLs of every service."""

    seed: int
    orders: int
    duration: float
    copies: int
    kill_each: int
    restart_broker: bool
    deadline: float


@dataclass(slots=True)
class Ending:
    """How it ended; `disturbed`: something was killed or restarted, so a repeat is excused."""

    report: Report
    kills: int
    seconds: float
    unsettled: list[str] = field(default_factory=list)
    disturbed: bool = False

    @property
    def ok(self) -> bool:
        """Nothing missing, doubled or wrong, and nothing sent again without a reason."""
        excused = self.disturbed or self.report.redelivered == 0
        return self.report.clean and excused and not self.unsettled

    def as_dict(self) -> dict[str, Any]:
        """The figures, in all and by source."""
        extra = {"kills": self.kills, "seconds": round(self.seconds, 1)}
        found = {**self.report.as_dict(), **extra, "unsettled": self.unsettled}
        sources = self.report.by_source.items()
        found["by_source"] = {name: {**asdict(figures), **extra} for name, figures in sources}
        return found


Tell = Callable[[dict[str, Any]], None]


async def play(story: Story, folder: Path, clock: Clock, tell: Tell) -> Ending:
    """Play it in `folder`.  `tell` gets each received event's record.  Raises Stop."""
    began = clock.monotonic()
    async with AsyncExitStack() as stack:
        simulator, receiver = await _start_outside(story, folder, stack)
        outside = await stack.enter_async_context(Outside(simulator, receiver))
        config = _write_config(folder, simulator, receiver, clock.now())
        house = House(config, folder / "shipfeed", copies=story.copies)
        stack.push_async_callback(house.stop)
        await house.start()
        following = asyncio.create_task(_follow(outside, tell))
        stack.callback(following.cancel)
        harm = asyncio.create_task(_harm(story, house, clock))
        stack.callback(harm.cancel)
        unsettled = await _settle(story, house, outside, clock, harm)
        await clock.sleep(QUIET_SECONDS)
        report = await outside.audit(house.kafka)
        count = sum(child.kills for child in house.children)
    disturbed = story.kill_each > 0 or story.restart_broker
    return Ending(report, count, clock.monotonic() - began, unsettled, disturbed)


async def _start_outside(story: Story, folder: Path, stack: AsyncExitStack) -> tuple[str, str]:
    """The simulator's and the receiver's addresses, both running."""
    secret = "whsec_" + base64.b64encode(sha256(f"demo {story.seed}".encode()).digest()).decode()
    (folder / "token").write_text(TOKEN, encoding="utf-8")
    (folder / "secret").write_text(secret, encoding="utf-8")
    world = ["--seed", str(story.seed), "--orders", str(story.orders)]
    world += ["--duration", str(story.duration), "--token", TOKEN]
    world += ["--page-size-max", str(PAGE_SIZE)]
    journal = ["--secret", secret, "--journal", str(folder / "received.jsonl")]
    addresses = []
    for name, module, arguments in (
        ("receiver", "testbed.receiver", journal),
        ("simulator", "testbed.simulators", world),
    ):
        child = Kept(name, module, arguments, folder / f"{name}.log")
        stack.push_async_callback(child.stop)
        addresses.append((await child.start(announces=True))["base_url"])
    return addresses[1], addresses[0]


def _write_config(folder: Path, simulator: str, receiver: str, started_at: datetime) -> Path:
    path = folder / "shipfeed.toml"
    start_from = iso(started_at - timedelta(hours=1))
    text = CONFIG.format(
        simulator=simulator, receiver=receiver, folder=folder, start_from=start_from
    )
    path.write_text(text, encoding="utf-8")
    return path


async def _follow(outside: Outside, tell: Tell) -> None:
    """Hand on what the receiver got, as it comes."""
    count = 0
    while True:
        for record in await outside.received(count):
            tell(record)
            count += 1
        await asyncio.sleep(FOLLOW_SECONDS)


async def _harm(story: Story, house: House, clock: Clock) -> None:
    """Kill what the story says, when it says so; the house starts it again."""
    began = clock.monotonic()
    plan = kills(
        story.seed,
        SERVICES,
        each=story.kill_each,
        copies=story.copies,
        begin=2.0,
        end=max(story.duration, 6.0),
    )
    restarting = asyncio.create_task(_restart_broker(story, house, clock))
    for kill in plan:
        await clock.sleep(max(0.0, began + kill.at_seconds - clock.monotonic()))
        await house.of(kill.service)[kill.copy].kill()
    await restarting


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
        await outside.world_ended()
        ended_at = clock.now()
        await harm
        await settled(house.kafka, ended_at, MARGIN_SECONDS, still)

    settling = asyncio.ensure_future(settle())
    ends = [settling, house.refused]
    try:
        await asyncio.wait(ends, timeout=story.deadline, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            if end.done():
                end.result()
    finally:
        settling.cancel()
    return still
