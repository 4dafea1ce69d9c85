"""`shipfeed write-backs`: what was written into other systems, what is held, and why."""

from __future__ import annotations

import json as encoding
from dataclasses import asdict
from typing import Annotated, Any, get_args

import typer

from bus.errors import Misuse
from bus.settings import KafkaSettings
from console.commands.options import (
    ConfigOption,
    CountOption,
    JsonOption,
    KafkaOption,
    alone,
    kafka_settings,
    say,
    show,
    wait_for,
)
from console.writing_back import (
    Filter,
    Found,
    Retried,
    everything,
    moved_at,
    named,
    next_step,
    reason_of,
    retry,
    stage_of,
    wanted_of,
)
from schemas.message import iso
from schemas.write_back import State, WriteBack

NAME = "write-backs"
COLUMNS = ("changed_at", "state", "target", "order", "event_type", "event_id", "says")
COUNT = 50
STATES: tuple[str, ...] = ("wanted", *get_args(State))

app = typer.Typer(help="What was written into other systems, what is held, and why.")

StateOption = Annotated[str, typer.Option("--state", help=", ".join(STATES))]
TargetOption = Annotated[str, typer.Option("--target", help="the name of a [[targets]] table")]
ReasonOption = Annotated[str, typer.Option("--reason", help="some words of the reason")]
NameArgument = Annotated[str, typer.Argument(help="KEY or an event's id, as list shows them")]


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
def list_write_backs(  # noqa: PLR0917 - typer calls it by name
    state: StateOption = "",
    target: TargetOption = "",
    reason: ReasonOption = "",
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    count: CountOption = COUNT,
    json: JsonOption = False,
) -> None:
    """Show those that changed last, and what each says."""
    if state not in {"", *STATES}:
        raise Misuse(f"there is no state {state!r}; there are: {', '.join(STATES)}")
    _list(kafka_settings(config, kafka), Filter(state, target, reason), count, as_json=json)


@app.command("show")
def show_write_back(
    name: NameArgument,
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    json: JsonOption = False,
) -> None:
    """Print all that is known of one: what was wanted, the call, and what to do next."""
    found = named(wait_for(everything(kafka_settings(config, kafka), Filter())), name)
    say(
        [(_story(one), {"key": one.key, **one.model_dump(mode="json")}) for one in found],
        as_json=json,
    )


@app.command("retry")
def retry_write_backs(  # noqa: PLR0917 - typer calls it by name
    names: Annotated[
        list[str] | None, typer.Argument(help="KEY or an event's id ...; left out: --all-held")
    ] = None,
    all_held: Annotated[bool, typer.Option("--all-held", help="all that are held")] = False,
    target: TargetOption = "",
    reason: ReasonOption = "",
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    json: JsonOption = False,
) -> None:
    """Have what is held taken up again: the target is read, and all is decided anew."""
    if bool(names) == all_held or (names and (target or reason)):
        raise Misuse(
            "which ones? name their keys, or say --all-held, which --target and --reason narrow"
        )
    wanted = Filter("held", target, reason)
    came = wait_for(retry(kafka_settings(config, kafka), names or (), wanted))
    say([(_line(one), asdict(one)) for one in came], as_json=json)
    raise typer.Exit(1 if any(one.refused for one in came) else 0)


def _list(kafka: KafkaSettings, wanted: Filter, count: int, *, as_json: bool) -> None:
    rows = [_row(one) for one in wait_for(everything(kafka, wanted))[-count:]]
    columns = ("key", *COLUMNS) if as_json else COLUMNS
    show("write-backs", columns, [[row[c] for c in columns] for row in rows], as_json=as_json)


def _row(one: Found) -> dict[str, Any]:
    wanted = wanted_of(one)
    return {
        "key": one.key,
        "changed_at": moved_at(one),
        "state": stage_of(one),
        "target": wanted.target,
        "order": wanted.order,
        "event_type": wanted.event_type,
        "event_id": wanted.event_id,
        "says": _says(one),
    }


def _says(one: Found) -> str:
    if isinstance(one, WriteBack) and one.state == "done":
        return f"{one.fulfillment_id}{', found there' if one.found else ''}"
    return reason_of(one)


def _story(one: Found) -> str:
    """A line for each thing that is known."""
    wanted = wanted_of(one)
    told: dict[str, object] = {
        "key": one.key,
        "state": stage_of(one),
        "says": _says(one),
        "candidates": ", ".join(one.candidates),
        "next": next_step(one),
        "order": f"{wanted.order or 'not known'}, by {wanted.way} at {wanted.target}",
        "event": f"{wanted.event_type} {wanted.event_id} of {iso(wanted.event_at)}",
        "subscription": wanted.subscription,
        "fulfillment": wanted.fulfillment,
        "package": wanted.package_id,
        "items": _items(one),
        "tracking": _words(wanted.tracking_company, wanted.tracking_number, wanted.tracking_url),
        "shipment": wanted.shipment_id,
    }
    if isinstance(one, WriteBack):
        told |= {
            "calls": one.calls
            and f"{one.calls}, the last at {iso(one.sent_at) if one.sent_at else '?'}",
            "empty reads": one.empty_reads,
            "call": one.call
            and encoding.dumps(one.call.model_dump(mode="json", exclude_defaults=True)),
            "changed at": iso(one.updated_at),
        }
    return "\n".join(f"{name}: {value}" for name, value in told.items() if value) + "\n"


def _items(one: Found) -> str:
    items = wanted_of(one).items
    if items is None:
        return "its source does not say"
    return ", ".join(f"{item.quantity} x {item.sku or 'without a SKU'}" for item in items)


def _words(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)


def _line(one: Retried) -> str:
    outcome = f"wanted again, on {one.to}" if one.to else f"refused: {one.refused}"
    return f"{one.key}: {outcome}"
