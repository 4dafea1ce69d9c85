"""Who may use the API: this machine alone until there is a key, keys alone from then on.

`read` may GET, `admin` may all.  Without a key a browser on this machine could be talked into
asking for somebody else, so the `Host` header must name this machine, too, and nobody may have
forwarded the request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from schemas.api_key import ApiKey
from services.notifier.api.context import Context
from services.notifier.api.problems import Problem
from services.notifier.api_keys import expired, recognized

ADVICE = "make a key with `shipfeed api-keys create NAME`"
READING = frozenset({"GET", "HEAD"})
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
BEARER = "bearer"


def admitted(context: Context, scope: Scope) -> ApiKey | None:
    """The key that a request came with; none: this machine's own.

    Asks what this copy knows at the moment.  Raises Problem: 401 or 403.
    """
    headers = Headers(scope=scope)
    keys = context.endpoints.api_keys()
    if not keys:
        client = scope.get("client") or ("", 0)
        _check_local(context.settings.http_host, str(client[0]), headers)
        return None
    return _checked(_token(headers), keys, str(scope["method"]), context.clock.now())


def _check_local(bound_to: str, client: str, headers: Mapping[str, str]) -> None:
    if not is_loopback(bound_to):
        raise _forbidden(f"this copy listens on {bound_to} and there is no API key: {ADVICE}")
    if any(name in headers for name in FORWARDED) or not is_loopback(client):
        raise _forbidden(f"without an API key only this machine may ask: {ADVICE}")
    named = [_host_of(f"//{headers.get('host', '')}"), _host_of(headers.get("origin", ""))]
    if not is_loopback(named[0]) or ("origin" in headers and not is_loopback(named[1])):
        raise _forbidden(
            f"without an API key the Host header must name this machine, as localhost: {ADVICE}"
        )


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own, whatever a resolver says."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _token(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != BEARER or not token:
        raise _unauthorized("an API key is needed: send it as `Authorization: Bearer KEY`")
    return token.strip()


def _checked(token: str, keys: Sequence[ApiKey], method: str, now: datetime) -> ApiKey:
    key = recognized(token, keys)
    if key is None:
        raise _unauthorized(f"this is no API key, or it was revoked: {ADVICE}")
    if expired(key, now):
        raise _unauthorized(f"the API key {key.id} ({key.name}) has expired: {ADVICE}")
    if key.scope != "admin" and method not in READING:
        raise _forbidden(
            f"the API key {key.id} ({key.name}) may read only: use one of scope admin to {method}"
        )
    return key


def _unauthorized(detail: str) -> Problem:
    return Problem(401, "Unauthorized", detail, headers={"www-authenticate": "Bearer"})


def _forbidden(detail: str) -> Problem:
    return Problem(403, "Forbidden", detail)
