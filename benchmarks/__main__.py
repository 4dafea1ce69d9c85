"""`python -m benchmarks [NAME...] [--json FILE]`: run benches, print a table.

Exit codes: 0 every target met, 1 one missed or nothing measured, 2 wrong use.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import pkgutil
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import benchmarks
from benchmarks import Row
from console.tables import print_table

Bench = Callable[[], Awaitable[list[Row]]]
COLUMNS = ("name", "value", "unit", "baseline", "ratio", "target", "goal", "ok")


def main(benches: Mapping[str, Bench], arguments: Sequence[str]) -> int:
    """Run the benches that are named, or all.  Returns the exit code."""
    parser = argparse.ArgumentParser(prog="./run bench", description="Run benches.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(benches) + "; none: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here, too")
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.names) - set(benches))
    if unknown:
        parser.error(f"there is no bench {unknown[0]}; there are: {', '.join(benches)}")
    rows = asyncio.run(_measured([benches[name] for name in given.names or benches]))
    bad = [at for at, row in enumerate(rows) if not row.ok]
    print_table("benchmarks", COLUMNS, [_cells(row) for row in rows], bad=bad)
    if given.json is not None:
        text = json.dumps([row.as_dict() for row in rows], indent=2)
        given.json.write_text(text + "\n", encoding="utf-8")
    return 0 if rows and all(row.ok for row in rows) else 1


def discovered() -> dict[str, Bench]:
    """Every bench of this folder by name, in order."""
    modules = pkgutil.iter_modules(benchmarks.__path__)
    names = sorted(module.name for module in modules if not module.ispkg)
    return {name: import_module(f"benchmarks.{name}").rows for name in names if name != "__main__"}


async def _measured(benches: Sequence[Bench]) -> list[Row]:
    """One after the other: they must not share the machine."""
    return [row for bench in benches for row in await bench()]


def _cells(row: Row) -> Sequence[str]:
    figures = (_short(row.value), row.unit, _short(row.baseline), f"{row.ratio:.2f}")
    bounds = (str(row.target or ""), str(row.goal or ""))
    return (row.name, *figures, *bounds, "yes" if row.ok else "NO")


def _short(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}"


if __name__ == "__main__":
    sys.exit(main(discovered(), sys.argv[1:]))
