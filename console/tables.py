"""Tables for people: every command and every bench prints its rows here.

No cell is ever cut, so an id can be copied from any output.  On a terminal that is too narrow for
a row, each row becomes a block with one line a column; into a pipe or a file each row is one line,
however long.
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterable, Sequence
from typing import Any, TextIO

GAP = "  "
BOLD_RED = "\033[1;31m"
BOLD_GREEN = "\033[1;32m"
GREEN = "\033[32m"
DIM = "\033[2m"
PLAIN = "\033[0m"
FIGURE = re.compile(r"-?[\d,.]+")


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    bad: Collection[int] = (),
    out: TextIO | None = None,
) -> None:
    """Print a table on stdout; rows whose number is in `bad` are red on a terminal."""
    out = out or sys.stdout
    width = shutil.get_terminal_size().columns if out.isatty() else None
    cells = [[_text(cell) for cell in row] for row in rows]
    for line, row in table_lines(title, columns, cells, width=width):
        text = f"{BOLD_RED}{line}{PLAIN}" if row in bad and out.isatty() else line
        out.write(text + "\n")


def print_line(line: str, style: str) -> None:
    """Print a line on stdout, whole, in the style on a terminal."""
    sys.stdout.write(f"{style}{line}{PLAIN}\n" if sys.stdout.isatty() else f"{line}\n")
    sys.stdout.flush()


def table_lines(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None
) -> list[tuple[str, int | None]]:
    """The lines of a table, each with the number of its row, None for those of no row.

    `width` None: as wide as the widest row.
    """
    names = [column.replace("_", " ") for column in columns]
    widths = [max(map(len, each)) for each in zip(names, *rows, strict=True)]
    total = sum(widths) + len(GAP) * (len(widths) - 1)
    lines: list[tuple[str, int | None]] = [(title, None)] if title else []
    if width is not None and total > width:
        for number, row in enumerate(rows):
            lines += [(line, number) for line in _block(names, row, width)]
            lines.append(("", None))
        return lines
    right = [_is_figure_column([row[at] for row in rows]) for at in range(len(names))]
    lines += [
        (_aligned(names, widths, right), None),
        (GAP.join("-" * one for one in widths), None),
    ]
    return lines + [(_aligned(row, widths, right), number) for number, row in enumerate(rows)]


def _aligned(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    texts = (
        cell.rjust(width) if to_right else cell.ljust(width)
        for cell, width, to_right in zip(cells, widths, right, strict=True)
    )
    return GAP.join(texts).rstrip()


def _block(names: Sequence[str], row: Sequence[str], width: int) -> list[str]:
    """One line a column, empty cells left out; what is longer goes on below, cut at no id."""
    margin = max(map(len, names)) + len(GAP)
    lines = []
    for name, cell in zip(names, row, strict=True):
        if cell:
            lines += textwrap.wrap(
                cell,
                max(width, margin + 1),
                initial_indent=name.ljust(margin),
                subsequent_indent=" " * margin,
                break_long_words=False,
                break_on_hyphens=False,
            )
    return lines


def _is_figure_column(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return bool(filled) and all(FIGURE.fullmatch(cell) for cell in filled)


def _text(cell: Any) -> str:
    """One line: a line break within a cell would look like another row."""
    return "" if cell is None else " ".join(str(cell).splitlines())
