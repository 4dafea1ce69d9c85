"""`shipfeed audit`: the demo's audit for services that run elsewhere, as under docker compose."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated

import typer

from bus.clock import SystemClock
from bus.settings import KafkaSettings
from console.auditing import Outside
from console.commands.options import ConfigOption, KafkaOption, kafka_settings, wait_for
from console.demo import MARGIN_SECONDS, QUIET_SECONDS, Ending
from console.settling import settled
from console.verdict import print_verdict

NAME = "audit"


def run(
    simulator: Annotated[str, typer.Option(help="the simulator's address")],
    receiver: Annotated[str, typer.Option(help="the receiver's address")],
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    deadline: Annotated[float, typer.Option(min=1, help="seconds to wait at most")] = 300,
) -> None:
    """Wait until all has arrived, then judge it against the world's truth."""
    settings = kafka_settings(config, kafka)
    ending = wait_for(_audit(settings, simulator, receiver, deadline))
    print_verdict(ending)
    raise typer.Exit(0 if ending.ok else 1)


async def _audit(kafka: KafkaSettings, simulator: str, receiver: str, deadline: float) -> Ending:
    clock = SystemClock()
    began, still = clock.monotonic(), ["the story has not ended"]
    async with Outside(simulator, receiver) as outside:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                await outside.world_ended()
                await settled(kafka, clock.now(), MARGIN_SECONDS, still)
        await clock.sleep(QUIET_SECONDS)
        report = await outside.audit(kafka)
    return Ending(report, 0, clock.monotonic() - began, still)
