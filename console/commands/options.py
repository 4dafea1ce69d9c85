"""Options and output that the commands share."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from bus.embedded import address_in
from bus.errors import BadConfig, Misuse
from bus.settings import UNNAMED, Config, KafkaSettings, broker_addresses
from console.tables import print_table

CONFIG_FILE = Path("shipfeed.toml")
DATA_FOLDER = Path(".shipfeed")
CONNECT_SECONDS = 2.0  # to a broker on this machine
T = TypeVar("T")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="shipfeed.toml; left out: the one in this folder")
]
KafkaOption = Annotated[
    str,
    typer.Option("--kafka", help="HOST:PORT; left out: as configured, or of the `up` running here"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON, one object a line")]
CountOption = Annotated[int, typer.Option("--count", min=1, max=10_000, help="how many at most")]
COUNT = 50  # what is shown without --count
ReasonOption = Annotated[str, typer.Option("--reason", help="some words of the reason")]
INSTANT_HELP = "an instant, as 2026-01-31T12:00:00Z"


def config_path(given: Path | None) -> Path | None:
    """The file named, or the one in this folder, or none."""
    return given or (CONFIG_FILE if CONFIG_FILE.exists() else None)


def kafka_settings(config: Path | None, address: str) -> KafkaSettings:
    """Where the topics are: --kafka, else the configuration, else the broker of `shipfeed up` in
    this folder.  Raises BadConfig, Misuse.
    """
    read = Config.read(config_path(config))
    if address:
        try:
            broker_addresses(address)
        except ValueError as error:
            raise Misuse(f"--kafka: {error}") from error
        return read.over("kafka", bootstrap_servers=address).section("kafka", KafkaSettings)
    kafka = read.section("kafka", KafkaSettings)
    if kafka.bootstrap_servers not in {"", UNNAMED}:
        return kafka
    running = running_broker(DATA_FOLDER)
    return kafka.model_copy(update={"bootstrap_servers": running})


def running_broker(data: Path) -> str:
    """The address of the broker that `shipfeed up` runs on a folder.  Raises BadConfig."""
    say_which = "pass --kafka HOST:PORT, set [kafka] bootstrap_servers, or start `shipfeed up` here"
    address = address_in(data / "kafka")
    if address is None:
        raise BadConfig(f"no Kafka configured, and no {data} of a `shipfeed up` here: {say_which}")
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise BadConfig(
            f"no Kafka configured, and the broker of {data} ({address}) does not run: {say_which}"
        ) from error
    return address


def alone(context: typer.Context, **given: object) -> bool:
    """Whether a noun was said without a verb.  Raises Misuse for options before a verb."""
    if context.invoked_subcommand is None:
        return True
    if any(given.values()):
        raise Misuse(f"put options after the verb: {context.command_path} VERB ... --OPTION")
    return False


def say(lines: Iterable[tuple[str, Mapping[str, Any]]], *, as_json: bool) -> None:
    """What was done, a line each: for people, or as the JSON object beside it."""
    for text, told in lines:
        typer.echo(json.dumps(told, default=str) if as_json else text)


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run to its end; Ctrl-C ends it without a traceback."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def show(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, as_json: bool
) -> None:
    """A table for people, or one JSON object a row."""
    if as_json:
        for row in rows:
            typer.echo(json.dumps(dict(zip(columns, row, strict=True)), default=str))
        return
    print_table(title, columns, rows)
