"""`shipfeed up`: everything on one machine, data in ./.shipfeed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from functools import partial
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer

from console.commands.options import ConfigOption, JsonOption, config_path, wait_for
from console.house import House
from services.notifier.settings import NotifierSettings

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

AcceptOption = Annotated[
    bool,
    typer.Option(
        "--accept-new-baseline",
        help="start although events exist and the cursors or the state are lost",
    ),
]


def run(
    config: ConfigOption = None,
    copies: CopiesOption = 1,
    data: DataOption = DATA_DIR,
    accept_new_baseline: AcceptOption = False,
    json: JsonOption = False,
) -> None:
    """Run the broker (unless the configuration names one) and all three services until Ctrl-C."""
    house = partial(
        House, config_path(config), data, copies=copies, accept_new_baseline=accept_new_baseline
    )
    wait_for(_up(house, data, as_json=json))


async def _up(build: Callable[[], House], data: Path, *, as_json: bool) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    house = build()
    try:
        await house.start()
        address, advice = house.kafka.bootstrap_servers, ""
        if not house.config.tables("accounts"):
            advice = ADVICE
        api = api_address(house.config.section("notifier", NotifierSettings))
        if as_json:
            typer.echo(dumps({"kafka": address, "api": api, "logs": str(data), "advice": advice}))
        else:
            told = f"; API at {api}" if api else ""
            typer.echo(f"Kafka at {address}{told}; logs in {data}\n{advice}")
        ends: list[asyncio.Future[Any]] = [asyncio.create_task(stopped.wait()), house.refused]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if house.refused.done():
            house.refused.result()
    finally:
        await house.stop()


def api_address(http: NotifierSettings) -> str:
    """Where subscriptions are asked for; nothing when the notifier takes any free port."""
    if not http.http_port:
        return ""
    host = f"[{http.http_host}]" if ":" in http.http_host else http.http_host
    return f"http://{host}:{http.http_port}/v1"
