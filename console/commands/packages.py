"""`shipfeed packages`: every package and its state; a fulfillment read again, or forgotten."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from bus import reading
from bus.clock import SystemClock
from bus.settings import Config, KafkaSettings
from console.commands.options import (
    COUNT,
    ConfigOption,
    CountOption,
    JsonOption,
    KafkaOption,
    alone,
    config_path,
    kafka_settings,
    say,
    show,
    wait_for,
)
from console.forgetting import Forgettable, known, let_go
from console.refreshing import read_again
from console.unreadable import readable
from schemas.fulfillment import Fulfillment
from schemas.topics import FULFILLMENTS
from services.poller.refreshing import Refreshed

NAME = "packages"
COLUMNS = ("source", "account", "orders", "package", "status", "carrier", "tracking", "shipped_at")

app = typer.Typer(help="Show every known package and its state; refresh or forget a fulfillment.")

KeyArgument = Annotated[str, typer.Argument(help="SOURCE/ACCOUNT/RESOURCE/ID, as on every topic")]


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    count: CountOption = COUNT,
    json: JsonOption = False,
) -> None:
    """Without a verb: show the packages of the fulfillments that changed last."""
    if alone(context, config=config, kafka=kafka, json=json, count=count != COUNT):
        settings = kafka_settings(config, kafka)
        show("packages", COLUMNS, wait_for(_rows(settings))[-count:], as_json=json)


@app.command()
def refresh(
    key: KeyArgument,
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    json: JsonOption = False,
) -> None:
    """Read one fulfillment again from its upstream; it is written only where it has changed."""
    settings, found = kafka_settings(config, kafka), Config.read(config_path(config))
    read = wait_for(read_again(settings, found, key, SystemClock()))
    say([(_line(key, read), {"key": key, **asdict(read)})], as_json=json)
    raise typer.Exit(0 if read.came in ("unchanged", "written") else 1)


@app.command("forget")
def forget_fulfillment(
    key: KeyArgument,
    yes: Annotated[bool, typer.Option("--yes", help="do it; without: only say what goes")] = False,
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    json: JsonOption = False,
) -> None:
    """Remove all that is remembered of one fulfillment: its next sight is a first sight."""
    settings = kafka_settings(config, kafka)
    found = wait_for(known(settings, key))
    if yes:
        wait_for(let_go(settings, key))
    told = {**asdict(found), "forgotten": yes}
    say([("\n  ".join(_forgotten(found, done=yes)), told)], as_json=json)


def _line(key: str, read: Refreshed) -> str:
    line = f"{key}: {read.came}"
    if read.came == "written":
        line += " to raw"
    if read.detail:
        line += f"; {read.detail}"
    return line + (f"; {read.others} others changed too" if read.others else "")


def _forgotten(found: Forgettable, *, done: bool) -> list[str]:
    """What has gone, or would go, and what is told again because of it."""
    what = "no state is stored; what its poller remembers of it"
    if found.status:
        what = f"its state ({found.status}, revision {found.revision}, packages: {found.packages}) "
        what += "and what its poller remembers of it"
    told = " ".join(found.announced) or "nothing yet"
    new = "what its upstream still shows is new when it is next read, and is announced as new; "
    return [
        f"{found.key}: " + ("forgotten" if done else "nothing is done yet; say --yes"),
        ("gone: " if done else "would go: ") + what,
        f"{new}package.shipped has been told of: {told}",
        "raw, events and dead-letters keep their records of it until these expire",
    ]


async def _rows(kafka: KafkaSettings) -> list[tuple[Any, ...]]:
    values = await reading.table(kafka, FULFILLMENTS)
    found = readable(FULFILLMENTS, values.items(), Fulfillment.model_validate_json)
    return [
        (
            one.source,
            one.account,
            " ".join(order.number or order.id for order in one.orders),
            package.id,
            package.status,
            package.carrier.name_raw if package.carrier else None,
            " ".join(tracking.number or "" for tracking in package.trackings),
            package.shipped_at,
        )
        for one in sorted([state for _, state in found], key=lambda one: one.observed_at)
        for package in one.packages
    ]
