"""`shipfeed demo`: packages ship in every simulated upstream and arrive as signed webhooks."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from bus.clock import SystemClock
from console.auditing import event_line
from console.commands.options import wait_for
from console.demo import Ending, Story, play
from console.tables import DIM, GREEN, print_line
from console.verdict import print_verdict

NAME = "demo"
DURATION_SECONDS = 20.0
DURATION_WITH_KILLS_SECONDS = 40.0
DEADLINE_SECONDS = 60.0
DEADLINE_UNTIL_SETTLED_SECONDS = 300.0
KILLS_EACH = 5
FAULTS_EACH = 8


def run(  # noqa: PLR0917 - typer calls it by name
    seed: Annotated[int, typer.Option(help="fixes everything that happens in the worlds")] = 7,
    orders: Annotated[int, typer.Option(min=1, max=100_000, help="of each system")] = 24,
    duration: Annotated[
        float | None, typer.Option(min=1, help="seconds the worlds go on; 20, with --kill 40")
    ] = None,
    copies: Annotated[int, typer.Option(min=1, max=8, help="of each service")] = 1,
    kill: Annotated[
        bool, typer.Option("--kill", help="SIGKILL each service 5 times while it works")
    ] = False,
    kills: Annotated[int | None, typer.Option(min=1, help="so many kills instead of 5")] = None,
    faults: Annotated[
        bool,
        typer.Option("--faults", help="each simulator meets 8 faults, the receiver an outage"),
    ] = False,
    restart_broker: Annotated[
        bool, typer.Option("--restart-broker", help="restart Kafka half-way")
    ] = False,
    until_settled: Annotated[
        bool, typer.Option("--until-settled", help="wait up to 300 s for the end instead of 60 s")
    ] = False,
    deadline: Annotated[
        float | None, typer.Option(min=1, help="seconds to wait for the end, over the above")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="write the figures as JSON")] = None,
    keep: Annotated[Path | None, typer.Option(help="keep data and logs in this folder")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="only the audit")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print only the figures, as JSON")
    ] = False,
) -> None:
    """Play one story from one seed on a real Kafka, then audit every promise."""
    kill_each = (kills or KILLS_EACH) if kill or kills else 0
    standard = DURATION_WITH_KILLS_SECONDS if kill_each else DURATION_SECONDS
    wait = deadline or (DEADLINE_UNTIL_SETTLED_SECONDS if until_settled else DEADLINE_SECONDS)
    length = duration or standard
    fault_each = FAULTS_EACH if faults else 0
    story = Story(
        seed, orders, length, copies, kill_each, fault_each, restart_broker, wait + length
    )
    ending = _play(story, keep, quiet=quiet or as_json)
    if report is not None:
        report.write_text(json.dumps(ending.as_dict(), indent=2) + "\n", encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(ending.as_dict()))
    else:
        print_verdict(ending)
    raise typer.Exit(0 if ending.ok else 1)


def _play(story: Story, keep: Path | None, *, quiet: bool) -> Ending:
    clock = SystemClock()
    began_at = clock.now()

    def tell(record: dict[str, Any]) -> None:
        if not quiet:
            style = GREEN if record["event"]["type"] == "package.shipped" else DIM
            print_line(event_line(record, began_at), style)

    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        return wait_for(play(story, keep.absolute(), clock, tell))
    with tempfile.TemporaryDirectory(prefix="shipfeed-demo-") as folder:
        return wait_for(play(story, Path(folder), clock, tell))
