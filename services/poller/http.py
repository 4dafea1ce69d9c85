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
from datetime import datetime
from functools import cache, lru_cache
from urllib.parse import urlencode

import httpcore2
import httpx2

from bus.clock import Clock
from services.poller.connections import Connections
from services.poller.source import Failure, Request, Response

CONNECT_SECONDS_MAX = 5.0
BODY_BYTES_MAX = 16 * 1024 * 1024
PLACES_CACHED_MAX = 1024
NOT_SECRET = frozenset({"Accept", "Content-Type"})
CREDENTIAL_LENGTH_MIN = 6
GZIP_WINDOW = 31  # zlib's word for a gzip stream
BROKEN = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.UnsupportedProtocol,
    httpcore2.ConnectionNotAvailable,
)
HEADERS = {"User-Agent": "shipfeed", "Accept-Encoding": "gzip"}


class TooLarge(Exception):
    """The body has more than BODY_BYTES_MAX bytes, decompressed."""


class Encoded(Exception):
    """The body's encoding was not asked for, or it ends in the middle."""


class Http:
    """An account's client; `total_seconds` bounds a request from connect to last byte."""

    def __init__(self, clock: Clock, total_seconds: float) -> None:
        self._clock = clock
        self._total_seconds = total_seconds
        self._timeouts = {"connect": min(CONNECT_SECONDS_MAX, total_seconds)}
        self._connections = Connections(_tls())

    async def send(self, request: Request) -> Response | Failure:
        """Never raises for what an upstream or the network does."""
        requested_at = self._clock.now()
        try:
            async with asyncio.timeout(self._total_seconds):
                return await self._answer(request, requested_at)
        except (TimeoutError, httpcore2.TimeoutException) as error:
            return Failure("timeout", f"{type(error).__name__} within {self._total_seconds} s")
        except TooLarge:
            return Failure("too_large", f"the body has more than {BODY_BYTES_MAX} bytes")
        except (Encoded, zlib.error) as error:
            return Failure("unreadable", f"the body cannot be decompressed: {error}")
        except (httpcore2.LocalProtocolError, UnicodeEncodeError) as error:
            # Its text shows the header it refuses, which may be the credential.
            return Failure("connection", f"{type(error).__name__}: the request cannot be sent")
        except (*BROKEN, httpx2.InvalidURL, OSError) as error:
            return Failure("connection", f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        """Close every connection."""
        await self._connections.close()

    async def _answer(self, request: Request, requested_at: datetime) -> Response:
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
            headers = _by_name(answer.headers)
            assert isinstance(answer.stream, AsyncIterable), "an async connection gave it"
            body = await read_body(answer.stream, headers.get("content-encoding", "identity"))
        if answer.status != 200:
            body = redacted(body, request.headers)
        return Response(answer.status, headers, body, requested_at)


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


async def read_body(chunks: AsyncIterable[bytes], encoding: str) -> bytes:
    """The body, never more than the cap in memory: a small gzip can hold gigabytes.

    Raises TooLarge, Encoded, zlib.error.
    """
    encoding = encoding.lower()
    if encoding not in ("identity", "gzip"):
        raise Encoded(f"content-encoding {encoding!r} was not asked for")
    gzip = zlib.decompressobj(GZIP_WINDOW) if encoding == "gzip" else None
    pieces, room = [], BODY_BYTES_MAX
    async for chunk in chunks:
        piece = chunk if gzip is None else gzip.decompress(chunk, room + 1)
        room -= len(piece)
        if room < 0:
            raise TooLarge
        pieces.append(piece)
    if gzip is not None and not gzip.eof:
        raise Encoded("it ends in the middle")
    return b"".join(pieces)
