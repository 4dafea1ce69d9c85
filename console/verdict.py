"""The audit as a table for people."""

from __future__ import annotations

from console.demo import Ending
from console.tables import BOLD_GREEN, BOLD_RED, print_line, print_table
from schemas.events import EVENT_TYPES
from testbed.oddities import ABOUT

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
    found = ending.as_dict()
    systems = sorted(found["by_source"].items())
    print_table(
        "by system",
        ("system", *BY_SOURCE),
        [(source, *(figures[name] for name in BY_SOURCE)) for source, figures in systems],
        bad=[at for at, (_, figures) in enumerate(systems) if any(figures[name] for name in BAD)],
    )
    print_table(
        "\naudit",
        ("figure", "count", "what it counts"),
        [(name, found[name], meaning) for name, meaning in ROWS.items()],
        bad=[at for at, name in enumerate(ROWS) if name in BAD and found[name]],
    )
    counted = [(name, found["by_type"].get(name, 0)) for name in EVENT_TYPES]
    print_table("\nby type of event", ("type", "accepted"), counted)
    if any(ending.odd.values()):
        odd = [(name, count, ABOUT[name]) for name, count in ending.odd.items() if count]
        print_table("\nodd records", ("kind", "records", "what_it_is"), odd)
    if (outage := ending.outage) is not None:
        print(f"\nreceiver: away for {outage.away_seconds:g} s, {outage.backlog} events waited")
        arrived = f"receiver: they arrived within {outage.caught_up_seconds:g} s of its return"
        print_line(
            f"{arrived}, of {outage.bound_seconds:g} s at most", BOLD_RED if ending.late else ""
        )
    for line in [*ending.unsettled, *ending.report.findings][:FINDINGS_MAX]:
        print(f"- {line}")
    report = ending.report
    counts = f"{report.missing} missing / {report.duplicate} duplicate / {report.wrong} wrong"
    print_line(counts, BOLD_GREEN if ending.ok else BOLD_RED)
