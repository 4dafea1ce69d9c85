"""What of the events topic is an event."""

from __future__ import annotations

from dataclasses import replace

import pytest
from aiokafka import ConsumerRecord

from services.notifier.events import events_of

HEADERS = (
    ("ce_id", b"evt_1"),
    ("ce_type", b"package.shipped"),
    ("ce_partitionkey", b"zentail/acme/order/1"),
    ("ce_time", b"2026-11-06T12:00:00Z"),
)


def record(value: bytes | None) -> ConsumerRecord:
    """One with the headers that an event has."""
    return ConsumerRecord("events", 0, 7, 1_700_000_000_000, 0, b"key", value, None, 3, 3, HEADERS)


@pytest.mark.parametrize(
    ("value", "backfill", "echo"),
    [
        (b"{}", False, False),
        (b'{"changes":[{"after":1.50}],"backfill":true,"echo":false}', True, False),
        (b'{"backfill":false,"echo":true}', False, True),
        (b'{"backfill":"true","echo":1}', False, False),
        (b'{"fulfillment":{"echo":true,"backfill":true}}', False, False),
    ],
)
def test_an_object_is_an_event_and_says_whether_it_is_old_or_an_echo(
    value: bytes, backfill: bool, echo: bool
) -> None:
    """Its data stay as they stand, byte for byte."""
    (event,), unreadable = events_of([record(value)])

    assert unreadable == []
    assert (event.backfill, event.echo, event.envelope.data) == (backfill, echo, value)


@pytest.mark.parametrize(
    "value", [None, b"", b"[1]", b"null", b'{"a":', b"{} {}", b'{"a":NaN}', b'{"a":"\xff"}']
)
def test_what_is_no_json_object_is_unreadable(value: bytes | None) -> None:
    """Not only where we look: a subscriber could not read it either."""
    found = record(value)

    events, (unreadable,) = events_of([found])
    assert (events, unreadable.record, unreadable.unforeseen) == ([], found, None)


@pytest.mark.parametrize("name", ["ce_id", "ce_type", "ce_partitionkey", "ce_time"])
def test_an_event_with_a_null_header_is_unreadable(name: str) -> None:
    """Kafka allows null; the owner of the partition goes on."""
    headers = tuple((key, None if key == name else value) for key, value in HEADERS)
    events, (unreadable,) = events_of([replace(record(b"{}"), headers=headers)])

    assert events == []
    assert name in str(unreadable.error)


def test_a_null_header_that_is_none_of_ours_makes_nothing_unreadable() -> None:
    """It is passed on as an empty one."""
    headers = (*HEADERS, ("traceparent", None))
    (event,), unreadable = events_of([replace(record(b"{}"), headers=headers)])

    assert unreadable == []
    assert event.headers[-1] == ("traceparent", b"")


def test_a_record_that_fails_in_a_way_nobody_planned_for_is_unreadable() -> None:
    """A timestamp beyond the calendar, for one: it fails with another error in each library."""
    events, (unreadable,) = events_of([replace(record(b"{}"), timestamp=2**70)])

    assert events == []
    assert unreadable.unforeseen is not None


def test_what_nests_deeper_than_any_reader_goes_is_unreadable() -> None:
    """It goes aside like the rest; an owner that fell over it would fall for ever."""
    found = record(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")

    events, (unreadable,) = events_of([found])
    assert (events, unreadable.record) == ([], found)
