"""The upstream systems.  The folder is the registry: every module in it is a source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from services.poller.source import AccountSettings, Login, Rate, Stream


@dataclass(frozen=True, slots=True)
class Source:
    """A discovered source module; `about` is what it says of the upstream."""

    name: str
    about: str
    settings: type[AccountSettings]
    rate: Rate
    streams: Callable[[Any], Sequence[Stream]]
    login: Callable[[Any], Login | None]
    by_id: Callable[[Any, str], Stream | None]


@cache
def sources() -> dict[str, Source]:
    """Every source by its id, the module's file name."""
    return {info.name: _source(info.name) for info in iter_modules(__path__)}


def _source(name: str) -> Source:
    module = import_module(f"{__name__}.{name}")
    return Source(
        name,
        module.__doc__ or "",
        module.Settings,
        module.RATE,
        module.streams,
        getattr(module, "login", _none),
        getattr(module, "by_id", _none),
    )


def _none(*_: object) -> None:
    """Of a source that has no such thing."""
