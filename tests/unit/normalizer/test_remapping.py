"""Mapping stored records again after a mapper was mended: what changes, and what may not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import msgspec
import pytest
from aiokafka import ConsumerRecord

from bus.transaction import Record
from schemas.raw import REDRIVE_HEADER
from services.normalizer.remapping import SILENT, copied, remapped
from tests.unit.normalizer.copies import SAMPLES, Misreading, outcome, seen, state
from tests.unit.normalizer.feed import MAPPERS, NOON, raw_record

SOURCES = pytest.mark.parametrize("source", SAMPLES)
VERSIONED = [name for name, one in SAMPLES.items() if one.version]


def right(version: datetime) -> datetime:
    """Read as it is."""
    return version


def too_late(version: datetime) -> datetime:
    """As an error of time zones would have it."""
    return version + timedelta(hours=6)


def no_version(_: datetime) -> None:
    """An older build did not know of it."""


MISREAD = pytest.mark.parametrize("misread", [right, too_late, no_version])


def on_raw(record: Record, offset: int) -> ConsumerRecord[bytes, bytes]:
    """What was appended, as the normalizer reads it."""
    return replace(
        raw_record(record.key.encode(), record.value, record.headers, offset=offset),
        topic=record.topic,
        partition=record.partition,
    )


def copy_of(record: ConsumerRecord, offset: int) -> ConsumerRecord[bytes, bytes]:
    """Its copy, further on in its partition."""
    return on_raw(copied(record, record.key.decode()), offset)


@SOURCES
@MISREAD
def test_a_copy_makes_of_the_state_what_the_mended_mapper_shows(
    source: str, misread: Callable[[datetime], datetime | None]
) -> None:
    """Whatever version the old one read; at the old instant, shipped once, and only once more."""
    record = seen(source, offset=3)
    older = {source: Misreading(MAPPERS[source], misread)}
    first = outcome(record, None, older)
    before = state(record, None, older)
    plan = remapped(before, record, MAPPERS)
    made = outcome(copy_of(record, 9), before)
    after = state(copy_of(record, 9), before)
    whole = state(record, None)
    again = partial(outcome, known=after)

    assert "package.shipped" in [one.type for one in first.events]
    assert [kind for kind, _ in plan.changes] == [one.type for one in made.events]
    assert [one.type for one in made.events] == ["package.tracking_changed"]
    assert {one.time for one in made.events} == {NOON}
    assert not any(one.data.backfill for one in made.events)
    assert (after.updated_at, after.observed_at) == (whole.updated_at, NOON)
    assert [one.trackings for one in after.packages] == [one.trackings for one in whole.packages]
    assert (after.raw.offset, after.revision) == (9, 2)
    assert (again(copy_of(record, 10)).state, again(copy_of(record, 10)).events) == (None, ())
    assert again(record).state is None
    assert remapped(after, copy_of(record, 9), MAPPERS).changes == ()


@SOURCES
@MISREAD
def test_a_copy_does_not_pass_what_was_observed_since(
    source: str, misread: Callable[[datetime], datetime | None]
) -> None:
    """It was planned before, and is older than the record that came in between."""
    older = {source: Misreading(MAPPERS[source], misread)}
    record = seen(source, offset=3)
    newer = seen(source, offset=8, seconds=60, version=60, account_note="x")
    before = state(newer, state(record, None, older), older)
    late = outcome(copy_of(record, 9), before)

    assert before.raw.offset == 8
    assert (late.state, late.events, late.stale) == (None, (), True)


@SOURCES
def test_a_copy_of_what_is_mapped_as_before_changes_nothing(source: str) -> None:
    """Remapping twice, or without reason, is no harm."""
    record = seen(source)
    known = state(record, None)

    assert remapped(known, record, MAPPERS).changes == ()
    assert outcome(copy_of(record, 9), known).state is None


def test_a_change_that_no_event_tells_names_its_fields() -> None:
    """The state follows all the same."""
    record = seen("zentail")
    known = state(record, None)
    odd = msgspec.structs.replace(known, status_raw="shipped")
    later = msgspec.structs.replace(known, updated_at=NOON + timedelta(days=9))

    assert remapped(odd, record, MAPPERS).changes == ((SILENT, "status_raw"),)
    assert remapped(later, record, MAPPERS).changes == ((SILENT, "updated_at"),)
    assert state(copy_of(record, 9), later).updated_at == known.updated_at


def test_what_cannot_be_mapped_any_more_is_refused_with_its_place() -> None:
    """It is not put on raw again, where it would become a dead letter."""
    record = seen("zentail")
    known = state(record, None)
    spoiled = replace(record, value=b'{"orderNumber": 1, "status": 3}')
    found = remapped(known, spoiled, MAPPERS)

    assert found.changes == ()
    assert found.refused.startswith("$.status: ")


def redriven(record: ConsumerRecord, offset: int) -> ConsumerRecord[bytes, bytes]:
    """It as it comes from a dead letter."""
    headers = (*record.headers, (REDRIVE_HEADER, b"t.dead-letters/0/1"))
    return replace(record, headers=headers, offset=offset)


@pytest.mark.parametrize("source", VERSIONED)
def test_of_one_version_a_record_from_a_dead_letter_does_not_pass_a_later_observation(
    source: str,
) -> None:
    """Its offset is the last, but it was observed before; what is newer than all is taken."""
    first = seen(source, offset=0, seconds=0)
    failed = seen(source, offset=1, seconds=60, version=30, id="1")
    last = seen(source, offset=2, seconds=120, version=30)
    known = state(last, state(first, None))

    assert outcome(redriven(failed, 9), known).stale
    assert outcome(redriven(failed, 9), state(first, None)).state is not None
    assert outcome(redriven(last, 9), known).state is None


@pytest.mark.parametrize("source", sorted(SAMPLES.keys() - VERSIONED))
def test_without_versions_a_record_from_a_dead_letter_is_as_old_as_its_observation(
    source: str,
) -> None:
    """Not as its place on raw."""
    first, failed, last = (seen(source, offset=n, seconds=n) for n in range(3))
    known = state(last, state(first, None))

    assert outcome(redriven(failed, 9), known).stale
    assert outcome(redriven(failed, 9), state(first, None)).state is not None
