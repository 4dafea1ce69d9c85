"""Errors of the API as `application/problem+json` (RFC 9457).

What is raised decides the status, whatever route raised it: `HANDLERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from bus.errors import Misuse, RetryLater, Stop
from services.notifier.subscriptions import Missing, Stale

Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1


class Body(BaseModel):
    """`detail` says what to do; `errors`, which parts of a request were wrong."""

    title: str
    status: int
    detail: str


class Problem(Exception):
    """`detail` names the thing, the value and the next step; never a secret."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        members: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.members = members or {}
        self.headers = headers or {}

    @property
    def response(self) -> JSONResponse:
        """As it goes out."""
        body = {"title": self.title, "status": self.status, "detail": str(self), **self.members}
        return JSONResponse(body, self.status, media_type=MEDIA_TYPE, headers=dict(self.headers))


def unavailable(error: Exception) -> Problem:
    """503: the same may work in a moment."""
    headers = {"retry-after": str(RETRY_AFTER_SECONDS)}
    return Problem(503, "Try again", str(error), headers=headers)


def failed() -> Problem:
    """500: an error of ours, which the log has; its text may hold what the caller must not see."""
    detail = "an error of Shipfeed's own: see notifier.api_failed in the notifier's log"
    return Problem(500, "Internal server error", detail)


def invalid(error: RequestValidationError) -> Problem:
    """422, or 428 for a condition left out.  What was sent is not told: a secret may be in it."""
    found = [
        {"path": ".".join(map(str, one["loc"])), "reason": one["msg"]} for one in error.errors()
    ]
    for one, told in zip(error.errors(), found, strict=True):
        if tuple(one["loc"]) == ("header", "if-match") and one["type"] == "missing":
            return Problem(
                428, "Precondition required", "say what you change: If-Match with the ETag you read"
            )
        told["reason"] = told["reason"].removeprefix("Value error, ")
    detail = "; ".join(f"{one['path']}: {one['reason']}" for one in found[:3])
    return Problem(422, "Invalid request", detail, members={"errors": found})


def _of_starlette(error: HTTPException) -> Problem:
    title = HTTPStatus(error.status_code).phrase
    return Problem(error.status_code, title, str(error.detail), headers=error.headers)


async def wrong_method(request: Request, error: Exception) -> Response:
    """405 with every method of the path: the router knows those of one route alone."""
    assert isinstance(error, HTTPException)
    known = {
        method
        for route in request.app.state.served
        if route.matches(request.scope)[0] is not Match.NONE
        for method in getattr(route, "methods", None) or ()
    }
    allowed = ", ".join(sorted(known))
    detail = f"{request.method} is not allowed on {request.url.path}; allowed: {allowed}"
    return Problem(405, "Method not allowed", detail, headers={"allow": allowed}).response


def _told(status: int, title: str) -> Callable[[Exception], Problem]:
    return lambda error: Problem(status, title, str(error))


_KINDS: dict[type[Exception], Callable[[Any], Problem]] = {
    Problem: lambda problem: problem,
    RequestValidationError: invalid,
    HTTPException: _of_starlette,
    Missing: _told(404, "Not found"),
    Stale: _told(412, "Precondition failed"),
    Misuse: _told(409, "Conflict"),
    Stop: _told(409, "Conflict"),  # the configuration forbids it
    RetryLater: unavailable,  # Fenced too: others wrote all the time, whatever the condition said
}


def _handler(problem: Callable[[Any], Problem]) -> Handler:
    async def answer(_: Request, error: Exception) -> JSONResponse:
        return problem(error).response

    return answer


HANDLERS: dict[int | type[Exception], Handler] = {
    405: wrong_method,
    **{kind: _handler(problem) for kind, problem in _KINDS.items()},
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    code: {"description": meaning, "content": {MEDIA_TYPE: {"schema": Body.model_json_schema()}}}
    for code, meaning in {"4XX": "what to change", "5XX": "what to wait for"}.items()
}
