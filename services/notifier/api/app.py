"""The API as one application, put together from what `routes/` holds."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Protocol, cast

from fastapi import APIRouter, FastAPI

from services.notifier.api import problems, routes
from services.notifier.api.context import Context


class _RoutesModule(Protocol):
    def router(self, context: Context) -> APIRouter: ...


def application(context: Context) -> FastAPI:
    """To be mounted at `/v1`."""
    app = FastAPI(
        title="Shipfeed subscriptions",
        version="1",
        docs_url=None,
        redoc_url=None,
        exception_handlers={problems.Problem: problems.answer},
    )
    for found in sorted(module.name for module in pkgutil.iter_modules(routes.__path__)):
        module = import_module(f"{routes.__name__}.{found}")
        app.include_router(cast("_RoutesModule", module).router(context))
    return app
