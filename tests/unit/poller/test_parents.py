"""Orders whose records are read by them: what becomes due, and when it is due again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bus.settings import KafkaSettings
from bus.table import Table
from schemas.cursor import Cursor, Mark
from schemas.topics import CURSORS
from services.poller.composing import Composed, Reading, compose
from services.poller.marks import Marks
from services.poller.source import Due, Facts, Found, Page, Parent

KAFKA = KafkaSettings(prefix="t")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LIST = Facts("head", "fulfillments", 8, 120, "f", parents="orders")
READ = Facts("touched", "fulfillments", 8, 120, "f", ids_max=1, parents="orders")
TOUCHED, WATCH = Due("touched", 0), Due("watch", 3600)


class State:
    """One account's marks of orders and of fulfillments, pages written one after the other."""

    def __init__(self, marks_max: int = 100) -> None:
        self.table = Table(KAFKA, CURSORS, 0)
        self.marks_max = marks_max
        self.restore()

    def restore(self) -> None:
        self.parents, self.marks = (
            Marks(
                self.table,
                "acme",
                "a",
                resource,
                keep=timedelta(hours=49),
                marks_max=self.marks_max,
                now=NOW,
            )
            for resource in ("orders", "fulfillments")
        )

    def write(
        self,
        facts: Facts,
        *parents: Parent,
        at: datetime = NOW,
        received_at: datetime | None = None,
        found: tuple[Found, ...] = (),
    ) -> Composed:
        cursor = Cursor(source="acme", account="a", stream=facts.name, connected_at=NOW)
        page = Page(found, parents=parents)
        reading = Reading(page, facts, cursor, "https://up.example", at, received_at)
        composed = compose(reading, self.marks, self.table, KAFKA, self.parents)
        assert composed is not None
        self.table.apply(composed.transaction.records)
        self.parents.committed(composed.parents.values(), composed.tombstones)
        self.marks.committed(composed.marks.values(), composed.tombstones)
        for marks in (self.parents, self.marks):
            marks.touch(composed.read, at)
        for upstream_id, due_at in composed.postponed.items():
            self.parents.postpone([upstream_id], due_at)
        return composed

    def due(self, stream: str, at: datetime = NOW) -> list[str]:
        return self.parents.due(stream, at, 10)


def test_a_list_makes_what_is_new_or_changed_due_and_nothing_else() -> None:
    """An overlap of two polls costs no request for each order in it."""
    state = State()
    state.write(LIST, Parent("1", TOUCHED, b"a"), Parent("2", TOUCHED, b"a"))
    assert state.due("touched") == ["1", "2"]
    state.write(READ, Parent("1", WATCH, read_at=NOW), at=NOW + SECOND)
    state.write(READ, Parent("2", WATCH, read_at=NOW), at=NOW + SECOND)
    again = state.write(
        LIST, Parent("1", TOUCHED, b"a"), Parent("2", TOUCHED, b"b"), at=NOW + 2 * SECOND
    )
    assert state.due("touched", NOW + 2 * SECOND) == ["2"]
    assert again.brought


def test_an_order_touched_while_it_is_read_stays_due() -> None:
    """The reading may have begun before the change."""
    state = State()
    state.write(LIST, Parent("1", TOUCHED, b"a"))
    state.write(LIST, Parent("1", TOUCHED, b"b"), at=NOW + 2 * SECOND)
    state.write(READ, Parent("1", WATCH, read_at=NOW + SECOND), at=NOW + 3 * SECOND)
    assert state.due("touched", NOW + 3 * SECOND) == ["1"]
    state.write(READ, Parent("1", WATCH, read_at=NOW + 4 * SECOND), at=NOW + 5 * SECOND)
    assert state.due("touched", NOW + 9 * SECOND) == []
    assert state.due("watch", NOW + 2 * timedelta(hours=1)) == ["1"]


def test_an_order_read_while_a_slow_list_is_on_its_way_stays_due() -> None:
    """The list may have been answered after the reading, though it was asked for before."""
    state = State()
    state.write(LIST, Parent("1", TOUCHED, b"a"))
    state.write(LIST, Parent("1", TOUCHED, b"b"), at=NOW + SECOND, received_at=NOW + 4 * SECOND)
    state.write(READ, Parent("1", WATCH, read_at=NOW + 2 * SECOND), at=NOW + 5 * SECOND)
    assert state.due("touched", NOW + 5 * SECOND) == ["1"]
    state.write(READ, Parent("1", WATCH, read_at=NOW + 5 * SECOND), at=NOW + 6 * SECOND)
    assert state.due("touched", NOW + 6 * SECOND) == []


