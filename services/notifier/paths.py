"""Which paths a filter may name: one that no event has would be a subscription that stays silent.

Pure: the paths are those of the event classes themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from schemas.events import EVENT_CLASSES

ATTRIBUTES = (
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "dataschema",
    "partitionkey",
    "sequence",
)
LENGTH_MAX = 256  # characters


def check_path(path: object, where: str) -> None:
    """Raises ValueError with what there is instead."""
    if not isinstance(path, str) or len(path) > LENGTH_MAX:
        raise ValueError(f"{where}: a path is a text of at most {LENGTH_MAX} characters")
    if path in ATTRIBUTES:
        return
    first, *rest = path.split(".")
    if first != "data" or not rest:
        known = ", ".join(ATTRIBUTES)
        raise ValueError(
            f"{where}: {path!r} leads nowhere; there are the attributes {known}, and paths into "
            "the event's data, such as data.package.carrier.code"
        )
    nodes = _roots()
    for number, part in enumerate(rest, start=1):
        fields = _fields(nodes)
        if fields is None:  # what a source names as it likes
            return
        if part not in fields:
            here = ".".join(["data", *rest[: number - 1]])
            known = ", ".join(fields) or "nothing"
            raise ValueError(f"{where}: {path!r} leads nowhere: in {here} there is {known}")
        nodes = fields[part]


@cache
def known_paths() -> tuple[list[str], list[str]]:
    """Every path there is, and those of them below which any name is right."""
    found, free = list(ATTRIBUTES), list[str]()
    waiting = [("data", _roots())]
    while waiting:
        path, nodes = waiting.pop()
        fields = _fields(nodes)
        if fields is None:
            free.append(path)
            continue
        below = [(f"{path}.{name}", kinds) for name, kinds in fields.items()]
        found += [name for name, _ in below]
        waiting += below
    return sorted(found), sorted(free)


@cache
def _fields(annotations: tuple[Any, ...]) -> dict[str, tuple[Any, ...]] | None:
    """The fields of the models among these, with what they may hold; None: any name is right."""
    found: dict[str, dict[Any, None]] = {}
    for annotation in _taken_apart(annotations):
        if annotation in {Any, dict}:
            return None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            for name, field in annotation.model_fields.items():
                found.setdefault(name, {})[field.annotation] = None
    return {name: tuple(kinds) for name, kinds in found.items()}


def _roots() -> tuple[Any, ...]:
    return tuple(event.model_fields["data"].annotation for event in EVENT_CLASSES)


def _taken_apart(annotations: Iterable[Any]) -> Iterator[Any]:
    """Unions, lists and aliases opened up; a mapping is `dict`."""
    for annotation in annotations:
        origin = getattr(annotation, "__origin__", None)
        if origin is dict:
            yield dict
        elif inner := get_args(annotation):
            yield from _taken_apart(inner)
        else:
            yield annotation
