"""The one seam to HTTP: a request goes out, a whole body or a named failure comes back.

No redirect is followed, no proxy or credential is taken from the environment, every wait and the
decompressed size are bounded.  What an answer means is decided in `answers`.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping
from datetime import datetime

import httpx2

from bus.clock import Clock
from services.poller.source import Failure, Request, Response

CONNECT_SECONDS_MAX = 5.0
BODY_BYTES_MAX = 16 * 1024 * 1024
CONNECTIONS_MAX = 4
NOT_SECRET = frozenset({"Accept", "Content-Type"})
CREDENTIAL_LENGTH_MIN = 6
GZIP_WINDOW = 31  # zlib's word for a gzip stream


class TooLarge(Exception):
    """The body has more than BODY_BYTES_MAX bytes, decompressed."""


class Encoded(Exception):
    """The body's encoding was not asked for, or it ends in the middle."""


class Http:
    """An account's client; `total_seconds` bounds a request from connect to last byte."""

    def __init__(self, clock: Clock, total_seconds: float) -> None:
        self._clock = clock
        self._total_seconds = total_seconds
        self._client = httpx2.AsyncClient(
            follow_redirects=False,
            trust_env=False,
            timeout=httpx2.Timeout(total_seconds, connect=min(CONNECT_SECONDS_MAX, total_seconds)),
            limits=httpx2.Limits(max_connections=CONNECTIONS_MAX),
            headers={"User-Agent": "shipfeed", "Accept-Encoding": "gzip"},
        )

    async def send(self, request: Request) -> Response | Failure:
        """Never raises for what an upstream or the network does."""
        requested_at = self._clock.now()
        try:
            async with asyncio.timeout(self._total_seconds):
                return await self._answer(request, requested_at)
        except (TimeoutError, httpx2.TimeoutException) as error:
            return Failure("timeout", f"{type(error).__name__} within {self._total_seconds} s")
        except TooLarge:
            return Failure("too_large", f"the body has more than {BODY_BYTES_MAX} bytes")
        except (Encoded, zlib.error) as error:
            return Failure("unreadable", f"the body cannot be decompressed: {error}")
        except (httpx2.LocalProtocolError, UnicodeEncodeError) as error:
            # Its text shows the header it refuses, which may be the credential.
            return Failure("connection", f"{type(error).__name__}: the request cannot be sent")
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError) as error:
            return Failure("connection", f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def _answer(self, request: Request, requested_at: datetime) -> Response:
        headers = dict(request.headers)
        params = dict(request.params) or None  # {} would cut the query off a whole URL
        async with self._client.stream(
            request.method,
            request.url,
            params=params,
            headers=headers,
            content=request.body or None,
        ) as answer:
            encoding = answer.headers.get("content-encoding", "identity").lower()
            body = await read_body(answer.aiter_raw(), encoding)
            if answer.status_code != 200:
                body = redacted(body, request.headers)
            found = {name.lower(): value for name, value in answer.headers.items()}
            return Response(answer.status_code, found, body, requested_at)


def redacted(body: bytes, sent: Mapping[str, str]) -> bytes:
    """An error's body without what the request's headers said: some upstreams repeat it, and an
    error may be set aside whole.
    """
    words = [word for name in sent.keys() - NOT_SECRET for word in sent[name].split()]
    for word in words:
        if len(word) >= CREDENTIAL_LENGTH_MIN:
            body = body.replace(word.encode(errors="replace"), b"***")
    return body


async def read_body(chunks: AsyncIterator[bytes], encoding: str) -> bytes:
    """The body, never more than the cap in memory: a small gzip can hold gigabytes.

    Raises TooLarge, Encoded, zlib.error.
    """
    if encoding not in ("identity", "gzip"):
        raise Encoded(f"content-encoding {encoding!r} was not asked for")
    gzip = zlib.decompressobj(GZIP_WINDOW) if encoding == "gzip" else None
    body = bytearray()
    async for chunk in chunks:
        room = BODY_BYTES_MAX + 1 - len(body)
        body += chunk if gzip is None else gzip.decompress(chunk, room)
        if len(body) > BODY_BYTES_MAX:
            raise TooLarge
    if gzip is not None and not gzip.eof:
        raise Encoded("it ends in the middle")
    return bytes(body)