def test_an_order_found_by_a_clock_ahead_of_ours_is_read_once_and_not_for_an_hour() -> None:
    """And a list that finds it touched while it is read still keeps it due."""
    state, ahead = State(), NOW + timedelta(hours=1)
    state.write(LIST, Parent("1", TOUCHED, b"a"), at=ahead)
    state.write(READ, Parent("1", WATCH, read_at=NOW), at=NOW + SECOND)
    assert state.due("touched", NOW + 2 * SECOND) == []
    state.write(LIST, Parent("1", TOUCHED, b"b"), at=NOW + 3 * SECOND)
    state.write(READ, Parent("1", WATCH, read_at=NOW + 2 * SECOND), at=NOW + 4 * SECOND)
    assert state.due("touched", NOW + 4 * SECOND) == ["1"]


def test_what_is_due_survives_a_restart_and_stands_in_the_lists_own_transaction() -> None:
    """The cursor has passed it: nothing else would ever read it."""
    state = State()
    composed = state.write(LIST, Parent("1", TOUCHED, b"a"))
    keys = [record.key for record in composed.transaction.records]
    assert keys == ["mark/acme/a/orders/1", "cursor/acme/a/head"]
    state.restore()
    assert state.due("touched") == ["1"]


def test_what_is_due_is_kept_without_room_for_marks() -> None:
    """A record left out is read again by its list; an order is not."""
    state = State(marks_max=1)
    state.write(LIST, *(Parent(str(number), TOUCHED, b"a") for number in range(5)))
    assert len(state.due("touched")) == 5


def test_an_order_that_is_due_no_more_is_forgotten_in_time() -> None:
    """And one that is due is not."""
    state = State()
    state.write(LIST, Parent("1", TOUCHED, b"a"), Parent("2", TOUCHED, b"a"))
    state.write(READ, Parent("1", None, read_at=NOW), at=NOW + SECOND)
    later = state.write(LIST, at=NOW + timedelta(hours=60))
    assert [record.key for record in later.tombstones] == ["mark/acme/a/orders/1"]


def test_a_due_time_that_moves_little_is_not_written() -> None:
    """A watched order costs a record an hour at the most; a restart reads it a little early."""
    state = State()
    state.write(LIST, Parent("1", TOUCHED, b"a"))
    state.write(READ, Parent("1", WATCH, read_at=NOW), at=NOW + SECOND)
    quiet = state.write(READ, Parent("1", WATCH, read_at=NOW + SECOND), at=NOW + 60 * SECOND)
    assert quiet.parents == {}
    assert not quiet.brought
    assert state.parents.next_due("watch") == NOW + 60 * SECOND + timedelta(hours=1)
    moved = state.write(READ, Parent("1", WATCH, read_at=NOW + SECOND), at=NOW + timedelta(hours=2))
    stored = Mark.model_validate_json(moved.transaction.records[0].value or b"")
    assert stored.due_at == NOW + timedelta(hours=3)


def test_an_old_record_read_by_its_parent_is_remembered() -> None:
    """The next reading brings it again, unlike one that only a list brings."""
    state = State()
    old = (Found("r", b"{}", NOW - timedelta(days=5)),)
    first = state.write(READ, Parent("1", WATCH, read_at=NOW), found=old)
    again = state.write(READ, Parent("1", WATCH, read_at=NOW), at=NOW + SECOND, found=old)
    assert (len(first.raw), len(again.raw)) == (1, 0)


def test_what_is_due_is_counted_for_the_stream_that_reads_it() -> None:
    """Orders that are watched, or read for history, hold up no list that finds new ones."""
    state = State()
    state.write(LIST, Parent("1", TOUCHED, b"a"), Parent("2", Due("history", 0), b"a"))
    state.write(READ, Parent("3", Due("watch", 0), b"a"))
    counted = {one: state.parents.due_count(one, NOW) for one in ("touched", "history", "else")}
    assert counted == {"touched": 1, "history": 1, "else": 0}
