"""Filters over events: checked, compiled once, and explained.  Pure.

A comparison looks at texts: an attribute of the event, or what a path leads to in its data.  There
a number or a boolean counts as it is spelled in JSON; null, objects and what is missing have no
text; on the way, and at the end, every element of a list is looked at, and one that fits is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
from pydantic import BaseModel, TypeAdapter

from schemas import filters as dialects
from schemas.events import Envelope
from schemas.filters import Filter
from services.notifier.paths import check_path

NODES_MAX = 64  # dialects and comparisons of one subscription
DEPTH_MAX = 8
TEXT_LENGTH_MAX = 1024  # characters
DATA = "data."
SHOWN_LENGTH_MAX = 80  # characters of an event's own text in an explanation
SHOWN_MAX = 3

Compiled = Callable[["Facts"], bool]
DIALECTS = ("exact", "prefix", "suffix", "all", "any", "not")
_FILTER: TypeAdapter[Filter] = TypeAdapter(Filter)
_DATA = msgspec.json.Decoder(float_hook=str)


class Facts:
    """One event as filters look at it; what one of them has asked for, the others have, too."""

    __slots__ = ("_data", "_envelope", "_found")

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._data: Any = None
        self._found: dict[str, list[str]] = {}

    def texts(self, path: str) -> list[str]:
        """What `path` leads to."""
        found = self._found.get(path)
        if found is None:
            found = self._found[path] = self._read(path)
        return found

    def _read(self, path: str) -> list[str]:
        if not path.startswith(DATA):
            text = self._envelope.attributes.get(path)
            return [] if text is None else [text]
        if self._data is None:
            try:
                self._data = _DATA.decode(self._envelope.data)
            except (msgspec.DecodeError, RecursionError):
                self._data = {}  # nested deeper than any reader goes: then it has no text
        found = [self._data]
        for part in path.split(".")[1:]:
            found = [one[part] for one in _flat(found) if isinstance(one, dict) and part in one]
        return [text for one in _flat(found) if (text := _text(one)) is not None]


def parsed_filters(value: object) -> tuple[Filter, ...]:
    """A list of filters, every one of which has to hold.

    Raises ValueError: where, what, and what there is instead.
    """
    if not isinstance(value, list | tuple):
        raise ValueError("filters are a list, such as [{ exact = { type = ... } }]")
    found = tuple(_parsed(one, f"filters.{number}", 1) for number, one in enumerate(value))
    count = sum(map(_node_count, found))
    if count > NODES_MAX:
        raise ValueError(f"filters have {count} dialects and comparisons, {NODES_MAX} are allowed")
    return found


def compiled(filters: Iterable[Filter]) -> Compiled | None:
    """One question for all of them; None: nothing to ask."""
    made = [_compiled(one) for one in filters]
    return _every(made) if made else None


def why_not(filters: Iterable[Filter], facts: Facts) -> list[str]:
    """A line for each filter that does not hold; empty when all do."""
    return [line for one in filters if (line := _why_not(one, facts)) is not None]


def worded(one: Filter) -> str:
    """The filter as a person would say it."""
    if isinstance(one, dialects.All):
        return "(" + " and ".join(map(worded, one.all)) + ")"
    if isinstance(one, dialects.Any):
        return "(" + " or ".join(map(worded, one.any)) + ")"
    if isinstance(one, dialects.Not):
        return f"not {worded(one.not_)}"
    words = [f"{path} {_VERBS[type(one)]} {text!r}" for path, text in _comparisons(one).items()]
    return " and ".join(words) if len(words) == 1 else "(" + " and ".join(words) + ")"


def _parsed(value: object, where: str, depth: int) -> Filter:
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in DIALECTS:
        raise ValueError(
            f"{where}: a filter has one of the keys {', '.join(DIALECTS)}, and nothing beside it"
        )
    if depth > DEPTH_MAX:
        raise ValueError(f"{where}: filters are nested over {DEPTH_MAX} deep")
    ((name, inner),) = value.items()
    where = f"{where}.{name}"
    if name == "not":
        inner = _parsed(inner, where, depth + 1)
    elif name in {"all", "any"}:
        if not isinstance(inner, list | tuple) or not inner:
            raise ValueError(f"{where}: a list of at least one filter is needed")
        inner = [_parsed(one, f"{where}.{n}", depth + 1) for n, one in enumerate(inner)]
    else:
        _check_comparisons(inner, where)
    return _FILTER.validate_python({name: inner})


def _check_comparisons(value: object, where: str) -> None:
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f'{where}: a table of path = "text" is needed')
    if len(value) > NODES_MAX:
        raise ValueError(f"{where}: {len(value)} comparisons, {NODES_MAX} are allowed")
    for path, text in value.items():
        check_path(path, where)
        if not isinstance(text, str) or not text:
            raise ValueError(f"{where}.{path}: {text!r} is no text to compare with")
        if len(text) > TEXT_LENGTH_MAX:
            raise ValueError(f"{where}.{path}: the text has over {TEXT_LENGTH_MAX} characters")
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError(f"{where}.{path}: the text has half of a character (a lone surrogate)")


def _node_count(one: Filter) -> int:
    if isinstance(one, dialects.All | dialects.Any):
        return 1 + sum(map(_node_count, _parts(one)))
    return 1 + _node_count(one.not_) if isinstance(one, dialects.Not) else len(_comparisons(one))


def _parts(one: dialects.All | dialects.Any) -> tuple[Filter, ...]:
    return one.all if isinstance(one, dialects.All) else one.any


def _comparisons(one: dialects.Exact | dialects.Prefix | dialects.Suffix) -> dict[str, str]:
    if isinstance(one, dialects.Exact):
        return one.exact
    return one.prefix if isinstance(one, dialects.Prefix) else one.suffix


_TESTS: dict[type, Callable[[str, str], bool]] = {
    dialects.Exact: str.__eq__,
    dialects.Prefix: str.startswith,
    dialects.Suffix: str.endswith,
}
_VERBS: dict[type, str] = {
    dialects.Exact: "is",
    dialects.Prefix: "begins with",
    dialects.Suffix: "ends with",
}


def _compiled(one: Filter) -> Compiled:
    if isinstance(one, dialects.All):
        return _every([_compiled(part) for part in one.all])
    if isinstance(one, dialects.Any):
        parts = [_compiled(part) for part in one.any]
        return lambda facts: any(part(facts) for part in parts)
    if isinstance(one, dialects.Not):
        inner = _compiled(one.not_)
        return lambda facts: not inner(facts)
    test = _TESTS[type(one)]
    return _every([_comparison(path, text, test) for path, text in _comparisons(one).items()])


def _every(parts: list[Compiled]) -> Compiled:
    return parts[0] if len(parts) == 1 else lambda facts: all(part(facts) for part in parts)


def _comparison(path: str, text: str, test: Callable[[str, str], bool]) -> Compiled:
    return lambda facts: any(test(found, text) for found in facts.texts(path))


def _why_not(one: Filter, facts: Facts) -> str | None:
    if isinstance(one, dialects.All):
        return _joined([_why_not(part, facts) for part in one.all], " and ")
    if isinstance(one, dialects.Any):
        lines = [_why_not(part, facts) for part in one.any]
        return None if None in lines else _joined(lines, " and ")
    if isinstance(one, dialects.Not):
        return None if _why_not(one.not_, facts) else f"it may not be that {worded(one.not_)}"
    test, verb = _TESTS[type(one)], _VERBS[type(one)]
    lines = []
    for path, text in _comparisons(one).items():
        found = facts.texts(path)
        if not any(test(each, text) for each in found):
            lines.append(f"{path} {_shown(found)}, and the filter asks that it {verb} {text!r}")
    return _joined(lines, " and ")


def _joined(lines: Iterable[str | None], word: str) -> str | None:
    return word.join(line for line in lines if line is not None) or None


def _shown(texts: list[str]) -> str:
    if not texts:
        return "has no text"
    cut = [repr(text[:SHOWN_LENGTH_MAX]) for text in texts[:SHOWN_MAX]]
    return "is " + " or ".join(cut) + (" or another" if len(texts) > SHOWN_MAX else "")


def _flat(nodes: Iterable[Any]) -> Iterator[Any]:
    """The nodes, lists taken apart; with a stack, since they are nested as deep as they like."""
    left = list(nodes)[::-1]
    while left:
        node = left.pop()
        if isinstance(node, list):
            left.extend(reversed(node))
        else:
            yield node


def _text(node: Any) -> str | None:
    if isinstance(node, str):
        return node
    if isinstance(node, bool):
        return "true" if node else "false"
    return str(node) if isinstance(node, int) else None
