"""Up to which instant nothing is missing, as a cursor carries it and as people are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bus.settings import KafkaSettings
from bus.table import Table
from schemas.cursor import Cursor
from schemas.message import iso
from schemas.topics import CURSORS
from services.poller.composing import Reading, compose
from services.poller.marks import Marks
from services.poller.source import Due, Facts, Found, Page, Sweep
from services.poller.standing import (
    gap_seconds,
    proven_until,
    start_from_warnings,
    state_of,
)

KAFKA = KafkaSettings(prefix="t")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FACTS = Facts("head", "orders", 8, 120, "f")
CURSOR = Cursor(source="s", account="acme", stream="head", connected_at=NOW, fingerprint="f")


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


class Written:
    """A stream whose pages are written one after the other."""

    def __init__(self, facts: Facts = FACTS) -> None:
        self.facts = facts
        self.cursor = CURSOR
        self.table = Table(KAFKA, CURSORS, 0)
        self.marks = Marks(
            self.table, "s", "acme", "orders", keep=timedelta(days=2), marks_max=99, now=NOW
        )

    def page(self, at: datetime, *found: Found, sweep: Sweep | None = None) -> Cursor:
        reading = Reading(Page(found, sweep=sweep), self.facts, self.cursor, "", at)
        composed = compose(reading, self.marks, self.table, KAFKA)
        assert composed is not None
        self.table.apply(composed.transaction.records)
        self.marks.committed(composed.marks.values(), composed.tombstones)
        for upstream_id, due_at in composed.postponed.items():
            self.marks.postpone([upstream_id], due_at)
        self.cursor = composed.cursor
        return self.cursor


def test_a_complete_pass_proves_all_up_to_its_first_request() -> None:
    """What came during the pass may be on a page that had been read already."""
    stream = Written()
    first = stream.page(NOW, sweep={"page": 2})
    second = stream.page(NOW + minutes(1), sweep={"page": 3})
    last = stream.page(NOW + minutes(2))

    assert [one.proven_until for one in (first, second, last)] == [None, None, NOW]
    assert [one.sweep_began_at for one in (first, second, last)] == [NOW, NOW, None]


def test_an_unfinished_pass_proves_no_more_than_the_one_before() -> None:
    """However many of its pages are written."""
    stream = Written()
    stream.page(NOW)
    stream.page(NOW + minutes(5), sweep={"page": 2})

    assert stream.cursor.proven_until == NOW


def test_reading_by_id_proves_up_to_what_is_still_due() -> None:
    """Records that are due and were not among those asked for hold the instant back."""
    lists = Written()
    due = Due("watch", 60)
    lists.page(NOW, Found("1", b"1", due=due))
    lists.page(NOW + minutes(1), Found("2", b"2", due=due))
    lists.facts, lists.cursor = replace(FACTS, name="watch", ids_max=1), CURSOR
    at = NOW + minutes(9)

    assert lists.page(at, Found("1", b"1", due=due)).proven_until == NOW + minutes(2)
    assert lists.page(at, Found("2", b"2", due=due)).proven_until == at


def test_what_is_read_out_of_turn_moves_no_cursor() -> None:
    """A single record says nothing of the rest."""
    stream = Written()
    reading = Reading(Page((Found("1", b"1"),)), FACTS, CURSOR, "", NOW, moves=False)
    composed = compose(reading, stream.marks, stream.table, KAFKA)

    assert composed is not None
    assert composed.cursor == CURSOR
    assert [record.key for record in composed.state] == ["mark/s/acme/orders/1"]


@pytest.mark.parametrize(
    ("stored", "oldest_due", "proven"),
    [
        (None, None, NOW),
        (None, NOW + minutes(5), NOW),
        (None, NOW - minutes(5), NOW - minutes(5)),
        (NOW - minutes(2), NOW - minutes(5), NOW - minutes(2)),
        (NOW - minutes(9), NOW + minutes(5), NOW),
    ],
)
def test_a_stream_that_reads_by_id_is_behind_only_with_what_is_due(
    stored: datetime | None, oldest_due: datetime | None, proven: datetime
) -> None:
    """The later of two proofs: its last reading, and that nothing is due before."""
    cursor = CURSOR.model_copy(update={"proven_until": stored})

    assert proven == proven_until(cursor, by_id=True, oldest_due=oldest_due, now=NOW)


def test_the_gap_is_how_long_ago_that_was() -> None:
    """None where there is no such instant, or nothing more to come; never negative."""
    done = CURSOR.model_copy(update={"done": True})

    assert gap_seconds(CURSOR, NOW - minutes(2), NOW) == 120
    assert gap_seconds(CURSOR, NOW + minutes(2), NOW) == 0
    assert gap_seconds(CURSOR, None, NOW) is None
    assert gap_seconds(done, NOW, NOW) is None


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "never"),
        ({"proven_until": NOW}, "complete"),
        ({"proven_until": NOW, "sweep": {"page": 2}}, "unfinished"),
        ({"proven_until": NOW, "done": True}, "done"),
        ({"sweep": {"page": 2}, "paused": True}, "paused"),
        ({"paused": True, "fingerprint": "other"}, "changed"),
    ],
)
def test_a_stream_is_in_one_word(fields: dict[str, Any], state: str) -> None:
    """The word that asks most of an operator."""
    cursor = CURSOR.model_copy(update=fields)

    assert state == state_of(cursor, cursor.proven_until, FACTS)


def test_a_start_from_edited_after_the_cursors_were_made_is_warned_of() -> None:
    """Later than where a list stands it skips, removed it abandons history; else no word."""
    lists = replace(FACTS, rewinds=True)
    head = CURSOR.model_copy(update={"position": iso(NOW)})
    history = CURSOR.model_copy(update={"stream": "backfill", "sweep": {"page": 2}})
    done = history.model_copy(update={"done": True, "position": iso(NOW)})

    (skips,) = start_from_warnings([head], [lists], NOW + minutes(5))
    assert "stream head stands at 2026-03-01T12:00:00Z, before start_from" in skips
    (abandons,) = start_from_warnings([head, history], [lists], None)
    assert abandons.startswith("start_from was removed before stream backfill")
    assert start_from_warnings([head, done], [lists], None) == []
    assert start_from_warnings([CURSOR, head], [lists], NOW - minutes(5)) == []
