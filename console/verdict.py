"""The audit as a table for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from console.demo import Ending
from schemas.events import EVENT_TYPES

FINDINGS_MAX = 20
BAD = ("missing", "duplicate", "wrong")
BY_SOURCE = ("shipped_in_world", *BAD, "delivered", "faults")
ROWS = {
    "shipped_in_world": "packages that shipped in the worlds and stayed shipped",
    "shipped_events": "package.shipped events the subscriber accepted",
    "missing": "of those packages, never announced; or never written back",
    "duplicate": "announced under a second event id; or written back or paid twice",
    "wrong": "announced, stored or written back, but never true",
    "may_shipped": "shipped only for a while: may or may not have been seen",
    "delivered": "events the subscriber accepted",
    "redelivered": "the same webhook-id sent again",
    "verified": "requests whose signature the standardwebhooks library verified",
    "written": "packages and cancellations fulfilled in another system, each paid once",
    "held": "not written back, for more would have been fulfilled than was ordered",
    "faults": "requests or writes that a simulator answered wrongly on purpose",
    "kills": "processes killed while they worked",
    "seconds": "the whole run",
}


def print_verdict(ending: Ending) -> None:
    """The figures, what was found, and one last line that says it all."""
    console = Console(highlight=False)
    found = ending.as_dict()
    console.print(_by_source(found["by_source"]))
    table = Table(title="audit")
    table.add_column("figure")
    table.add_column("count", justify="right")
    table.add_column("what it counts")
    for name, meaning in ROWS.items():
        bad = name in BAD and found[name]
        table.add_row(name, str(found[name]), meaning, style="bold red" if bad else None)
    console.print(table)
    console.print(_by_type(found["by_type"]))
    for line in [*ending.unsettled, *ending.report.findings][:FINDINGS_MAX]:
        console.print(f"- {line}", markup=False)
    report = ending.report
    counts = f"{report.missing} missing / {report.duplicate} duplicate / {report.wrong} wrong"
    console.print(counts, style="bold green" if ending.ok else "bold red")


def _by_type(found: dict[str, int]) -> Table:
    table = Table(title="by type of event")
    table.add_column("type", no_wrap=True)
    table.add_column("accepted", justify="right")
    for name in EVENT_TYPES:
        table.add_row(name, str(found.get(name, 0)))
    return table


def _by_source(found: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="by system")
    table.add_column("system", no_wrap=True)
    for name in BY_SOURCE:
        table.add_column(name.replace("_", " "), justify="right")
    for source, figures in sorted(found.items()):
        bad = any(figures[name] for name in BAD)
        row = (str(figures[name]) for name in BY_SOURCE)
        table.add_row(source, *row, style="bold red" if bad else None)
    return table
