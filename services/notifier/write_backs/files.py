"""The small JSON files that a write_back subscription names: which order, and what items cost.

They are read again whenever they have changed.  One that cannot be read, or is not what it should
be, changes nothing: what it last said stays in force, and the log says what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Generic, TypeVar

import msgspec
import structlog

FILE = "file:"
BYTES_MAX = 8 * 1024 * 1024
_Decimal = Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?$")]

T = TypeVar("T")

log = structlog.get_logger(__name__)


class ItemCosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a single piece of a product costs, as decimal strings."""

    distributor_cost: _Decimal | None = None
    shipping_cost: _Decimal | None = None


OrderIds = Mapping[str, str]
Costs = Mapping[str, ItemCosts]


class BadFile(Exception):
    """The text names the file and what is wrong with it."""


class Watched(Generic[T]):
    """What the file at `path` says."""

    def __init__(self, path: Path, parse: Callable[[bytes], T]) -> None:
        self._path = path
        self._parse = parse
        self._seen: object = None
        self._value: T | None = None

    def value(self) -> T:
        """As the file is now; as it last was, where it is no good now.

        Raises BadFile when it never was any good.
        """
        seen = self._looked_at()
        if seen != self._seen:
            self._seen = seen
            try:
                self._value = self._read()
            except BadFile as error:
                if self._value is None:
                    self._seen = None
                    raise
                log.warning("notifier.write_back_file_unread", error=str(error))
        assert self._value is not None, "read at least once"
        return self._value

    def _looked_at(self) -> object:
        try:
            found = self._path.stat()
        except OSError as error:
            return str(error)
        return (found.st_mtime_ns, found.st_size, found.st_ino)

    def _read(self) -> T:
        try:
            if self._path.stat().st_size > BYTES_MAX:
                raise BadFile(f"{self._path} is larger than {BYTES_MAX} bytes: split it")
            return self._parse(self._path.read_bytes())
        except OSError as error:
            raise BadFile(f"{self._path} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise BadFile(f"{self._path} is not the JSON object it should be: {error}") from error


def order_ids(order: str) -> Watched[OrderIds] | None:
    """The map behind `file:PATH`; None when no map is asked for."""
    if not order.startswith(FILE):
        return None
    return Watched(Path(order.removeprefix(FILE)), partial(_parsed, dict[str, str]))


def item_costs(costs: str) -> Watched[Costs]:
    """The costs behind `file:PATH`."""
    return Watched(Path(costs.removeprefix(FILE)), partial(_parsed, dict[str, ItemCosts]))


def _parsed(model: type[T], text: bytes) -> T:
    """Raises ValueError."""
    return msgspec.convert(json.loads(text, object_pairs_hook=_each_once), model)


def _each_once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Which of two values counts is nobody's guess."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{max(names, key=names.count)} stands there twice")
    return found
