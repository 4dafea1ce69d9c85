"""`shipfeed dead-letters`: what was set aside, and why; the record itself; its way again."""

from __future__ import annotations

import base64
import json as encoding
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from bus.errors import Misuse
from bus.settings import KafkaSettings
from console.commands.options import (
    COUNT,
    INSTANT_HELP,
    ConfigOption,
    CountOption,
    JsonOption,
    KafkaOption,
    ReasonOption,
    alone,
    kafka_settings,
    say,
    show,
    wait_for,
)
from console.letters import Filter, Letter
from console.redriving import Redriven, newest, one, redrive
from schemas.dead_letter import originals
from schemas.message import iso
from services.poller.steering import instant

NAME = "dead-letters"
COLUMNS = ("at", "service", "key", "reason", "path", "origin", "place", "size_bytes")

app = typer.Typer(help="List, show and redrive the records that were set aside.")

SourceOption = Annotated[str, typer.Option("--source", help="one system")]
ServiceOption = Annotated[str, typer.Option("--service", help="poller, normalizer or notifier")]
SinceOption = Annotated[str, typer.Option("--since", help=INSTANT_HELP)]
UntilOption = Annotated[str, typer.Option("--until", help="an instant, not included")]
PlaceArgument = Annotated[str, typer.Argument(help="PARTITION/OFFSET, as list shows it")]


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    count: CountOption = COUNT,
    json: JsonOption = False,
) -> None:
    """Without a verb: the same as list."""
    if alone(context, config=config, kafka=kafka, json=json, count=count != COUNT):
        _list(kafka_settings(config, kafka), Filter(), count, as_json=json)


@app.command("list")
def list_letters(  # noqa: PLR0917 - typer calls it by name
    reason: ReasonOption = "",
    source: SourceOption = "",
    service: ServiceOption = "",
    since: SinceOption = "",
    until: UntilOption = "",
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    count: CountOption = COUNT,
    json: JsonOption = False,
) -> None:
    """Show the newest records that could not go on, and why."""
    wanted = _filter(reason, source, service, since, until)
    _list(kafka_settings(config, kafka), wanted, count, as_json=json)


@app.command("show")
def show_letter(
    place: PlaceArgument,
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    json: JsonOption = False,
) -> None:
    """Print why and where from, a blank line, and the record byte for byte."""
    letter = wait_for(one(kafka_settings(config, kafka), place))
    told = {**_told(letter), "headers": _headers(letter)}
    value = letter.record.value or b""
    if json:
        typer.echo(encoding.dumps({**told, **_record(value)}))
        return
    for name, text in (*_told(letter).items(), *_headers(letter).items()):
        typer.echo(f"{name}: {text}")
    typer.echo("")
    sys.stdout.flush()
    sys.stdout.buffer.write(value + b"\n")


@app.command("redrive")
def redrive_letters(  # noqa: PLR0917 - typer calls it by name
    places: Annotated[
        list[str] | None, typer.Argument(help="PARTITION/OFFSET ...; left out: by the options")
    ] = None,
    reason: ReasonOption = "",
    source: SourceOption = "",
    service: ServiceOption = "",
    since: SinceOption = "",
    until: UntilOption = "",
    every: Annotated[bool, typer.Option("--all", help="all there are")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="events that were delivered or are not wanted, too")
    ] = False,
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    json: JsonOption = False,
) -> None:
    """Append records to raw again, as they were, and have events delivered that were not since.

    What fails again is a dead letter again.
    """
    wanted = _filter(reason, source, service, since, until)
    if (bool(places), wanted != Filter(), every).count(True) != 1:
        raise Misuse("which ones? name places as 3/17, or give options such as --source, or --all")
    came = wait_for(redrive(kafka_settings(config, kafka), places or (), wanted, force=force))
    say([(_line(one), asdict(one)) for one in came], as_json=json)
    raise typer.Exit(1 if any(one.refused for one in came) else 0)


def _list(kafka: KafkaSettings, wanted: Filter, count: int, *, as_json: bool) -> None:
    rows = [asdict(row) for row in wait_for(newest(kafka, wanted, count))]
    show("dead letters", COLUMNS, [[row[c] for c in COLUMNS] for row in rows], as_json=as_json)


def _filter(reason: str, source: str, service: str, since: str, until: str) -> Filter:
    """Raises Misuse for what is no instant."""
    return Filter(
        reason,
        source,
        service,
        instant(since, "--since") if since else None,
        instant(until, "--until") if until else None,
    )


def _told(letter: Letter) -> dict[str, Any]:
    why = letter.why
    return {
        "place": letter.place,
        "key": letter.key,
        "service": why.service,
        "at": iso(why.at),
        "reason": why.reason,
        "path": why.path,
        "origin": why.origin,
        "whole": why.whole,
    }


def _headers(letter: Letter) -> dict[str, str]:
    """The record's own, as it had them before."""
    own = originals(letter.record.headers)
    return {name: value.decode(errors="backslashreplace") for name, value in own}


def _record(value: bytes) -> dict[str, str]:
    """As text, or in base64 where it is none."""
    try:
        return {"record": value.decode()}
    except UnicodeDecodeError:
        return {"record_base64": base64.b64encode(value).decode()}


def _line(one: Redriven) -> str:
    outcome = f"refused: {one.refused}"
    if one.to:
        outcome = f"appended to {one.to}"
    elif one.passed_over:
        outcome = f"passed over: {one.passed_over}"
    return f"{one.place} {one.key}: {outcome}"
