"""Filters over events, held against a reading of them that is plain and slow."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.events import Envelope
from schemas.filters import Filter
from services.notifier.filters import (
    DEPTH_MAX,
    NODES_MAX,
    TEXT_LENGTH_MAX,
    Facts,
    compiled,
    parsed_filters,
    why_not,
    worded,
)

ATTRIBUTES = {"type": "package.shipped", "subject": "pkg_1", "source": "/zentail/acme"}
DATA = {
    "fulfillment": {"source": "zentail", "orders": [{"number": "A-1"}, {"number": "B-2"}]},
    "package": {
        "carrier": {"code": "ups", "name_raw": None},
        "trackings": [{"number": "1Z"}, {"number": "2Z"}],
        "revision": 3,
        "line_items": [{"properties": {"words": [["Ana", 1.50], []]}}],
    },
    "provisional": True,
}


def facts(data: Any = DATA, **attributes: str) -> Facts:
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Facts(Envelope(attributes={**ATTRIBUTES, **attributes}, data=text))


def holds(*wish: Any, data: Any = DATA) -> bool:
    filters = parsed_filters(list(wish))
    ask, found = compiled(filters), facts(data)
    assert ask is not None
    assert ask(found) is (why_not(filters, found) == [])
    return ask(found)


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"exact": {"type": "package.shipped"}}, True),
        ({"exact": {"type": "Package.shipped"}}, False),
        ({"exact": {"type": "package.shipped", "subject": "pkg_2"}}, False),
        ({"prefix": {"source": "/zentail/"}}, True),
        ({"suffix": {"source": "/acme"}}, True),
        ({"suffix": {"source": "acme/"}}, False),
        ({"exact": {"dataschema": "x"}}, False),
        ({"not": {"exact": {"dataschema": "x"}}}, True),
        ({"exact": {"data.package.carrier.code": "ups"}}, True),
        ({"exact": {"data.package.carrier.name_raw": "null"}}, False),
        ({"exact": {"data.package.trackings.number": "2Z"}}, True),
        ({"not": {"exact": {"data.package.trackings.number": "2Z"}}}, False),
        ({"exact": {"data.package.trackings": "2Z"}}, False),
        ({"exact": {"data.fulfillment.orders.number": "C-3"}}, False),
        ({"exact": {"data.package.revision": "3"}}, True),
        ({"exact": {"data.provisional": "true"}}, True),
        ({"exact": {"data.echo": "false"}}, False),
        ({"exact": {"data.package.line_items.properties.words": "Ana"}}, True),
        ({"exact": {"data.package.line_items.properties.words": "1.5"}}, True),
        ({"any": [{"exact": {"subject": "x"}}, {"prefix": {"subject": "pkg"}}]}, True),
        ({"any": [{"exact": {"subject": "x"}}, {"prefix": {"subject": "y"}}]}, False),
        ({"all": [{"prefix": {"subject": "pkg"}}, {"suffix": {"subject": "_1"}}]}, True),
        ({"all": [{"prefix": {"subject": "pkg"}}, {"suffix": {"subject": "_2"}}]}, False),
    ],
)
def test_a_filter_reads_attributes_and_data(wish: Any, expected: bool) -> None:
    """Case counts; of a list one element is enough; null, objects and the missing have no text."""
    assert holds(wish) is expected


def test_every_filter_of_the_list_has_to_hold() -> None:
    """As CloudEvents says of a list of filters."""
    assert holds({"exact": {"subject": "pkg_1"}}, {"exact": {"type": "package.shipped"}})
    assert not holds({"exact": {"subject": "pkg_1"}}, {"exact": {"type": "package.removed"}})


def test_a_number_is_compared_as_the_event_spells_it() -> None:
    """Never through a float, in which 0.1 is another number and 10.0 loses its digit."""
    data = b'{"package": {"line_items": [{"properties": {"price": 10.000000000000000001}}]}}'
    path = "data.package.line_items.properties.price"

    assert holds({"exact": {path: "10.000000000000000001"}}, data=data)
    assert not holds({"exact": {path: "10.0"}}, data=data)


def test_lists_nested_deep_are_looked_into() -> None:
    """A source may nest what it likes in its own words, and no filter breaks on it."""
    nested = "[" * 900 + '"x"' + "]" * 900
    data = f'{{"changes": [{{"before": {nested}}}]}}'.encode()

    assert holds({"exact": {"data.changes.before": "x"}}, data=data)


def test_data_nested_beyond_reading_has_no_text() -> None:
    """It holds up nobody: other filters still have their say."""
    deep = b'{"provisional": true, "changes": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"

    assert not holds({"exact": {"data.provisional": "true"}}, data=deep)
    assert holds({"exact": {"subject": "pkg_1"}}, data=deep)


PATHS = ("type", "subject", "data.changes.before", "data.changes.before.a", "data.changes.after.a")
TEXTS = ("a", "ab", "b", "1", "true")
_comparing = st.sampled_from(["exact", "prefix", "suffix"]).flatmap(
    lambda name: st.dictionaries(
        st.sampled_from(PATHS), st.sampled_from(TEXTS), min_size=1, max_size=2
    ).map(lambda pairs: {name: pairs})
)
_wishes = st.recursive(
    _comparing,
    lambda inner: st.one_of(
        st.builds(lambda one: {"not": one}, inner),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: {"all": some}),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: {"any": some}),
    ),
    max_leaves=6,
)
_values = st.recursive(
    st.sampled_from([None, True, False, 1, *TEXTS]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)
    ),
    max_leaves=6,
)


def plainly(wish: dict[str, Any], attributes: dict[str, str], data: Any) -> bool:
    """What the dialects mean, word for word."""
    [(name, inner)] = wish.items()
    if name == "not":
        return not plainly(inner, attributes, data)
    if name in {"all", "any"}:
        answers = [plainly(one, attributes, data) for one in inner]
        return all(answers) if name == "all" else any(answers)
    for path, text in inner.items():
        if path.startswith("data."):
            found = plain_texts(data, path.split(".")[1:])
        else:
            found = [attributes[path]] if path in attributes else []
        fitting = [
            one
            for one in found
            if (name == "exact" and one == text)
            or (name == "prefix" and one.startswith(text))
            or (name == "suffix" and one.endswith(text))
        ]
        if not fitting:
            return False
    return True


def plain_texts(node: Any, path: list[str]) -> list[str]:
    if isinstance(node, list):
        return [text for one in node for text in plain_texts(one, path)]
    if path:
        if isinstance(node, dict) and path[0] in node:
            return plain_texts(node[path[0]], path[1:])
        return []
    if isinstance(node, bool | int):
        return [json.dumps(node)]
    return [node] if isinstance(node, str) else []


def depth_of(wish: dict[str, Any]) -> int:
    [(name, inner)] = wish.items()
    below = inner if isinstance(inner, list) else [inner] if name == "not" else []
    return 1 + max(map(depth_of, below), default=0)


@given(wish=_wishes, before=_values, after=_values, subject=st.sampled_from(TEXTS))
def test_compiled_is_what_the_words_say(wish: Any, before: Any, after: Any, subject: str) -> None:
    """Whatever the filter and the event; and an explanation is there just when it does not hold."""
    data = {"changes": [{"before": before, "after": after}]}
    assume(depth_of(wish) <= DEPTH_MAX)
    filters = parsed_filters([wish])
    ask, found = compiled(filters), facts(data, subject=subject)

    assert ask is not None
    assert ask(found) is plainly(wish, {**ATTRIBUTES, "subject": subject}, data)
    assert (why_not(filters, found) == []) is ask(found)
    assert worded(filters[0])


@given(wish=_wishes)
def test_a_filter_survives_its_record(wish: Any) -> None:
    """Written to Kafka and read again, it is the same, also when it is checked once more."""
    assume(depth_of(wish) <= DEPTH_MAX)
    (one,) = parsed_filters([wish])

    assert json.loads(one.to_json()) == wish
    assert parsed_filters((one,)) == (one,)


def nested(depth: int) -> dict[str, Any]:
    wish: dict[str, Any] = {"exact": {"type": "a"}}
    for _ in range(depth - 1):
        wish = {"not": wish}
    return wish


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"exact": {"type": "a"}}, "a list"),
        ([{}], "exact, prefix, suffix, all, any, not"),
        ([{"sql": "x"}], "exact, prefix, suffix, all, any, not"),
        ([{"exact": {"type": "a"}, "prefix": {"type": "a"}}], "nothing beside it"),
        ([{"exact": {}}], r"filters\.0\.exact: a table"),
        ([{"exact": {"type": ""}}], "no text"),
        ([{"exact": {"type": 3}}], "3 is no text"),
        ([{"exact": {"type": "a" * (TEXT_LENGTH_MAX + 1)}}], f"over {TEXT_LENGTH_MAX}"),
        ([{"exact": {"type": "\ud83d"}}], "half of a character"),
        ([{"any": []}], r"filters\.0\.any: a list"),
        ([{"not": [{"exact": {"type": "a"}}]}], r"filters\.0\.not: a filter"),
        ([{"exact": {"tpye": "a"}}], "attributes specversion, id, source, type"),
        ([{"all": [{"prefix": {"data": "a"}}]}], r"filters\.0\.all\.0\.prefix: 'data' leads"),
        ([{"exact": {"data.package.carier.code": "a"}}], "in data.package there is id, .*carrier"),
        ([{"exact": {"data.package.id.x": "a"}}], "in data.package.id there is nothing"),
        ([{"exact": {"data." + "a" * 300: "a"}}], "at most 256"),
        ([{"exact": {"type": "a"}}] * (NODES_MAX + 1), "65 dialects and comparisons, 64"),
        ([{"any": [{"exact": {"type": "a"}}] * NODES_MAX}], "65 dialects and comparisons, 64"),
        ([nested(DEPTH_MAX + 1)], f"over {DEPTH_MAX} deep"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_can(wish: Any, told: str) -> None:
    """Else it would be a subscription that stays silent for ever, or one that costs too much."""
    with pytest.raises(ValueError, match=told):
        parsed_filters(wish)


def test_what_is_just_allowed_is_taken() -> None:
    """The bounds themselves are inside."""
    assert len(parsed_filters([{"exact": {"type": "a"}}] * NODES_MAX)) == NODES_MAX
    assert len(parsed_filters([nested(DEPTH_MAX)])) == 1
    paths = ["data.package.line_items.properties.anything.at all", "data.retracts", "sequence"]
    assert len(parsed_filters([{"exact": dict.fromkeys(paths, "a")}])) == 1


@pytest.mark.parametrize(
    ("wish", "lines"),
    [
        (
            {"exact": {"data.package.carrier.code": "dhl"}},
            ["data.package.carrier.code is 'ups', and the filter asks that it is 'dhl'"],
        ),
        (
            {"prefix": {"dataschema": "urn"}},
            ["dataschema has no text, and the filter asks that it begins with 'urn'"],
        ),
        (
            {"not": {"suffix": {"subject": "_1"}}},
            ["it may not be that subject ends with '_1'"],
        ),
        (
            {"any": [{"exact": {"subject": "x"}}, {"exact": {"type": "y"}}]},
            [
                (
                    "subject is 'pkg_1', and the filter asks that it is 'x' and "
                    "type is 'package.shipped', and the filter asks that it is 'y'"
                )
            ],
        ),
        ({"exact": {"subject": "pkg_1"}}, []),
    ],
)
def test_why_an_event_does_not_match_is_told(wish: Any, lines: list[str]) -> None:
    """What it has there, and what the filter asks for."""
    filters: tuple[Filter, ...] = parsed_filters([wish])

    assert why_not(filters, facts()) == lines
