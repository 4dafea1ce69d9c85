"""The rules of Digital River's lists: newest first, filtered, paged by the id of a neighbor.

The refusal of an unknown cursor id (404) and that a plain `createdTime` means "at that second" are
assumed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

PAGE_SIZE_DEFAULT = 10
PAGE_SIZE_MAX = 100
PAGING = {"limit", "startingAfter", "endingBefore"}

Body = dict[str, Any]
Match = Callable[[Body], bool]
# A filter's values, in the order they were given, to what passes.
Filter = Callable[[list[str]], Match]


class Refused(Exception):
    """A request that this API does not carry out, with what its error says."""

    def __init__(
        self, parameter: str, message: str, *, code: str = "invalid_parameter", status: int = 400
    ) -> None:
        super().__init__(message)
        self.parameter = parameter
        self.code = code
        self.status = status


def page(
    rows: Sequence[Body],
    pairs: Sequence[tuple[str, str]],
    filters: Mapping[str, Filter],
    *,
    page_size_max: int = PAGE_SIZE_MAX,
) -> tuple[list[Body], bool]:
    """What a query gives of rows that are in the list's order, and whether more follow.

    Raises Refused.
    """
    query: dict[str, list[str]] = {}
    for name, value in pairs:
        query.setdefault(name, []).append(value)
    if unknown := query.keys() - filters.keys() - PAGING:
        name = min(unknown)
        raise Refused(name, f"There is no parameter {name}.", code="unknown_parameter")
    size = min(_limit(query.get("limit", [str(PAGE_SIZE_DEFAULT)])[-1]), page_size_max)
    matches = [filters[name](values) for name, values in query.items() if name in filters]
    wanted = [one for one in rows if all(match(one) for match in matches)]
    name = "endingBefore" if "endingBefore" in query else "startingAfter"
    if name not in query:
        return wanted[:size], len(wanted) > size
    neighbor = query[name][-1]
    at = next((i for i, one in enumerate(wanted) if one["id"] == neighbor), None)
    if at is None:
        raise Refused(name, f"There is no {neighbor} in this list.", status=404)
    if name == "endingBefore":
        return wanted[max(0, at - size) : at], at > size
    return wanted[at + 1 : at + 1 + size], at + 1 + size < len(wanted)


def exact(name: str) -> Filter:
    """Those whose field of this name is the value."""
    return lambda values: lambda one: str(one.get(name)) == values[-1]


def one_of(name: str) -> Filter:
    """Those whose field of this name is one of the values."""
    return lambda values: lambda one: str(one.get(name)) in values


def at_times(name: str) -> dict[str, Filter]:
    """Filters for a time: at a second, or `name[gt]` and its like."""
    bounds = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}
    found = {f"{name}[{word}]": _at_time(f"{name}[{word}]", one) for word, one in bounds.items()}
    return {name: _at_time(name, operator.eq), **found}


def instant(value: Any) -> datetime:
    """A time of a body: a text, or the object a Java program would print."""
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    names = ("year", "monthValue", "dayOfMonth", "hour", "minute", "second")
    year, month, day, hour, minute, second = (value.get(name, 0) for name in names)
    zone = timezone(timedelta(seconds=value.get("offset", {}).get("totalSeconds", 0)))
    return datetime(year, month, day, hour, minute, second, tzinfo=zone)


def stamp(at: datetime) -> str:
    """A time as this API writes it, to the second."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _at_time(name: str, compare: Callable[[datetime, datetime], bool]) -> Filter:
    def matching(values: list[str]) -> Match:
        try:
            bound = datetime.fromisoformat(values[-1])
        except ValueError as error:
            raise Refused(name, f"{values[-1]!r} is not an ISO-8601 time.") from error
        if bound.tzinfo is None:
            raise Refused(name, f"{values[-1]!r} has no time zone.")
        return lambda one: compare(instant(one[name.partition("[")[0]]), bound)

    return matching


def _limit(given: str) -> int:
    if not given.isdecimal() or not 1 <= int(given) <= PAGE_SIZE_MAX:
        raise Refused("limit", f"limit must be 1 to {PAGE_SIZE_MAX}, not {given!r}.")
    return int(given)
