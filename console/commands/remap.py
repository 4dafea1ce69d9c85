"""`shipfeed remap`: what a mapper that was changed makes of what is stored."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from console.commands.options import (
    ConfigOption,
    JsonOption,
    KafkaOption,
    kafka_settings,
    say,
    wait_for,
)
from console.remapping import Tally, remap
from services.normalizer.mappers import discovered

NAME = "remap"


def run(
    source: Annotated[str, typer.Option("--source", help="the system whose mapper has changed")],
    apply: Annotated[
        bool, typer.Option("--apply", help="append what changes to raw again; without: only say it")
    ] = False,
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    json: JsonOption = False,
) -> None:
    """Map the newest raw record of each stored fulfillment again and report what would change."""
    tally = wait_for(remap(kafka_settings(config, kafka), source, discovered(), apply=apply))
    told = {"source": source, "applied": apply, **asdict(tally)}
    say([("\n".join(_lines(source, tally, applied=apply)), told)], as_json=json)
    raise typer.Exit(1 if tally.refused else 0)


def _lines(source: str, tally: Tally, *, applied: bool) -> list[str]:
    parts = [
        f"{tally.fulfillments} fulfillments",
        f"{tally.unchanged} unchanged",
        f"{tally.changed} {'changed' if applied else 'would change'}",
        f"{tally.expired} past the retention of raw",
        f"{tally.stubs} stubs",
        f"{tally.refused} cannot be mapped any more",
    ]
    if tally.moved:
        parts.append(f"{tally.moved} written anew meanwhile")
    lines = [f"{source}: " + ", ".join(parts)]
    for kind, examples in sorted(tally.examples.items()):
        lines.append(f"{kind}: {tally.kinds.get(kind, tally.refused)}")
        lines += [f"  {one}" for one in examples]
    if applied:
        lines.append(f"{tally.changed} raw records appended again; the normalizers take them up")
    elif tally.changed:
        lines.append("nothing is written yet; --apply appends their raw records again")
    return lines
