"""Batches against aiokafka's own reader and builder."""

from __future__ import annotations

from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.util import encode_varint
from hypothesis import given
from hypothesis import strategies as st

from bus.record_batch import LENGTHS, RecordBatch, block, varint

AT_MS = 1_772_366_400_000
BYTES_MAX = 1024
LONG = st.integers(0, 20_000).map(bytes)  # of lengths in one, two and three bytes
HEADERS = st.lists(st.tuples(st.text(max_size=8), st.none() | st.binary(max_size=80)), max_size=12)
RECORDS = st.lists(
    st.tuples(st.binary(max_size=80), st.none() | st.binary(max_size=80) | LONG, HEADERS),
    min_size=1,
    max_size=200,
)


@given(st.integers(0, 2**31))
def test_a_length_is_written_as_the_library_does(number: int) -> None:
    """Looked up or not."""
    found = bytearray()
    encode_varint(number, found.append)

    assert bytes(found) == varint(number) == LENGTHS[number]


@given(RECORDS)
def test_the_library_reads_what_was_put_in(
    records: list[tuple[bytes, bytes | None, list[tuple[str, bytes | None]]]],
) -> None:
    """In order, nulls and empty values apart, with a checksum and a size that are right."""
    batch = RecordBatch(10**9, AT_MS)
    for key, value, headers in records:
        assert batch.append(key, value, block(headers))
    size = batch.size()
    built = batch._build()
    read = DefaultRecordBatch(built)

    assert size == len(built)
    assert read.validate_crc()
    assert read.is_transactional
    assert read.next_offset == len(records) == batch.record_count()
    assert [(one.timestamp, one.offset) for one in read] == [
        (AT_MS, number) for number in range(len(records))
    ]
    again = DefaultRecordBatch(built)
    assert records == [(one.key, one.value, [*one.headers]) for one in again]


@given(RECORDS)
def test_a_batch_is_the_library_s_to_the_byte(
    records: list[tuple[bytes, bytes | None, list[tuple[str, bytes | None]]]],
) -> None:
    """Who sends it is told before it is built; built again, it is the same."""
    ours = RecordBatch(BYTES_MAX, AT_MS)
    theirs = DefaultRecordBatchBuilder(
        2, 0, is_transactional=1, producer_id=7, producer_epoch=3, base_sequence=11,
        batch_size=BYTES_MAX,
    )  # fmt: skip
    for number, (key, value, headers) in enumerate(records):
        taken = theirs.append(number, AT_MS, key, value, headers)
        size = ours.append(key, value, block(headers))
        assert size == (taken.size if taken else 0)
        if not size:
            break
    ours._set_producer_state(7, 3, 11)

    assert bytes(theirs.build()) == ours._build() == ours._build()
