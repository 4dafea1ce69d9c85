"""Records sliced out of a page byte for byte, also where one of them is no JSON a parser takes.

A lone half of a surrogate pair or absurd nesting in one record makes the parser refuse the whole
page.  It then reads a copy of the same length with those places made harmless; what is passed on
are slices of the original.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

import msgspec

from schemas.message import without_lone_surrogates
from services.poller.source import Rejected

NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
NESTING_MAX = 100  # levels a copy keeps; the parser itself gives up near 1,000

_BRACKETS_AND_STRINGS = re.compile(rb'[\[\]{}]|"(?:[^"\\]++|\\.)*+"?', re.DOTALL)

_decode_any = msgspec.json.Decoder(Any).decode

T = TypeVar("T")


class Identified(Protocol):
    """A record with an id."""

    @property
    def id(self) -> str | int:
        """As it came."""


R = TypeVar("R", bound=Identified)


def legible(decode: Callable[[bytes], T], body: bytes) -> tuple[T, bytes]:
    """`body` decoded, and the bytes it was read from: itself, or its copy.  Raises NOT_JSON."""
    try:
        return decode(body), body
    except NOT_JSON:
        copy = without_lone_surrogates(body)
    try:
        return decode(copy), copy
    except RecursionError:
        copy = flattened(copy)
    return decode(copy), copy


def slices(pieces: Iterable[msgspec.Raw], copy: bytes, body: bytes) -> Iterator[bytes]:
    """What stands in `body` where `pieces` stand, in this order, in `copy`."""
    end = 0
    for piece in pieces:
        found = bytes(piece)
        if copy is body:
            yield found
            continue
        start = copy.index(found, end)
        end = start + len(found)
        yield body[start:end]


def identified(decode: Callable[[bytes], R], body: bytes) -> tuple[R | Rejected, str]:
    """A record decoded, and its `id`; an id that two records may share is as good as none."""
    try:
        record, copy = legible(decode, body)
    except NOT_JSON as error:
        return unreadable(body, error, "id"), ""
    upstream_id = str(record.id)
    if not upstream_id or (copy is not body and "\ufffd" in upstream_id):
        return Rejected("", "$.id", "id is empty or not valid Unicode", body), ""
    return record, upstream_id


def unreadable(body: bytes, error: Exception, id_field: str) -> Rejected:
    """A record that is none, under its id where that at least can be read."""
    reason, _, path = str(error).partition(" - at ")
    return Rejected(_id_at_any_price(body, id_field), path.strip("`") or "$", reason, body)


def flattened(body: bytes) -> bytes:
    """Every array and object below NESTING_MAX levels replaced by a zero and blanks."""
    copy = bytearray(body)
    depth = start = 0
    for token in _BRACKETS_AND_STRINGS.finditer(body):
        mark = token[0]
        if mark in (b"[", b"{"):
            depth += 1
            if depth == NESTING_MAX + 1:
                start = token.start()
        elif mark in (b"]", b"}"):
            if depth == NESTING_MAX + 1:
                copy[start : token.end()] = b"0".ljust(token.end() - start)
            depth -= 1
    return bytes(copy)


def _id_at_any_price(body: bytes, id_field: str) -> str:
    try:
        value, _ = legible(_decode_any, body)
    except NOT_JSON:
        return ""  # its bytes are all there is
    found = value.get(id_field) if isinstance(value, dict) else None
    return str(found) if isinstance(found, int | str) and not isinstance(found, bool) else ""
