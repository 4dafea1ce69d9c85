"""The simulated upstreams: every module in this folder is one, its file name is its id.

Each has `simulate(world, *, token, requests_per_second, page_size_max)` giving a Simulator, and
`ACCOUNT`: what an account of it is configured with beside base_url and secrets, all of which are
the token. One whose orders another system ships names that in `FULFILLED_FROM`: it is written to.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from testbed.oddities import Oddities
from testbed.simulator import Simulator
from testbed.world import World


def simulators() -> dict[str, ModuleType]:
    """Every simulated upstream by its id."""
    names = (info.name for info in pkgutil.iter_modules(__path__))
    found = sorted(name for name in names if not name.startswith("_"))
    return {name: import_module(f"{__name__}.{name}") for name in found}


def fulfilled_from() -> dict[str, str]:
    """Those that are written to, and whose packages fulfill their orders."""
    found = {name: getattr(one, "FULFILLED_FROM", None) for name, one in simulators().items()}
    return {name: shipper for name, shipper in found.items() if shipper is not None}


def playing(
    worlds: Mapping[str, World], *, odd_seed: int | None = None, **settings: Any
) -> dict[str, Simulator]:
    """Each system showing its world, and selling what another one of them ships.

    With `odd_seed` their records are as odd as real ones; `settings` as `simulate` takes them.
    """
    found: dict[str, Simulator] = {
        source: simulators()[source].simulate(world, **settings) for source, world in worlds.items()
    }
    if odd_seed is not None:
        for source, simulator in found.items():
            simulator.oddities = Oddities(odd_seed, source)
    for source, shipper in fulfilled_from().items():
        if source in found and shipper in worlds:
            found[source].sell(worlds[shipper].placed(), shipped_by=shipper)
    return found
