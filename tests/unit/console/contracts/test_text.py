"""How the published files are written."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from console.contracts.text import WIDTH, pretty, yaml

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_pretty_json_is_the_same_json(value: Any) -> None:
    """Line breaks are all that it adds."""
    assert json.loads(pretty(value)) == value


def test_what_fits_on_a_line_stays_on_one() -> None:
    """And what does not is broken at its outermost level."""
    short, long = {"a": [1, 2]}, {"a": "x" * WIDTH, "b": [1]}

    assert pretty(short) == '{"a": [1, 2]}'
    assert pretty(long) == f'{{\n  "a": "{"x" * WIDTH}",\n  "b": [1]\n}}'


def test_yaml_is_written_in_blocks() -> None:
    """Maps and lists indented, texts in quotes, empty ones on the line."""
    value = {
        "a.b": {"$ref": "#/x", "n": 6},
        "list": [{"type": "text: y", "const": True}, "no", []],
        "none": {},
    }

    assert yaml(value).splitlines() == [
        "a.b:",
        '  "$ref": "#/x"',
        "  n: 6",
        "list:",
        '  - type: "text: y"',
        "    const: true",
        '  - "no"',
        "  - []",
        "none: {}",
    ]
