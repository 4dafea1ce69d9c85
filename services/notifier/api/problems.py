"""Errors of the API as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """`detail` names the thing, the value and the next step; never a secret."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        members: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
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
        return JSONResponse(body, self.status, media_type=MEDIA_TYPE, headers=self.headers)


async def answer(_: Request, error: Exception) -> JSONResponse:
    """The exception handler."""
    assert isinstance(error, Problem)
    return error.response
