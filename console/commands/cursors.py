"""`shipfeed cursors`: up to when each stream has read everything; rewind, pause, resume."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from bus import reading
from bus.clock import SystemClock
from bus.errors import Misuse
from bus.settings import Config, KafkaSettings
from console.commands.options import (
    ConfigOption,
    JsonOption,
    KafkaOption,
    alone,
    config_path,
    kafka_settings,
    say,
    show,
    wait_for,
)
from console.cursors import Standing, cursors_of, span, standings
from schemas.cursor import Cursor
from schemas.message import iso
from schemas.topics import CURSORS
from services.poller.operating import change
from services.poller.settings import accounts
from services.poller.source import AccountSettings, Facts
from services.poller.sources import sources
from services.poller.steering import chosen, halted, instant, label_of, one_account, rewound

NAME = "cursors"
COLUMNS = ("source", "account", "stream", "state", "gap", "proven_until", "position", "last_read")

app = typer.Typer(
    help="Show up to when each stream has read everything; rewind, pause or resume it."
)

AccountArgument = Annotated[str, typer.Argument(help="NAME or SOURCE/NAME")]
StreamArgument = Annotated[str, typer.Argument(help="as `shipfeed cursors` shows it")]
AnyStreamArgument = Annotated[
    str | None, typer.Argument(help="as `shipfeed cursors` shows it; left out: every one")
]
ToOption = Annotated[str, typer.Option("--to", help="an instant, such as 2026-01-31T12:00:00Z")]


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    json: JsonOption = False,
) -> None:
    """Without a verb: the same as show."""
    if alone(context, config=config, kafka=kafka, json=json):
        show_cursors(config, kafka, json)


@app.command("show")
def show_cursors(
    config: ConfigOption = None, kafka: KafkaOption = "", json: JsonOption = False
) -> None:
    """Show up to when each stream has read everything, and the gap since."""
    settings, configured = kafka_settings(config, kafka), _configured(config)
    values = wait_for(reading.table(settings, CURSORS))
    rows = standings(values, configured, SystemClock().now())
    if json:
        show("cursors", Standing._fields, rows, as_json=True)
        return
    show("cursors", COLUMNS, [_row(one) for one in rows], as_json=False)
    for one in rows:
        if one.advice:
            typer.echo(f"{one.source}/{one.account} {one.stream}: {one.advice}")


@app.command()
def rewind(  # noqa: PLR0917 - typer calls it by name
    account: AccountArgument,
    stream: StreamArgument,
    to: ToOption,
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    json: JsonOption = False,
) -> None:
    """Have a stream read everything since an instant again; what is unchanged stays silent."""
    since = instant(to, "--to")
    found = _found(kafka_settings(config, kafka), account, stream)
    settings, facts = _facts(_configured(config), found[0])
    become = partial(rewound, facts=facts, settings=settings, to=since)
    _change(kafka_settings(config, kafka), found, become, f"rewound to {iso(since)}", as_json=json)


@app.command()
def pause(
    account: AccountArgument,
    stream: AnyStreamArgument = None,
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    json: JsonOption = False,
) -> None:
    """Have a stream, or all of an account, ask nothing more until it is resumed."""
    settings = kafka_settings(config, kafka)
    found = _found(settings, account, stream)
    _change(settings, found, partial(halted, paused=True), "paused", as_json=json)


@app.command()
def resume(
    account: AccountArgument,
    stream: AnyStreamArgument = None,
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    json: JsonOption = False,
) -> None:
    """Let what was paused go on from where it stood."""
    settings = kafka_settings(config, kafka)
    found = _found(settings, account, stream)
    _change(settings, found, partial(halted, paused=False), "resumed", as_json=json)


def _change(
    kafka: KafkaSettings,
    found: list[Cursor],
    become: Callable[[Cursor], Cursor],
    word: str,
    *,
    as_json: bool,
) -> None:
    changes = wait_for(change(kafka, found, become))
    say(
        (
            (
                f"{label_of(after)} {after.stream}: "
                + (f"was {word} already" if before == after else _done(before, after, word)),
                {
                    "source": after.source,
                    "account": after.account,
                    "stream": after.stream,
                    "changed": before != after,
                    "paused": after.paused,
                    "position": after.position,
                    "position_before": before.position,
                },
            )
            for before, after in changes
        ),
        as_json=as_json,
    )


def _done(before: Cursor, after: Cursor, word: str) -> str:
    from_where = f" from {before.position}" if before.position != after.position else ""
    dropped = ", its unfinished pass is dropped" if before.sweep and not after.sweep else ""
    return f"{word}{from_where}{dropped}; its poller takes it up at its next commit"


def _row(one: Standing) -> tuple[Any, ...]:
    """For people: instants to the second."""
    times = [at and iso(at.replace(microsecond=0)) for at in (one.proven_until, one.succeeded_at)]
    names = (one.source, one.account, one.stream, one.state)
    return (*names, span(one.gap_seconds), times[0], one.position, times[1])


def _found(kafka: KafkaSettings, account: str, stream: str | None) -> list[Cursor]:
    return chosen(cursors_of(wait_for(reading.table(kafka, CURSORS))), account, stream)


def _configured(config: Path | None) -> list[AccountSettings]:
    return accounts(Config.read(config_path(config)), secrets=False)


def _facts(configured: list[AccountSettings], cursor: Cursor) -> tuple[AccountSettings, Facts]:
    """What the configuration says of a cursor's stream.  Raises Misuse."""
    by_label = {one.label: one for one in configured}
    label = one_account(label_of(cursor), by_label, "its [[accounts]] table is needed, --config")
    for stream in sources()[cursor.source].streams(by_label[label]):
        if stream.facts.name == cursor.stream:
            return by_label[label], stream.facts
    raise Misuse(f"{label} is not configured to have a stream {cursor.stream!r}")
