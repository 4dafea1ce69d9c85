"""The upstream systems.  The folder is the registry: every module in it is a source."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from services.poller.source import Source


@cache
def sources() -> dict[str, Source]:
    """Every source by its id, the module's file name."""
    return {info.name: _source(info.name) for info in iter_modules(__path__)}


def _source(name: str) -> Source:
    module = import_module(f"{__name__}.{name}")
    return Source(name, module.Settings, module.RATE, module.streams)
