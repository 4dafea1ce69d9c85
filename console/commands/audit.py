"""`shipfeed audit`: the demo's audit for services that run elsewhere, as under docker compose."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Annotated

import typer

from bus.clock import SystemClock
from bus.errors import BadConfig
from bus.settings import Config, KafkaSettings
from console.auditing import Outside
from console.commands.options import (
    ConfigOption,
    KafkaOption,
    config_path,
    kafka_settings,
    wait_for,
)
from console.demo import QUIET_SECONDS, Ending
from console.settling import settled
from console.verdict import print_verdict
from services.poller.settings import accounts
from services.poller.source import AccountSettings

NAME = "audit"


def run(
    simulators: Annotated[str, typer.Option(help="the simulators' address")],
    receiver: Annotated[str, typer.Option(help="the receiver's address")],
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    deadline: Annotated[float, typer.Option(min=1, help="seconds to wait at most")] = 300,
) -> None:
    """Wait until all has arrived, then judge it against the worlds' truth."""
    settings = kafka_settings(config, kafka)
    polled = accounts(Config.read(config_path(config)))
    if not polled:
        raise BadConfig("whose polls? name the services' own shipfeed.toml with --config")
    ending = wait_for(_audit(settings, polled, Outside(simulators, receiver), deadline))
    print_verdict(ending)
    raise typer.Exit(0 if ending.ok else 1)


async def _audit(
    kafka: KafkaSettings, polled: Sequence[AccountSettings], outside: Outside, deadline: float
) -> Ending:
    clock = SystemClock()
    began, still = clock.monotonic(), ["the story has not ended"]
    async with outside:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                await outside.world_ended()
                await settled(kafka, polled, clock.now(), still)
        await clock.sleep(QUIET_SECONDS)
        report = await outside.audit(kafka)
        struck, odd = await outside.struck(), await outside.odd()
    return Ending(report, 0, clock.monotonic() - began, still, struck=struck, odd=odd)
