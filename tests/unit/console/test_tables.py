"""Tables: nothing is cut, whatever the width."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from console.tables import print_table, table_lines

ID = "zentail/acme/order/" + "9" * 60
CELLS = st.text(st.characters(codec="ascii", exclude_categories=("C", "Z")), max_size=120)


def lines(rows: list[list[str]], width: int | None) -> list[str]:
    """A table of two columns."""
    return [line for line, _ in table_lines("found", ["id", "last_reason"], rows, width=width)]


def test_pipe_gets_one_line_a_row() -> None:
    """Into a pipe a row is one line with each of its cells whole."""
    out = io.StringIO()
    print_table("found", ["id", "reason"], [[ID, "no answer " * 20], ["short", None]], out=out)
    _, _, _, long, short = out.getvalue().splitlines()
    assert long.split() == [ID, *["no", "answer"] * 20]
    assert short == "short"


def test_terminal_gets_a_table_where_it_fits() -> None:
    """A row that fits the terminal is one line under aligned headings."""
    assert lines([["a", "12"], ["bcd", "3"]], 80) == [
        "found",
        "id   last reason",
        "---  -----------",
        "a             12",
        "bcd            3",
    ]


def test_narrow_terminal_gets_blocks() -> None:
    """A row that does not fit becomes a line for each column, wrapped between words alone."""
    found = lines([[ID, "the endpoint answered with 500 " * 3], ["short", ""]], 80)
    assert found == [
        "found",
        f"id           {ID}",
        "last reason  the endpoint answered with 500 the endpoint answered with 500 the",
        "             endpoint answered with 500",
        "",
        "id           short",
        "",
    ]


@given(st.lists(st.tuples(CELLS, CELLS), max_size=5), st.one_of(st.none(), st.integers(20, 200)))
def test_no_cell_is_ever_cut(rows: list[tuple[str, str]], width: int | None) -> None:
    """Every word of every cell stands whole in the output, whatever the width."""
    text = "\n".join(lines([list(row) for row in rows], width))
    assert all(cell in text for row in rows for cell in row)


def test_line_breaks_do_not_make_rows() -> None:
    """A line break within a cell does not begin another row."""
    out = io.StringIO()
    print_table("", ["reason"], [["one\r\ntwo"]], out=out)
    assert out.getvalue().splitlines()[2:] == ["one two"]
