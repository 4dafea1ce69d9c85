"""`shipfeed up`: everything on one machine, data in ./.shipfeed."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from console.commands.options import ConfigOption, config_path, wait_for
from console.house import House

NAME = "up"
DATA_DIR = Path(".shipfeed")
ADVICE = """\
No account is configured yet, so there is nothing to poll. Add one to shipfeed.toml:

  [[accounts]]
  source = "zentail"
  name = "acme"
  token = "env:ZENTAIL_TOKEN"
  start_from = "2026-01-01T00:00:00Z"
"""

CopiesOption = Annotated[int, typer.Option("--copies", min=1, max=8, help="of each service")]
DataOption = Annotated[Path, typer.Option("--data", help="folder for the broker and the logs")]


def run(config: ConfigOption = None, copies: CopiesOption = 1, data: DataOption = DATA_DIR) -> None:
    """Run the broker (unless the configuration names one) and all three services until Ctrl-C."""
    wait_for(_up(config_path(config), copies, data))


async def _up(config: Path | None, copies: int, data: Path) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    house = House(config, data, copies=copies)
    try:
        await house.start()
        typer.echo(f"Kafka at {house.kafka.bootstrap_servers}; logs in {data}")
        if not house.config.tables("accounts"):
            typer.echo(ADVICE)
        ends: list[asyncio.Future[Any]] = [asyncio.create_task(stopped.wait()), house.refused]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if house.refused.done():
            house.refused.result()
    finally:
        await house.stop()
