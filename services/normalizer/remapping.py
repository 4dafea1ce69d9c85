"""What mapping a stored raw record again would change, and its copy that makes it so.  Pure.

The copy is judged by the very functions that the normalizer judges it by once it is on raw; who
asks here writes nothing but the copy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from aiokafka import ConsumerRecord

from bus.errors import SetAside
from bus.transaction import Record
from schemas.raw import REDRIVE_HEADER, REMAP_HEADER
from services.normalizer.mapper import Mapper
from services.normalizer.model import Change, Fulfillment
from services.normalizer.observation import observed, provenance_of

SILENT = "state only"  # the kind of a change that no event tells
SHORT_MAX = 120  # characters of a value in a line
NEVER_COMPARED = frozenset({"revision", "raw", "observed_at"})


@dataclass(frozen=True, slots=True)
class Remapped:
    """What became of one fulfillment; `changes` are (kind, what in words), none: the same.

    `kind` is an event's type, or `SILENT`.  `refused`: it cannot be mapped any more, and why.
    """

    key: str
    changes: tuple[tuple[str, str], ...] = ()
    refused: str = ""


def remapped(
    stored: Fulfillment, record: ConsumerRecord, mappers: Mapping[str, Mapper]
) -> Remapped:
    """What the normalizer would make of a copy of `record`, which `stored` follows from."""
    copy = replace(record, headers=tuple(_headers(record)))
    try:
        _, provenance = provenance_of(copy)
        outcome = observed(copy, provenance, mappers, lambda: stored)
    except SetAside as error:
        return Remapped(stored.key, refused=f"{error.path}: {error.reason}")
    if outcome.state is None:
        return Remapped(stored.key)
    told = [(one.type, "; ".join(map(_words, one.data.changes))) for one in outcome.events]
    silent = [(SILENT, ", ".join(_fields(stored, outcome.state)))]
    return Remapped(stored.key, tuple(told or silent))


def copied(record: ConsumerRecord, key: str) -> Record:
    """The record once more, for its own partition of raw."""
    return Record(record.topic, record.partition, key, record.value, _headers(record))


def _headers(record: ConsumerRecord) -> list[tuple[str, bytes]]:
    """Its own, and where it is: a copy of a copy names the copy."""
    copies = {REMAP_HEADER, REDRIVE_HEADER}
    place = f"{record.topic}/{record.partition}/{record.offset}"
    own = [(name, value) for name, value in record.headers if name not in copies]
    return [*own, (REMAP_HEADER, place.encode())]


def _fields(before: Fulfillment, after: Fulfillment) -> list[str]:
    """The names of what differs, a package's by its place."""
    return sorted(_differing(json.loads(before.to_json()), json.loads(after.to_json()), ""))


def _differing(before: Any, after: Any, path: str) -> list[str]:
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        names = (before.keys() | after.keys()) - NEVER_COMPARED
        parts = [(before.get(name), after.get(name), f"{path}.{name}") for name in names]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        parts = [(old, new, f"{path}[{place}]") for place, (old, new) in pairs]
    else:
        return [path.lstrip(".")]
    return [name for old, new, place in parts for name in _differing(old, new, place)]


def _words(change: Change) -> str:
    return f"{change.field} {_short(change.before)} -> {_short(change.after)}"


def _short(value: Any) -> str:
    """JSON, cut for a line."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= SHORT_MAX else text[:SHORT_MAX] + "…"
