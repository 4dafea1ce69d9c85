"""The folder is the registry: every module is a target, its file name is its `system`."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol, cast

from bus.errors import BadConfig
from services.notifier.channel import Surroundings
from services.notifier.guard import AddressRefused, checked_url
from services.notifier.target import WriteTarget
from services.notifier.write_backs.settings import TargetEntry


class _Module(Protocol):
    BASE_URL: str

    def open_target(
        self, entry: TargetEntry, secret: str, surroundings: Surroundings
    ) -> WriteTarget: ...


@cache
def systems() -> tuple[str, ...]:
    """Every system that can be written to, in the order of the alphabet."""
    return tuple(sorted(found.name for found in iter_modules(__path__)))


def open_target(entry: TargetEntry, secret: str, surroundings: Surroundings) -> WriteTarget:
    """The account of a `[[targets]]` table; `secret` is the key itself, not where it is.

    Raises BadConfig for a system that nobody knows, and a base_url that cannot be gone to.
    """
    where = f"[[targets]] {entry.name}"
    if entry.system not in systems():
        known = ", ".join(systems())
        raise BadConfig(f"{where} system: {entry.system!r} is not known; there are: {known}")
    module = cast("_Module", import_module(f"{__name__}.{entry.system}"))
    base_url = entry.base_url or module.BASE_URL
    try:
        if "?" in checked_url(base_url):
            raise ValueError("the URL may carry no ?query: paths are appended to it")
        surroundings.egress.check(base_url)
    except (ValueError, AddressRefused) as error:
        raise BadConfig(f"{where} base_url: {error}") from error
    return module.open_target(entry.model_copy(update={"base_url": base_url}), secret, surroundings)
