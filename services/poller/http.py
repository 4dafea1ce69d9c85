"""The one seam to HTTP: a request goes out, a whole body or a named failure comes back.

Straight over the connections of httpx2's own core: no redirect is followed, no cookie kept, no
proxy or credential taken from the environment.  Every wait and the decompressed size are bounded.
What an answer means is decided in `answers`.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache, lru_cache
from urllib.parse import urlencode

import httpcore2
import httpx2

from bus.clock import Clock
from services.poller.bodies import BODY_BYTES_MAX, Packed, TooLarge, read_body
from services.poller.connections import Connections
from services.poller.source import Failure, Request, Response

CONNECT_SECONDS_MAX = 5.0
PLACES_CACHED_MAX = 1024
NOT_SECRET = frozenset({"Accept", "Content-Type"})
CREDENTIAL_LENGTH_MIN = 6
BROKEN = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.UnsupportedProtocol,
    httpcore2.ConnectionNotAvailable,
)
HEADERS = {"User-Agent": "shipfeed", "Accept-Encoding": "gzip"}


class Http:
    """An account's client; `total_seconds` bounds a request from connect to last byte."""

    def __init__(self, clock: Clock, total_seconds: float) -> None:
        self._clock = clock
        self._total_seconds = total_seconds
        self._timeouts = {"connect": min(CONNECT_SECONDS_MAX, total_seconds)}
        self._connections = Connections(_tls())

    async def send(self, request: Request) -> Response | Failure:
        """Never raises for what an upstream or the network does.

        A status that is no success stands whatever becomes of its body: a 401 or a Retry-After is
        not to be lost because an error page is cut, endless or wrongly labeled.
        """
        heard: list[Response] = []
        try:
            async with asyncio.timeout(self._total_seconds):
                await self._exchange(request, heard)
        except (TimeoutError, httpcore2.TimeoutException) as error:
            failure = Failure("timeout", f"{type(error).__name__} within {self._total_seconds} s")
        except TooLarge:
            failure = Failure("too_large", f"the body has more than {BODY_BYTES_MAX} bytes")
        except (Packed, zlib.error) as error:
            failure = Failure("unreadable", f"the body cannot be decompressed: {error}")
        except (httpcore2.LocalProtocolError, UnicodeEncodeError) as error:
            # Its text shows the header it refuses, which may be the credential.
            failure = Failure("connection", f"{type(error).__name__}: the request cannot be sent")
        except (*BROKEN, httpx2.InvalidURL, OSError) as error:
            failure = Failure("connection", f"{type(error).__name__}: {error}")
        return heard[-1] if heard else failure

    async def close(self) -> None:
        """Close every connection."""
        await self._connections.close()

    async def _exchange(self, request: Request, heard: list[Response]) -> None:
        """Add the answer to `heard`: at once without its body where it is no success."""
        requested_at = self._clock.now()
        place = _place(request.url)
        asked = httpcore2.Request(
            request.method,
            place.url(request.params),
            headers=_as_bytes(place.host, request),
            content=request.body or None,
            extensions={"timeout": self._timeouts},
        )
        async with (
            self._connections.lent(asked.url.origin) as connection,
            aclosing(await connection.handle_async_request(asked)) as answer,
        ):
            headers, status = _by_name(answer.headers), answer.status
            if status != 200:
                heard.append(Response(status, headers, b"", requested_at))
            assert isinstance(answer.stream, AsyncIterable), "an async connection gave it"
            encoding = headers.get("content-encoding", "")
            body = await read_body(answer.stream, encoding, headers.get("content-type", ""))
        if status != 200:
            body = redacted(body, request.headers)
        heard.append(Response(status, headers, body, requested_at))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a URL leads: parsed once for all requests to it, whatever their parameters."""

    scheme: bytes
    hostname: bytes
    port: int | None
    host: bytes
    path: bytes
    target: bytes

    def url(self, params: Mapping[str, str]) -> httpcore2.URL:
        """With its own query, or with `params` in its place."""
        target = self.path + b"?" + urlencode(params).encode() if params else self.target
        return httpcore2.URL(scheme=self.scheme, host=self.hostname, port=self.port, target=target)


@lru_cache(maxsize=PLACES_CACHED_MAX)
def _place(url: str) -> _Place:
    """Raises httpx2.InvalidURL."""
    parsed = httpx2.URL(url)
    path, _, _ = parsed.raw_path.partition(b"?")
    return _Place(
        parsed.raw_scheme, parsed.raw_host, parsed.port, parsed.netloc, path, parsed.raw_path
    )


def _as_bytes(host: bytes, request: Request) -> list[tuple[bytes, bytes]]:
    """Raises UnicodeEncodeError for a header that is not ASCII."""
    headers = {**HEADERS, **request.headers}
    if request.body:
        headers["Content-Length"] = str(len(request.body))
    pairs = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
    return [(b"Host", host), *pairs]


def _by_name(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Names in lower case; what is said twice is joined by a comma."""
    found: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def redacted(body: bytes, sent: Mapping[str, str]) -> bytes:
    """An error's body without what the request's headers said: some upstreams repeat it, and an
    error may be set aside whole.
    """
    words = [word for name in sent.keys() - NOT_SECRET for word in sent[name].split()]
    for word in words:
        if len(word) >= CREDENTIAL_LENGTH_MIN:
            body = body.replace(word.encode(errors="replace"), b"***")
    return body


@cache
def _tls() -> ssl.SSLContext:
    """One for all accounts: reading the authorities' certificates takes 20 ms."""
    return httpx2.create_ssl_context(trust_env=False)
