"""The folder is the registry: every module in it is a mapper, its file name is the source's id."""

from __future__ import annotations

import importlib
import pkgutil
from typing import cast

from services.normalizer.mapper import Mapper


def discovered() -> dict[str, Mapper]:
    """Each mapper by the id of its source."""
    return {
        found.name: cast("Mapper", importlib.import_module(f"{__name__}.{found.name}"))
        for found in pkgutil.iter_modules(__path__)
    }
