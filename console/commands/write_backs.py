"""`shipfeed write-backs`: what was written into other systems, what is held, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn, get_args

import typer

from bus.clock import SystemClock
from bus.errors import Misuse
from bus.settings import Config, KafkaSettings
from console.commands.options import (
    COUNT,
    INSTANT_HELP,
    ConfigOption,
    CountOption,
    JsonOption,
    KafkaOption,
    ReasonOption,
    alone,
    config_path,
    kafka_settings,
    say,
    show,
    wait_for,
)
from console.previewing import open_configured, rehearse
from console.redelivering import write_back
from console.rehearsing import Outcome, Rehearsed
from console.wording import WORDS, row, scene, story
from console.writing_back import (
    NOTHING,
    Filter,
    Retried,
    everything,
    named,
    retry,
    settle,
)
from schemas.write_back import State
from services.notifier.target import WriteTarget
from services.poller.steering import instant

NAME = "write-backs"
COLUMNS = ("changed_at", "state", "target", "order", "event_type", "event_id", "says")
EARLIEST = "earliest"
STATES: tuple[str, ...] = ("wanted", *get_args(State))

app = typer.Typer(help="List, show, retry, settle and send what is written into other systems.")

StateOption = Annotated[str, typer.Option("--state", help=", ".join(STATES))]
TargetOption = Annotated[str, typer.Option("--target", help="name of a target")]
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
        [(story(one), {"key": one.key, **one.model_dump(mode="json")}) for one in found],
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
    if not came:
        typer.echo("nothing that is held matches; `shipfeed write-backs list` shows all", err=True)
    say([(_line(one), asdict(one)) for one in came], as_json=json)
    raise typer.Exit(1 if any(one.refused for one in came) else 0)


@app.command("settle")
def settle_write_back(  # noqa: PLR0917 - typer calls it by name
    name: NameArgument,
    became: Annotated[
        str, typer.Option("--as", help="id of the fulfillment that it became at the target")
    ] = "",
    nothing: Annotated[
        bool, typer.Option("--nothing", help="it became nothing, and nothing is to be done")
    ] = False,
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    json: JsonOption = False,
) -> None:
    """Settle a held one for good, after you dealt with it by hand.

    The fulfillment is looked up at the target first.
    """
    fulfillment_id = became.strip()
    if bool(fulfillment_id) == nothing:
        raise Misuse(
            "pass either --as FULFILLMENT or --nothing: what it became at the target, or that "
            "nothing is to be done"
        )
    read, settings = Config.read(config_path(config)), kafka_settings(config, kafka)

    def target_of(name: str) -> WriteTarget:
        return open_configured(read, settings, name, SystemClock())[1]

    one = wait_for(settle(settings, name, fulfillment_id or None, target_of))
    told = {"key": one.key, "fulfillment_id": one.fulfillment_id}
    say([(f"{one.key}: done, as {one.fulfillment_id or NOTHING}", told)], as_json=json)


@app.command("send")
def send_write_backs(  # noqa: PLR0917 - typer calls it by name
    name: Annotated[str, typer.Argument(help="of a subscription that writes back")],
    since: Annotated[str, typer.Option("--since", help=f'{INSTANT_HELP}, or "earliest"')],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print what would be sent; call and write nothing")
    ] = False,
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    count: CountOption = COUNT,
    json: JsonOption = False,
) -> None:
    """Have what matches since an instant written back; what is done stays done."""
    at = None if since == EARLIEST else instant(since, "--since")
    settings = kafka_settings(config, kafka)
    if dry_run:
        _rehearse(config, settings, name, at, count, as_json=json)
    if count != COUNT:
        raise Misuse("--count says how much --dry-run looks at; without it all that match are sent")
    command, shortened = wait_for(write_back(settings, name, at))
    told = {"subscription": name, "command": command.number, "shortened": shortened}
    later = "; what is older is not kept, or about to be forgotten" if shortened else ""
    line = f"{name}: asked by command {command.number}; what is done stays done{later}"
    say([(line, told)], as_json=json)


def _rehearse(
    config: Path | None,
    kafka: KafkaSettings,
    name: str,
    at: datetime | None,
    count: int,
    *,
    as_json: bool,
) -> NoReturn:
    found: Counter[Outcome] = Counter()

    def tell(one: Rehearsed) -> None:
        found[one.outcome] += 1
        say([(scene(one), asdict(one))], as_json=as_json)

    read = Config.read(config_path(config))
    matching = wait_for(
        rehearse(read, kafka, name, at, count=count, clock=SystemClock(), tell=tell)
    )
    if not as_json:
        parts = [f"{number} {WORDS[outcome]}" for outcome, number in found.items()]
        more = f" (the oldest {count}; --count takes more)" if matching > found.total() else ""
        typer.echo(
            f"{matching} match{more}: {', '.join(parts) or 'nothing'}; nothing was sent or written"
        )
    raise typer.Exit(1 if found["unread"] else 0)


def _list(kafka: KafkaSettings, wanted: Filter, count: int, *, as_json: bool) -> None:
    rows = [row(one) for one in wait_for(everything(kafka, wanted))[-count:]]
    columns = ("key", *COLUMNS) if as_json else COLUMNS
    show("write-backs", columns, [[row[c] for c in columns] for row in rows], as_json=as_json)


def _line(one: Retried) -> str:
    outcome = f"wanted again, on {one.to}" if one.to else f"refused: {one.refused}"
    return f"{one.key}: {outcome}"
