"""`docs/systems.md` from the source modules themselves: `python -m console.systems`."""

from __future__ import annotations

import sys

from console.reference import settings_table
from services.poller.describing import Known, StreamKnown, known, own_settings
from services.poller.source import AccountSettings, Rate
from services.poller.sources import sources

HEAD = """\
# Systems

What each source module says of itself, as `shipfeed sources NAME` prints it.
The settings that every account has, and all defaults, are in [configuration.md](configuration.md).

A stream that *rewinds* can be set back by `shipfeed cursors rewind`.
What *refreshes* can be read again, one at a time, by `shipfeed packages refresh`.
An interval grows to its second value while nothing changes; all of it can be set for each account.

This page is made by `python -m console.systems > docs/systems.md`.
"""


def page() -> str:
    """The whole page, Markdown."""
    found = sorted(sources().items())
    return "\n".join([HEAD, *(section(known(one), one.settings) for _, one in found)])


def section(system: Known, model: type[AccountSettings]) -> str:
    """One system, Markdown."""
    login = "for a token, renewed by itself" if system.logs_in else "none, a fixed credential"
    rows = [_stream(one) for one in system.streams]
    return "\n".join(
        [
            f"## `{system.name}`",
            "",
            system.about.strip(),
            "",
            f"- rate: {rate_of(system.rate)}",
            f"- login: {login}",
            f"- refreshes: {', '.join(f'`{one}`' for one in system.refreshes) or 'nothing'}",
            "",
            "| stream | reads | records | every | weight | rewinds | only with |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            *settings_table(own_settings(model)),
            "",
        ]
    )


def streams_of(system: Known) -> str:
    """The names of its streams."""
    return " ".join(one.name for one in system.streams)


def rate_of(rate: Rate) -> str:
    """What is asked at most."""
    whom = "by all its accounts together" if rate.shared else "by each account"
    told = "; the upstream's own count is obeyed" if rate.remaining else ""
    return f"{rate.per_second:g} requests a second {whom}, {rate.burst:g} at once{told}"


def _stream(one: StreamKnown) -> str:
    cells = (
        f"`{one.name}`",
        f"{one.reads}, {one.at_once} at once",
        f"`{one.resource}`",
        _interval(one),
        str(one.weight),
        "yes" if one.rewinds else "no",
        f"`{one.only}`" if one.only else "",
    )
    return f"| {' | '.join(cells)} |"


def _interval(one: StreamKnown) -> str:
    if not one.interval_seconds:
        return "once"
    if one.interval_seconds_max > one.interval_seconds:
        return f"{one.interval_seconds:g} to {one.interval_seconds_max:g} s"
    return f"{one.interval_seconds:g} s"


if __name__ == "__main__":
    sys.stdout.write(page())
