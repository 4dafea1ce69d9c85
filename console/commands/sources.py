"""`shipfeed sources`: what is known of each system."""

from __future__ import annotations

import json as encoding
from typing import Annotated

import typer

from bus.errors import Misuse
from console.commands.options import JsonOption, show
from console.systems import section, streams_of
from services.poller.describing import Known, known
from services.poller.sources import sources

NAME = "sources"
COLUMNS = ("source", "streams", "records", "refresh", "login", "rate")


def run(
    name: Annotated[str | None, typer.Argument(help="one system, told at length")] = None,
    json: JsonOption = False,
) -> None:
    """Show the systems that can be polled: streams, settings, rate, what rewinds and refreshes."""
    found = sources()
    if name is not None and name not in found:
        raise Misuse(f"no system {name!r}; there are: {', '.join(sorted(found))}")
    systems = [known(one) for key, one in sorted(found.items()) if name in (None, key)]
    if json:
        for one in systems:
            typer.echo(encoding.dumps(one.as_dict()))
    elif name is not None:
        typer.echo(section(systems[0], found[name].settings))
    else:
        show("sources", COLUMNS, [_row(one) for one in systems], as_json=False)


def _row(one: Known) -> tuple[str, ...]:
    login = "yes" if one.logs_in else "no"
    refresh = " ".join(one.refreshes) or "no"
    whom = "all accounts" if one.rate.shared else "account"
    rate = f"{one.rate.per_second:g}/s by {whom}"
    return one.name, streams_of(one), " ".join(one.resources), refresh, login, rate
