"""What the subscriptions topic says, taken in record by record.  Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import TypeAdapter

from bus.table import why_unreadable
from schemas.api_key import ApiKey
from schemas.command import Command
from schemas.keys import joined, split
from schemas.message import newer_version
from schemas.subscription import CursorKey, EndpointHealth, Subscription

API_KEYS = "api-key"  # no subscription may have this id
TOLD_PAUSE = timedelta(seconds=5)  # from this on; each copy hears of a shorter one by itself
K = TypeVar("K")
V = TypeVar("V")
_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)


@dataclass(slots=True)
class Known:
    """The topic's content: by subscription id, and keys by their own.

    `commands`: by subscription and number.  `end`: the topic's end, as far as it was read.  Kinds
    of records that this version does not know are passed over.  `unreadable`: why, by key; such a
    record is none of the others, and nobody writes over it but who means to.
    """

    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    health: dict[str, EndpointHealth] = field(default_factory=dict)
    commands: dict[str, dict[int, Command]] = field(default_factory=dict)
    api_keys: dict[str, ApiKey] = field(default_factory=dict)
    cursor_key: CursorKey | None = None
    unreadable: dict[str, str] = field(default_factory=dict)
    end: int = 0

    def take(self, key: str, value: bytes | None) -> None:
        """One record.  Raises ValueError when it is of a newer major version."""
        self.unreadable.pop(key, None)
        try:
            self._take(key, value)
        except ValueError as error:
            if value is None:
                return  # the end of what was never read
            if newer_version(value):
                raise
            with suppress(ValueError):
                self._take(key, None)
            self.unreadable[key] = why_unreadable(error)

    def held(self, subscription: str) -> str | None:
        """Why a subscription stands still: its record, or its endpoint's, cannot be read."""
        for key in (subscription, health_key(subscription)):
            if key in self.unreadable:
                return f"the record {key} of subscriptions cannot be read: {self.unreadable[key]}"
        return None

    def first_unreadable_command(self, subscription: str) -> float:
        """The number of the oldest command that cannot be read; those before it can be obeyed."""
        keys = [split(key) for key in self.unreadable]
        numbers = [
            int(key[2]) for key in keys if key[:2] == [subscription, "command"] and key[2].isdigit()
        ]
        return min(numbers, default=math.inf)

    def _take(self, key: str, value: bytes | None) -> None:
        match split(key):
            case [folder, name] if folder == API_KEYS:
                _set(self.api_keys, name, value, ApiKey.model_validate_json)
            case _ if key == CursorKey.KEY:
                self.cursor_key = CursorKey.model_validate_json(value) if value else None
            case [name]:
                _set(self.subscriptions, name, value, Subscription.model_validate_json)
            case [name, "health"]:
                _set(self.health, name, value, EndpointHealth.model_validate_json)
            case [name, "command", number]:
                commands = self.commands.setdefault(name, {})
                _set(commands, int(number), value, _COMMAND.validate_json)
                if not commands:
                    del self.commands[name]


def _set(values: dict[K, V], key: K, value: bytes | None, read: Callable[[bytes], V]) -> None:
    if value is None:
        values.pop(key, None)
    else:
        values[key] = read(value)


def health_key(subscription: str) -> str:
    """`<id>/health`."""
    return joined(subscription, "health")


def passing(found: EndpointHealth, now: datetime) -> bool:
    """Whether it is nothing but a pause that is over before other copies have settled to it.

    An endpoint that asks for a second again and again would have the topic written as often, and
    whoever writes it fences whoever else does.
    """
    pause = found.paused_until
    only_a_pause = not (found.disabled_reason or found.failing_since or found.succeeded_at)
    return only_a_pause and pause is not None and pause - now < TOLD_PAUSE


def merged(before: EndpointHealth | None, found: EndpointHealth) -> EndpointHealth:
    """Two findings about one endpoint: disabled stays disabled, the longer pause holds, and a
    success ends what failed before it.  Pure.
    """
    if before is None:
        return found
    both = (before, found)
    pauses = [one.paused_until for one in both if one.paused_until is not None]
    successes = [one.succeeded_at for one in both if one.succeeded_at is not None]
    succeeded_at = max(successes, default=None)
    failing = [
        (one.failing_since, one.failed_tries)
        for one in both
        if one.failing_since is not None
        and (succeeded_at is None or one.failing_since > succeeded_at)
    ]
    return found.model_copy(
        update={
            "disabled_reason": before.disabled_reason or found.disabled_reason,
            "paused_until": max(pauses, default=None),
            "failing_since": min((since for since, _ in failing), default=None),
            "failed_tries": max((tries for _, tries in failing), default=0),
            "succeeded_at": succeeded_at,
        }
    )
