"""Reading a body within its bounds."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import pytest

from bus.clock import SystemClock
from services.poller.http import BODY_BYTES_MAX, Encoded, Http, TooLarge, read_body, redacted
from services.poller.source import Failure, Request

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
    with pytest.raises(Encoded):
        await read_body(chunks(gzip.compress(b"abc" * 1000)[:-9]), encoding)


def test_an_error_that_repeats_a_credential_is_read_without_it() -> None:
    """Whatever scheme stands before it; what is no secret stays."""
    sent = {"Authorization": "Bearer S3CRET-TOKEN", "Accept": "application/json"}
    body = b'{"message":"no token S3CRET-TOKEN; Bearer of application/json"}'
    assert redacted(body, sent) == b'{"message":"no token ***; *** of application/json"}'


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
