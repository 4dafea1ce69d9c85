"""Records that a command cannot read: left out of what it shows, and reported on stderr.

A command only looks; a service that meets such a record decides by itself what becomes of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TypeVar

from pydantic import ValidationError

from schemas.topics import Topic

T = TypeVar("T")
REASON_MAX = 300  # characters of what a record may say about itself


def readable(
    topic: Topic, values: Iterable[tuple[str, bytes]], read: Callable[[bytes], T]
) -> list[tuple[str, T]]:
    """Key and record of each value that can be read; the others are reported."""
    found = []
    for key, value in values:
        try:
            found.append((key, read(value)))
        except ValueError as error:
            report(topic, f"the record of key {key!r}", error)
    return found


def report(topic: Topic, what: str, error: ValueError) -> None:
    """Print on stderr which record is left out, and why."""
    sys.stderr.write(f"shipfeed: {topic.name}: {what} is left out: {reason_of(error)}\n")


def reason_of(error: ValueError) -> str:
    """What is wrong with a record, on one line."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        text = f"{where}: {first['msg']}" if where else str(first["msg"])
    else:
        text = str(error)
    return " ".join(text.split())[:REASON_MAX]
