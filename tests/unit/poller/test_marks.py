"""Marks as they are held and as they are stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import Stop
from bus.settings import KafkaSettings
from bus.table import Table
from bus.transaction import Record
from schemas.cursor import Mark
from schemas.topics import CURSORS
from services.poller.marks import Marks, SeenMark, content_digest
from tests.unit.poller.test_bodies import DEEP, ODD

KAFKA = KafkaSettings(prefix="t")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
INSTANTS = st.integers(0, 10**15).map(lambda us: NOW + timedelta(microseconds=us))
SEEN = st.builds(
    SeenMark,
    upstream_id=st.text(min_size=1),
    content=st.text(),
    observed_at=INSTANTS,
    due_at=st.none() | INSTANTS,
    due_stream=st.none() | st.text(),
    refusals=st.integers(0, 99),
    refused_since=st.none() | INSTANTS,
    changes=st.integers(0, 99),
)


def marks(*stored: Record) -> Marks:
    """What was seen of one resource, restored from these records."""
    table = Table(KAFKA, CURSORS, 0)
    table.apply(stored)
    keep = timedelta(hours=49)
    return Marks(table, "zentail", "acme", "orders", keep=keep, marks_max=9, now=NOW)


@given(SEEN)
def test_a_mark_is_stored_as_the_contract_spells_it(seen: SeenMark) -> None:
    """Key and bytes alike, whatever an upstream calls its records."""
    mark = Mark(
        source="zentail",
        account="acme",
        resource="orders",
        upstream_id=seen.upstream_id,
        content=seen.content,
        observed_at=seen.observed_at,
        due_at=seen.due_at,
        due_stream=seen.due_stream,
        refusals=seen.refusals,
        refused_since=seen.refused_since,
        changes=seen.changes,
    )
    record = marks().put(seen)
    assert (record.key, record.value) == (mark.key, mark.to_json())


@given(SEEN)
def test_a_restored_mark_is_the_one_that_was_stored(seen: SeenMark) -> None:
    """Nothing of it is lost on the way."""
    assert marks(marks().put(seen)).get(seen.upstream_id) == seen


def test_a_mark_of_a_newer_major_version_is_refused_by_name() -> None:
    """A build that cannot read it must not take it for something else."""
    record = marks().put(SeenMark("1", "c", NOW))
    newer = (record.value or b"").replace(b'"1.0"', b'"2.0"')
    with pytest.raises(Stop, match=r"Mark has schema_version '2\.0'"):
        marks(Record(record.topic, 0, record.key, newer))


def test_a_mark_of_another_resource_is_another_matter() -> None:
    """Also where one name begins with the other."""
    record = marks().put(SeenMark("1", "c", NOW))
    other = Record(record.topic, 0, record.key.replace("orders", "orders2"), record.value)
    seen = marks(record, other)
    seen.committed([], [Record(record.topic, 0, other.key, None)])
    assert (len(seen), seen.get("1") is not None) == (1, True)


@pytest.mark.parametrize("value", ODD)
def test_what_a_parser_refuses_counts_as_it_stands_and_volatile_fields_do_not(value: bytes) -> None:
    """Half an emoji, absurd nesting: another one is a change, another time of sync is none."""
    body = b'{"id":"a","m":%b,"x":%b}'
    first = content_digest(body % (b"1", value), frozenset({"m"}))
    assert first == content_digest(body % (b"2", value), frozenset({"m"}))
    assert first != content_digest(body % (b"1", b"[" + value + b"]"), frozenset({"m"}))


def test_a_change_deeper_than_a_parser_reads_is_a_change() -> None:
    """What is made harmless for the parser is no part of the comparison."""
    deep = b'{"m":1,"x":' + DEEP + b"}"
    changed = deep.replace(b'"]"', b'"["')
    assert content_digest(deep, frozenset({"m"})) != content_digest(changed, frozenset({"m"}))


def due_marks(count: int) -> Marks:
    """So many marks, due a second apart for stream `orders`."""
    records = (
        marks().put(SeenMark(str(n), "c", NOW, NOW + timedelta(seconds=n), "orders"))
        for n in range(count)
    )
    return marks(*records)


def test_marks_behind_a_hundred_due_ones_expire() -> None:
    """What is due is never forgotten, and nothing waits behind it to be."""
    due = (marks().put(SeenMark(f"due-{n}", "c", NOW, NOW, "orders")) for n in range(150))
    found = marks(*due, *(marks().put(SeenMark(f"old-{n}", "c", NOW)) for n in range(5)))
    expired: set[str] = set()
    later = NOW + timedelta(days=9)
    for _ in range(3):
        gone = found.expired(later, ())
        expired |= {record.key.rpartition("/")[2] for record in gone}
        found.committed((), gone)
    assert expired == {f"old-{n}" for n in range(5)}
    assert found.due_count("orders", later) == 150


class Counted(datetime):
    """An instant that counts how often it is compared."""

    compared = 0

    def __lt__(self, other: object) -> bool:
        Counted.compared += 1
        return super().__lt__(other)  # type: ignore[operator]

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return super().__eq__(other)

    __hash__ = datetime.__hash__


def test_what_is_due_is_found_without_a_look_at_all_of_it() -> None:
    """Of 5,000 marks only those that are given, and a few to find them."""
    found, now = due_marks(0), Counted(2026, 3, 1, 12, tzinfo=UTC)
    for number in range(5000):
        due_at = Counted.fromtimestamp(NOW.timestamp() + number, UTC)
        found.committed([SeenMark(str(number), "c", NOW, due_at, "orders")], ())
    Counted.compared = 0
    assert found.due("orders", now + timedelta(seconds=9), 100) == [str(n) for n in range(10)]
    assert found.next_due("orders") == found.owed_since("orders") == NOW
    assert found.due_count("orders", now) == 1
    found.postpone(["7"], now + timedelta(seconds=2000))
    assert Counted.compared < 200


def test_what_is_passed_over_is_owed_since_it_was_due() -> None:
    """Asked for later, but missing since; what was read is owed no more."""
    found = due_marks(3)
    found.pass_over(["0"], NOW + timedelta(seconds=60))
    found.pass_over(["0"], NOW + timedelta(seconds=120))
    assert found.next_due("orders") == NOW + timedelta(seconds=1)
    assert found.owed_since("orders") == NOW
    assert found.owed_since("orders", {"0"}) == NOW + timedelta(seconds=1)
    found.postpone(["0"], NOW + timedelta(seconds=180))
    assert found.owed_since("orders") == NOW + timedelta(seconds=1)


def test_due_times_of_a_copy_whose_clock_was_ahead_come_sooner() -> None:
    """By as much as it was ahead, at the least."""
    record = marks().put(SeenMark("1", "c", NOW, NOW + timedelta(hours=1, seconds=60), "orders"))
    table = Table(KAFKA, CURSORS, 0)
    table.apply([record])
    found = Marks(
        table,
        "zentail",
        "acme",
        "orders",
        keep=timedelta(hours=49),
        marks_max=9,
        now=NOW,
        ahead=timedelta(hours=1),
    )
    assert found.next_due("orders") == NOW + timedelta(seconds=60)
