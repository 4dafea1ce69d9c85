"""Reading a body within its bounds."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import pytest

from services.poller.http import BODY_BYTES_MAX, Encoded, TooLarge, read_body

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


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, gzip"])
async def test_what_cannot_be_decompressed_is_refused(encoding: str) -> None:
    """An encoding nobody asked for, or a gzip that ends in the middle."""
    with pytest.raises(Encoded):
        await read_body(chunks(gzip.compress(b"abc" * 1000)[:-9]), encoding)
