"""`shipfeed accounts`: is an account well?"""

from __future__ import annotations

from typing import Annotated

import typer

from bus.clock import SystemClock
from bus.settings import Config
from console.commands.options import ConfigOption, JsonOption, config_path, show, wait_for
from services.poller.checking import Verdict, check
from services.poller.settings import PollerSettings, account

NAME = "accounts"
COLUMNS = ("check", "ok", "says")

app = typer.Typer(help="Check that an account can be read.", no_args_is_help=True)


@app.callback()
def run() -> None:
    """Is an account well?"""


@app.command("check")
def check_account(
    name: Annotated[str, typer.Argument(help="NAME or SOURCE/NAME")],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Try the credential, its rights, the clocks and one page of each stream; writes nothing."""
    found = Config.read(config_path(config))
    settings = account(found, name)
    poller = found.section("poller", PollerSettings)
    verdicts = wait_for(check(settings, SystemClock(), poller.request_timeout_seconds))
    if json:
        show("", COLUMNS, [(one.check, one.ok, one.says) for one in verdicts], as_json=True)
    else:
        for one in verdicts:
            typer.echo(_line(one))
        typer.echo(f"{settings.label}: {_well(verdicts)}")
    raise typer.Exit(0 if all(one.ok for one in verdicts) else 1)


def _line(verdict: Verdict) -> str:
    return f"{'ok   ' if verdict.ok else 'WRONG'} {verdict.check:<18} {verdict.says}"


def _well(verdicts: list[Verdict]) -> str:
    wrong = sum(not one.ok for one in verdicts)
    return f"{wrong} of {len(verdicts)} checks not well" if wrong else "well"
