"""The simulated upstreams: every module in this folder is one, its file name is its id.

Each has `simulate(world, *, token, requests_per_second, page_size_max)` giving a Simulator, and
`ACCOUNT`: what an account of it is configured with beside base_url and secrets, all of which are
the token.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType


def simulators() -> dict[str, ModuleType]:
    """Every simulated upstream by its id."""
    names = (info.name for info in pkgutil.iter_modules(__path__))
    found = sorted(name for name in names if not name.startswith("_"))
    return {name: import_module(f"{__name__}.{name}") for name in found}
