"""The API as one application, put together from what `routes/` holds."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Protocol, cast

from fastapi import APIRouter, FastAPI, Security
from fastapi.security import HTTPBearer
from starlette.middleware import Middleware

from services.notifier.api import problems, routes
from services.notifier.api.context import Context
from services.notifier.api.gate import Gate

# Tells the OpenAPI document alone; `auth` decides.
BEARER = HTTPBearer(
    scheme_name="API key", description="needed once there is a key", auto_error=False
)


class _RoutesModule(Protocol):
    def router(self, context: Context) -> APIRouter: ...


def application(context: Context) -> FastAPI:
    """To be mounted at `/v1`."""
    app = FastAPI(
        title="Shipfeed subscriptions",
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=problems.HANDLERS,
        responses=problems.RESPONSES,
        dependencies=[Security(BEARER)],
        middleware=[Middleware(Gate, context=context)],
    )
    for found in sorted(module.name for module in pkgutil.iter_modules(routes.__path__)):
        module = import_module(f"{routes.__name__}.{found}")
        app.include_router(cast("_RoutesModule", module).router(context))
    return app
