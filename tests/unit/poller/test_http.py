"""Reading a body within its bounds."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import pytest

from bus.clock import SystemClock
from services.poller.bodies import BODY_BYTES_MAX, Packed, TooLarge, read_body
from services.poller.http import Http, redacted
from services.poller.source import Failure, Request, Response

BOMB_BYTES = 8 * BODY_BYTES_MAX


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_body_is_put_together_from_its_chunks() -> None:
    """Plain and compressed alike."""
    assert await read_body(chunks(b"ab", b"", b"c"), "identity") == b"abc"
    packed = gzip.compress(b"abc" * 1000)
    assert await read_body(chunks(packed[:9], packed[9:]), "gzip") == b"abc" * 1000


async def test_a_bomb_never_unfolds_in_memory() -> None:
    """A single chunk can hold gigabytes: no more than the cap is ever decompressed."""
    compressor = zlib.compressobj(wbits=31)
    piece = bytes(BODY_BYTES_MAX)
    packed = b"".join(compressor.compress(piece) for _ in range(BOMB_BYTES // BODY_BYTES_MAX))
    del piece
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            await read_body(chunks(packed + compressor.flush()), "gzip")
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < BOMB_BYTES / 2


async def test_what_comes_behind_the_end_of_a_gzip_is_not_kept_and_not_endless() -> None:
    """Some padding is passed over; more than a body may have is too much there, too."""
    packed = gzip.compress(b"abc")
    assert await read_body(chunks(packed, b"\0" * 9), "gzip") == b"abc"
    with pytest.raises(TooLarge):
        await read_body(chunks(packed, *[bytes(2**20)] * 17), "gzip")


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, gzip"])
async def test_what_cannot_be_decompressed_is_refused(encoding: str) -> None:
    """An encoding nobody asked for, or a gzip that ends in the middle."""
    with pytest.raises(Packed):
        await read_body(chunks(gzip.compress(b"abc" * 1000)[:-9]), encoding)


def test_an_error_that_repeats_a_credential_is_read_without_it() -> None:
    """Whatever scheme stands before it; what is no secret stays."""
    sent = {"Authorization": "Bearer S3CRET-TOKEN", "Accept": "application/json"}
    body = b'{"message":"no token S3CRET-TOKEN; Bearer of application/json"}'
    assert redacted(body, sent) == b'{"message":"no token ***; *** of application/json"}'


GZIPPED = "content-encoding: gzip\r\n"
HEARD = [
    ("401 Unauthorized", GZIPPED + "content-length: 0\r\n", b""),
    ("429 Too Many Requests", GZIPPED + "content-length: 0\r\n", b""),
    ("503 Service Unavailable", GZIPPED + "content-length: 3\r\n", b"\x1f\x8b\x08"),
    ("403 Forbidden", "content-encoding: br\r\ncontent-length: 3\r\n", b"\xff\xfe\xfd"),
    ("429 Too Many Requests", "content-length: 9\r\n", b"cut"),
    ("404 Not Found", "transfer-encoding: chunked\r\n", b"no chunk\r\n"),
    ("500 Internal Server Error", f"content-length: {2 * BODY_BYTES_MAX}\r\n", b" " * 2**25),
    ("204 No Content", GZIPPED, b""),
]


@pytest.mark.parametrize(("status", "headers", "body"), HEARD)
async def test_a_status_stands_whatever_its_body_is(status: str, headers: str, body: bytes) -> None:
    """A 401 renews the token and Retry-After is obeyed, though the error page cannot be read."""
    head = f"HTTP/1.1 {status}\r\nretry-after: 7\r\n{headers}\r\n"
    outcome = await asked(head.encode() + body, 5)

    assert isinstance(outcome, Response)
    assert (int(status[:3]), "7") == (outcome.status, outcome.headers["retry-after"])


async def test_a_status_stands_though_its_body_never_ends() -> None:
    """The request's time is over then, and the headers have come."""
    head = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 9\r\n\r\n"
    outcome = await asked(head, 0.2, hangs=True)

    assert isinstance(outcome, Response)
    assert (429, b"") == (outcome.status, outcome.body)


@pytest.mark.parametrize("body", [b"", b"{}"])
async def test_a_gzip_that_is_none_is_read_as_it_is(body: bytes) -> None:
    """Proxies unpack a body and leave the label."""
    head = f"HTTP/1.1 200 OK\r\n{GZIPPED}content-length: {len(body)}\r\n\r\n"
    outcome = await asked(head.encode() + body, 5)
    assert isinstance(outcome, Response)
    assert body == outcome.body


async def asked(answer: bytes, seconds: float, *, hangs: bool = False) -> Response | Failure:
    """What a request makes of these bytes, behind which the connection ends or hangs."""
    over = asyncio.Event()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if hangs:
            await over.wait()
        writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    http = Http(SystemClock(), seconds)
    try:
        port = server.sockets[0].getsockname()[1]
        return await http.send(Request(f"http://127.0.0.1:{port}/"))
    finally:
        over.set()
        await http.close()
        server.close()


@pytest.mark.parametrize("token", ["S3CRET-TOKEN\n", "S3CRET\u2026TOKEN"])
async def test_a_credential_that_no_header_can_carry_is_not_shown(token: str) -> None:
    """The client's own text quotes the header it refuses."""
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    http = Http(SystemClock(), 5)
    try:
        url = f"http://127.0.0.1:{port}/"
        outcome = await http.send(Request(url, headers={"Authorization": token}))
    finally:
        await http.close()
        server.close()

    assert isinstance(outcome, Failure)
    assert outcome.kind == "connection"
    assert "S3CRET" not in outcome.detail
    assert "\\u" not in outcome.detail
