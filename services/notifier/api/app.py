"""The API as one application, put together from what `routes/` holds."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module
from typing import Any, Protocol, cast

from fastapi import APIRouter, FastAPI, Security
from fastapi.security import HTTPBearer
from starlette.middleware import Middleware
from starlette.routing import Mount

from services.notifier.api import problems, routes
from services.notifier.api.context import Context
from services.notifier.api.gate import Gate
from services.notifier.filters import TEXT_LENGTH_MAX
from services.notifier.paths import known_paths

# Tells the OpenAPI document alone; `auth` decides.
BEARER = HTTPBearer(
    scheme_name="API key", description="needed once there is a key", auto_error=False
)
COMPARING = {"Exact", "Prefix", "Suffix"}
TEXT = {"type": "string", "minLength": 1, "maxLength": TEXT_LENGTH_MAX}


class Api(FastAPI):
    """FastAPI with what no model can say: which paths a filter may name."""

    def openapi(self) -> dict[str, Any]:
        """OpenAPI 3.1."""
        if self.openapi_schema is None:
            schemas = super().openapi().get("components", {}).get("schemas", {})
            for name in COMPARING & schemas.keys():
                (comparisons,) = schemas[name]["properties"].values()
                comparisons |= {"propertyNames": _paths(), "additionalProperties": TEXT}
        return super().openapi()


def _paths() -> dict[str, Any]:
    """One pattern: tools try each value of a list."""
    paths, free = known_paths()
    known, below = ("|".join(map(re.escape, some)) for some in (paths, free))
    return {"pattern": rf"^({known}|({below})\.[A-Za-z0-9_]{{1,64}})$"}


class _RoutesModule(Protocol):
    def router(self, context: Context) -> APIRouter: ...


def mounted(context: Context) -> Mount:
    """At `/v1`, whatever comes after it: a path with a line feed in it, too, is answered here."""
    mount = Mount("/v1", application(context))
    mount.path_regex = re.compile(mount.path_regex.pattern, re.DOTALL)
    return mount


def application(context: Context) -> FastAPI:
    """To be mounted at `/v1`."""
    app = Api(
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
    served = list(app.routes)
    for found in sorted(module.name for module in pkgutil.iter_modules(routes.__path__)):
        module = import_module(f"{routes.__name__}.{found}")
        router = cast("_RoutesModule", module).router(context)
        app.include_router(router)
        served += router.routes
    app.state.served = served  # app.routes hides those of routers, which a 405 has to name
    return app
