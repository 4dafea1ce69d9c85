"""What a system's answer says, as far as all systems say it alike: its status, its JSON.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

import msgspec

from schemas.message import quantity, without_lone_surrogates
from services.notifier.target import Outcome

BY_STATUS: Mapping[int, Outcome] = {
    303: "unknown",  # "see there" may be how a system says that it is done
    401: "unauthorized",
    403: "unauthorized",
    408: "unknown",
    409: "conflict",
    429: "busy",
}
CHECK_KEY = "check the key and whether it may do this; notifiers read a mended one when they start"
HINTS: Mapping[Outcome, str] = {"unauthorized": CHECK_KEY}
UNNAMED = frozenset({"", ".", ".."})
"""What no path can name as its last segment, and an empty filter does not filter."""

_Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | _Number
Text = Annotated[str, msgspec.Meta(max_length=512)] | _Number
Count = Annotated[int, msgspec.Meta(ge=0, le=10**9)]

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer, whatever it says; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    retry_after_seconds: float | None = None


def outcome_of(status: int) -> Outcome:
    """What a status that is no success says of a call; what nobody can know is unknown."""
    return BY_STATUS.get(status, "refused" if 300 <= status < 500 else "unknown")


def hint_of(status: int) -> str:
    """What to do about it, where all systems mean the same by it; else empty."""
    if 300 <= status < 400:
        return "a redirect, which is never followed: correct base_url"
    return HINTS.get(outcome_of(status), "")


def decoded(body: bytes, kind: type[S]) -> S:
    """The body as `kind`.  Raises ValueError, whatever it is."""
    try:
        return msgspec.json.decode(without_lone_surrogates(body), type=kind)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def text_of(value: str | int | None) -> str | None:
    """A text that may be missing; an empty one is."""
    return str(value).strip() or None if value is not None else None


def in_path(text: str) -> str:
    """A text as one segment of a path.  Raises ValueError for those that no path can name."""
    if text in UNNAMED:
        raise ValueError(f"{text!r} is the id of nothing")
    return quote(text, safe="", errors="replace")


def json_number(text: str | None) -> int | float | None:
    """A decimal string as JSON's number.  Raises ValueError for one that is no amount."""
    if text is None:
        return None
    amount = quantity(text)
    return int(amount) if amount.isdecimal() else float(amount)


def present(**values: Any) -> dict[str, Any]:
    """What there is of these: what is None is absent, not null."""
    return {name: value for name, value in values.items() if value is not None}
