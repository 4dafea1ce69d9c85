"""Who may use the API: this machine alone until there is a key, keys alone from then on.

`read` may GET, `admin` may all.  Without a key a browser on this machine could be made to ask for
somebody else, and a proxy on it asks for anybody: `check_local` refuses what can be told from a
request of this machine's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from schemas.api_key import ApiKey
from services.notifier.api.context import Context
from services.notifier.api.problems import Problem
from services.notifier.api_keys import expired, has_unknown_id, recognized

ADVICE = "make a key with `shipfeed api-keys create NAME`"
READING = frozenset({"GET", "HEAD"})
# What proxies, load balancers and content networks add, as far as it is known.
_FORWARDED = re.compile(
    r"via$|forwarded|x-forwarded|x-original-|x-real-|x-client-ip$|x-cluster-client-|x-remote-|x-host$"
    r"|x-proxy|proxy-|client-ip$|true-client-ip$|wl-proxy-|max-forwards$|cdn-|cf-|fastly-|fly-"
    r"|x-envoy-|x-amzn?-|x-azure-|x-appengine-|x-cloud-trace-|x-arr-|x-vercel-|x-nginx-|x-scheme$"
    r"|x-url-scheme$|front-end-https$"
)
BEARER = "bearer"


def admitted(context: Context, scope: Scope) -> ApiKey | None:
    """The key that a request came with; none: this machine's own.

    Asks what this copy knows at the moment.  Raises Problem: 401 or 403.
    """
    headers = Headers(scope=scope)
    keys = context.endpoints.api_keys()
    if not context.endpoints.has_api_key():
        check_local(context.settings.http_host, scope)
        return None
    return _checked(_token(headers), keys, str(scope["method"]), context.clock.now())


def names_unknown_key(context: Context, scope: Scope) -> bool:
    """Whether a request names a key that this copy does not know: it may be a new one."""
    token = _bearer(Headers(scope=scope))
    return has_unknown_id(token, context.endpoints.api_keys())


def check_local(bound_to: str, scope: Scope) -> None:
    """Raises Problem (403) for what did not begin on this machine, or was begun by a foreign page.

    What a proxy or a tunnel on this machine passes on looks local: it is told by its headers, by
    HTTP/1.0 (what nginx speaks unless it is told otherwise) and by a Host that is not ours.
    """
    headers = Headers(scope=scope)
    client = str((scope.get("client") or ("", 0))[0])
    if not is_loopback(bound_to):
        raise _not_local(f"this copy listens on {bound_to}, where every request needs one")
    if not is_loopback(client):
        raise _not_local("this request comes from another one")
    if forwarded := sorted(name for name in headers if _FORWARDED.match(name)):
        raise _not_local(f"the header {forwarded[0]} says that a proxy forwarded this request")
    if scope.get("http_version") in ("0.9", "1.0"):
        raise _not_local("HTTP/1.0 is what proxies speak: ask with HTTP/1.1")
    host = headers.get("host", "")
    _check_host(host, scope.get("server"))
    if (site := headers.get("sec-fetch-site", "none")) not in ("none", "same-origin"):
        raise _not_local(f"a web page of another origin asks (Sec-Fetch-Site: {site})")
    if (origin := headers.get("origin")) is not None and origin.lower() != f"http://{host}".lower():
        raise _not_local(f"a web page of another origin asks, expected http://{host}")


def _check_host(host: str, server: tuple[str, int | None] | None) -> None:
    name, port = _host_and_port(host)
    if not is_loopback(name):
        raise _not_local("the Host header must name this machine, as localhost")
    served = server[1] if server else None
    if served is not None and port != served:
        raise _not_local(
            f"the Host header must name port {served}, where this copy listens, not {port}"
        )


def _host_and_port(host: str) -> tuple[str, int]:
    """Empty and 80 for what is none."""
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname or "", parts.port or 80
    except ValueError:
        return "", 80


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own, whatever a resolver says."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _token(headers: Mapping[str, str]) -> str:
    if not (token := _bearer(headers)):
        raise _unauthorized("an API key is needed: send it as `Authorization: Bearer KEY`")
    return token


def _bearer(headers: Mapping[str, str]) -> str:
    """Empty where there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == BEARER else ""


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


def _not_local(why: str) -> Problem:
    return _forbidden(f"without an API key only this machine is let in, and {why}: {ADVICE}")


def _forbidden(detail: str) -> Problem:
    return Problem(403, "Forbidden", detail)
