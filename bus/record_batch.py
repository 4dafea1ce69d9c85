"""Records as Kafka keeps them: a batch of format 2, which aiokafka's producer sends as its own.

aiokafka's builder encodes one header after the other; most of an event's eleven are known before.
So headers may come as a block made by whoever knows that, and a record is its parts joined once
(decision 0006).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

from aiokafka.record.util import calc_crc32c

NULL = b"\x01"  # in place of a length: -1
NONE = b"\0"  # of headers
MAGIC = 2
TRANSACTIONAL = 0x10
LEADER_UNKNOWN = -1
NAMES_CACHED_MAX = 1000
# Base offset, length, leader epoch, magic, checksum of all that follows; then attributes, last
# offset, first and last timestamp, producer's id and epoch, base sequence, number of records.
_BEGIN = struct.Struct(">qiibI")
_REST = struct.Struct(">hiqqqhii")
_UNCOUNTED = 12  # bytes of base offset and length
HEADER_BYTES = _BEGIN.size + _REST.size
_UNFILLED = bytes(HEADER_BYTES)

Headers = Sequence[tuple[str, bytes | None]]


def varint(number: int) -> bytes:
    """At least zero, as Kafka writes signed numbers: doubled, seven bits a byte, lowest first."""
    rest, found = number << 1, bytearray()
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    found.append(rest)
    return bytes(found)


class _Lengths(dict[int, bytes]):
    """As `varint` gives them; those in it without a call."""

    def __missing__(self, number: int) -> bytes:
        return varint(number)


LENGTHS = _Lengths({number: varint(number) for number in range(1 << 13)})  # one or two bytes: most


@lru_cache(maxsize=NAMES_CACHED_MAX)
def header_name(name: str) -> bytes:
    """The beginning of a header."""
    told = name.encode()
    return varint(len(told)) + told


def header(name: str, value: bytes | None) -> bytes:
    """One header; a block is their number, as in `LENGTHS`, and all of them."""
    if value is None:
        return header_name(name) + NULL
    return b"".join((header_name(name), LENGTHS[len(value)], value))


def block(headers: Headers) -> bytes:
    """All headers of a record."""
    return LENGTHS[len(headers)] + b"".join([header(name, value) for name, value in headers])


class RecordBatch:
    """Records of one transaction for one partition, written at `timestamp_ms`.

    All but `append` is what aiokafka asks of a builder that is full.
    """

    def __init__(self, bytes_max: int, timestamp_ms: int) -> None:
        self._bytes_max = bytes_max
        self._timestamp_ms = timestamp_ms
        self._parts: list[bytes] = []
        self._count = 0
        self._size = HEADER_BYTES
        self._producer = (-1, -1, 0)
        self._built = bytearray()

    def append(self, key: bytes, value: bytes | None, headers: bytes) -> int:
        """The size of the record in the batch; 0 when it does not fit, but the first always does.

        `headers` is their block.
        """
        parts = (NULL,) if value is None else (LENGTHS[len(value)], value)
        # No attributes, and no later than the batch; then its place in it.
        record = b"".join((b"\0\0", LENGTHS[self._count], LENGTHS[len(key)], key, *parts, headers))
        size = LENGTHS[len(record)]
        bytes_taken = len(size) + len(record)
        if self._count and self._size + bytes_taken > self._bytes_max:
            return 0
        self._parts += (size, record)
        self._count += 1
        self._size += bytes_taken
        return bytes_taken

    def size(self) -> int:
        """In bytes, as of now."""
        return self._size

    def record_count(self) -> int:
        """How many records it has."""
        return self._count

    def close(self) -> None:
        """It takes no more."""

    def closed(self) -> bool:
        """Always, so that the producer does not wait for more."""
        return True

    def _set_producer_state(self, producer_id: int, epoch: int, sequence: int) -> None:
        """Who sends it, and the number of its first record; before it is built."""
        self._producer = producer_id, epoch, sequence

    def _build(self) -> bytearray:
        """The batch as the broker takes it; the same bytes when it is tried again."""
        if not self._built:
            at, last = self._timestamp_ms, self._count - 1
            self._built = bytearray().join((_UNFILLED, *self._parts))
            self._parts = []
            rest = (TRANSACTIONAL, last, at, at, *self._producer, self._count)
            _REST.pack_into(self._built, _BEGIN.size, *rest)
            checksum = calc_crc32c(memoryview(self._built)[_BEGIN.size :])
            counted = self._size - _UNCOUNTED
            _BEGIN.pack_into(self._built, 0, 0, counted, LEADER_UNKNOWN, MAGIC, checksum)
        return self._built
