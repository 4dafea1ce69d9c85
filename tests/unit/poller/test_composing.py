"""A page becomes one transaction: what is written, what is left out, what is remembered."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from bus.table import Table
from schemas.cursor import Cursor, Mark
from schemas.dead_letter import DeadLetter, originals
from schemas.raw import Provenance
from schemas.topics import CURSORS, RAW
from services.poller.composing import Composed, Reading, compose
from services.poller.marks import TOUCHES_PER_LIFE, Marks, SeenMark, content_digest
from services.poller.source import Due, Facts, Found, Page, Rejected

KAFKA = KafkaSettings(prefix="t")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEEP = timedelta(hours=49)
LIFE = KEEP + KEEP / TOUCHES_PER_LIFE
FACTS = Facts("head", "orders", 8, 120, "f")
CURSOR = Cursor(
    source="zentail", account="acme", stream="head", connected_at=NOW - timedelta(days=1)
)


class State:
    """A slot's table and one account's marks, with pages written one after the other."""

    def __init__(self, *, marks_max: int = 100, facts: Facts = FACTS) -> None:
        self.table = Table(KAFKA, CURSORS, 3)
        self.facts = facts
        self.marks_max = marks_max
        self.cursor = CURSOR
        self.restore(NOW)

    def restore(self, now: datetime) -> None:
        self.marks = Marks(
            self.table, "zentail", "acme", "orders", keep=KEEP, marks_max=self.marks_max, now=now
        )

    def compose(self, page: Page, requested_at: datetime = NOW) -> Composed | None:
        origin = "https://up.example/orders"
        reading = Reading(page, self.facts, self.cursor, origin, requested_at)
        return compose(reading, self.marks, self.table, KAFKA)

    def write(self, page: Page, requested_at: datetime = NOW) -> Composed:
        composed = self.compose(page, requested_at)
        assert composed is not None
        self.table.apply(composed.transaction.records)
        self.marks.committed(composed.marks.values(), composed.tombstones)
        self.marks.touch(composed.read, requested_at)
        for upstream_id, due_at in composed.postponed.items():
            self.marks.postpone([upstream_id], due_at)
        self.cursor = composed.cursor
        return composed


def found(number: int, text: str = "a", *, at: datetime = NOW, due: float | None = None) -> Found:
    body = json.dumps({"n": number, "t": text}).encode()
    return Found(str(number), body, at, None if due is None else Due("orders", due))


def observed(composed: Composed) -> list[datetime]:
    return [Provenance.read(dict(record.headers)).observed_at for record in composed.raw]


def test_raw_marks_and_cursor_are_one_transaction() -> None:
    """Raw goes to the partition of its key, state to the slot's."""
    composed = State().write(Page((found(1),), position="here"))
    raw, mark, cursor = composed.transaction.records
    assert (raw.topic, raw.key) == ("t.raw", "zentail/acme/orders/1")
    assert raw.partition == partition_of(raw.key, KAFKA.partition_count(RAW))
    assert [(r.topic, r.partition) for r in (mark, cursor)] == [("t.cursors", 3)] * 2
    assert Cursor.model_validate_json(cursor.value or b"").position == "here"


def test_raw_says_when_the_account_was_connected() -> None:
    """The normalizer tells history by it."""
    (raw,) = State().write(Page((found(1),), position="here")).raw
    assert Provenance.read(dict(raw.headers)).connected_at == CURSOR.connected_at


def test_what_a_list_brings_again_is_remembered_however_old_it_is() -> None:
    """History is read once and leaves no mark; but a row that every poll shows is written once."""
    state, old = State(), NOW - KEEP - timedelta(days=1)
    rows = (found(1, at=old), replace(found(2, at=old), again=True))
    assert len(state.write(Page(rows)).raw) == 2
    assert len(state.marks) == 1
    assert [record.key[-1] for record in state.write(Page(rows)).raw] == ["1"]


def test_an_empty_page_still_writes_the_cursor() -> None:
    """So that a fenced owner learns of it within one poll."""
    (record,) = State().write(Page(position="here")).transaction.records
    assert Cursor.model_validate_json(record.value or b"").succeeded_at == NOW


def test_an_unfinished_pass_keeps_the_position() -> None:
    """The cursor passes only what is written."""
    state = State()
    state.write(Page(position="before"))
    composed = state.write(Page((found(1),), sweep={"since": "x"}))
    assert (composed.cursor.position, composed.cursor.sweep) == ("before", {"since": "x"})


def test_only_what_changed_is_written_again() -> None:
    """By the digest of the whole record."""
    state = State()
    state.write(Page((found(1), found(2))))
    composed = state.write(Page((found(1), found(2, "b"))), NOW + timedelta(seconds=1))
    assert [record.key for record in composed.raw] == ["zentail/acme/orders/2"]
    assert composed.unchanged == 1


def test_a_record_twice_in_a_page_is_written_once() -> None:
    """The last of them, as it stands."""
    composed = State().write(Page((found(1), found(1), found(1, "b"))))
    assert [record.value for record in composed.raw] == [found(1, "b").body]
    assert observed(composed) == [NOW]


def test_of_a_record_twice_in_a_page_the_newest_counts() -> None:
    """By its version; of equal ones and of those without any the last, and at every poll."""
    older = NOW - timedelta(seconds=1)
    unversioned = [replace(found(3, text), updated_at=None) for text in "ab"]
    rows = (found(1, "b"), found(1, at=older), found(2), found(2, "b"), *unversioned)
    state = State()
    assert [json.loads(one.value or b"")["t"] for one in state.write(Page(rows)).raw] == ["b"] * 3
    assert not state.write(Page(rows), NOW + timedelta(seconds=1)).raw


def test_what_changed_often_is_written_once_more_when_it_stays_for_an_hour() -> None:
    """A normalizer waits for that before it tells; also over a restart, and after each change."""
    state, at = State(), NOW

    def read(text: str, minutes: float) -> int:
        nonlocal at
        at += timedelta(minutes=minutes)
        return len(state.write(Page((found(1, text),)), at).raw)

    assert [read(text, 1) for text in "abab"] == [1] * 4
    state.restore(at)
    assert [read("b", minutes) for minutes in (30, 29, 1, 1, 60)] == [0, 0, 1, 0, 0]
    assert [read("a", minutes) for minutes in (1, 59, 1, 60)] == [1, 0, 1, 0]


def test_what_changes_seldom_is_not_written_again() -> None:
    """Twice within two days, or with more than two days between."""
    for apart in (timedelta(minutes=1), timedelta(hours=48, seconds=1)):
        state, at = State(), NOW
        for text in "aba" if apart < timedelta(hours=1) else "ababab":
            at += apart
            assert len(state.write(Page((found(1, text),)), at).raw) == 1
        assert not state.write(Page((found(1, text),)), at + timedelta(hours=2)).raw


def test_an_observation_that_confirms_is_later_and_stays_due() -> None:
    """It is an observation like any other, of a record that is read by its id too."""
    state = State()
    for seconds, text in enumerate("abab"):
        state.write(Page((found(1, text, due=60),)), NOW + timedelta(seconds=seconds))
    confirmed = state.write(Page((found(1, "b", due=60),)), NOW + timedelta(hours=2))
    assert observed(confirmed) == [NOW + timedelta(hours=2)]
    assert confirmed.marks["1"].due_at == NOW + timedelta(hours=2, seconds=60)


def test_an_observation_is_later_than_the_one_before() -> None:
    """Also when both requests started in the same instant."""
    state = State()
    state.write(Page((found(1),)))
    assert observed(state.write(Page((found(1, "b"),)))) == [NOW + timedelta(milliseconds=1)]


def test_a_response_older_than_the_mark_is_not_judged() -> None:
    """A slower clock on another copy must not lose or misorder a change."""
    state = State()
    state.write(Page((found(1),)))
    earlier = NOW - timedelta(seconds=1)
    assert state.compose(Page((found(2), found(1, "b"))), earlier) is None
    assert state.compose(Page((found(2), found(1))), earlier) is not None


def test_backfill_is_what_is_older_than_the_connection() -> None:
    """By the source's own last update; a source without one says nothing here."""
    connected_at = CURSOR.connected_at
    old = found(1, at=connected_at - timedelta(seconds=1))
    unknown = Found("3", b"{}")
    composed = State().write(Page((old, found(2, at=connected_at), unknown)))
    flags = [Provenance.read(dict(record.headers)).backfill for record in composed.raw]
    assert flags == [True, False, False]


def test_history_beyond_the_settle_horizon_leaves_no_mark() -> None:
    """Nothing reads it again, so nothing need be remembered of it; watched records are."""
    state = State()
    old = NOW - KEEP - timedelta(seconds=1)
    state.write(Page((found(1, at=old), found(2, at=old, due=60.0), found(3))))
    assert [state.marks.get(str(number)) is not None for number in (1, 2, 3)] == [
        False,
        True,
        True,
    ]


def test_a_mark_is_forgotten_when_nothing_reads_its_record_any_more() -> None:
    """Horizon and interval after the last reading; the tombstone rides with the page."""
    state = State()
    state.write(Page((found(1), found(2))))
    later = NOW + timedelta(hours=30)
    state.write(Page((found(1),)), later)
    composed = state.write(Page(), NOW + LIFE + timedelta(seconds=1))
    assert [record.key for record in composed.tombstones] == ["mark/zentail/acme/orders/2"]
    assert all(record.value is None for record in composed.tombstones)
    assert state.write(Page(), later + LIFE + timedelta(seconds=1)).tombstones
    assert len(state.marks) == 0


def test_a_record_in_the_page_that_expires_it_keeps_its_mark() -> None:
    """Read again at the last moment: the tombstone may not follow the mark."""
    state = State()
    state.write(Page((found(1),)))
    composed = state.write(Page((found(1, "b"),)), NOW + LIFE + timedelta(seconds=1))
    assert composed.tombstones == []
    assert state.marks.get("1") is not None


def test_watched_records_do_not_expire() -> None:
    """A watch mark outlives the settle horizon."""
    state = State()
    state.write(Page((found(1, due=60.0),)))
    assert state.write(Page(), NOW + timedelta(days=300)).tombstones == []


def test_above_the_bound_records_are_written_again_and_counted() -> None:
    """Memory is bounded; nothing is lost by it."""
    state = State(marks_max=2)
    composed = state.write(Page(tuple(found(number) for number in range(4))))
    assert (len(composed.raw), composed.unmarked, len(state.marks)) == (4, 2, 2)
    again = state.write(Page(tuple(found(number) for number in range(4))))
    assert (len(again.raw), again.unchanged) == (2, 2)


def test_watched_records_are_due_by_their_marks() -> None:
    """Unchanged and still open costs no record; closed ones are not read again."""
    state = State()
    state.write(Page((found(1, due=60.0), found(2, due=30.0), found(3))))
    assert state.marks.due("orders", NOW, 5) == []
    assert state.marks.next_due("orders") == NOW + timedelta(seconds=30)
    assert state.marks.due("orders", NOW + timedelta(seconds=60), 5) == ["2", "1"]
    composed = state.write(Page((found(2, due=30.0),)), NOW + timedelta(seconds=60))
    assert (composed.marks, composed.unchanged) == ({}, 1)
    assert state.marks.due("orders", NOW + timedelta(seconds=60), 5) == ["1"]
    state.write(Page((found(1),)), NOW + timedelta(seconds=60))
    assert state.marks.due("orders", NOW + timedelta(days=1), 5) == ["2"]
    state.restore(NOW)
    assert state.marks.due("orders", NOW + timedelta(days=1), 5) == ["2"]


def test_a_record_due_soon_goes_along_with_one_that_is_due_now() -> None:
    """Else records seen a moment apart would be asked for one by one; alone it is not due."""
    state = State()
    state.write(Page((found(1, due=60.0), found(2, due=70.0), found(3, due=90.0))))
    slack = timedelta(seconds=20)
    assert state.marks.due("orders", NOW + timedelta(seconds=59), 5, slack) == []
    assert state.marks.due("orders", NOW + timedelta(seconds=60), 5, slack) == ["1", "2"]
    assert state.marks.due("orders", NOW + timedelta(seconds=60), 1, slack) == ["1"]


def test_a_mark_of_a_clock_ahead_of_ours_holds_nothing_up() -> None:
    """Its copy has gone, so what is received now is newer; the order of observations stays."""
    state, later = State(), NOW + timedelta(hours=1)
    state.write(Page((found(1),)), later)
    reading = Reading(
        Page((found(1, "b"),)), FACTS, state.cursor, "", NOW, NOW + timedelta(seconds=1)
    )
    composed = compose(reading, state.marks, state.table, KAFKA)
    assert composed is not None
    assert observed(composed) == [later + timedelta(milliseconds=1)]
    soon = State()
    soon.write(Page((found(1),)), NOW + timedelta(seconds=2))
    assert compose(reading, soon.marks, soon.table, KAFKA) is None


def test_a_rejected_record_is_set_aside_once() -> None:
    """Overlapping polls bring the same bytes again; changed bytes are a new letter."""
    state = State()
    bad = Rejected("7", "$.x", "no good", b'{"x":1}')
    assert len(state.write(Page(rejected=(bad, bad))).letters) == 1
    assert len(state.write(Page(rejected=(bad,))).letters) == 0
    worse = Rejected("7", "$.x", "no good", b'{"x":2}')
    assert len(state.write(Page(rejected=(worse,))).letters) == 1


def test_a_rejected_record_of_a_fulfillment_has_the_headers_it_would_have_on_raw() -> None:
    """So that it can be put there; not what was answered instead, nor a parent, nor without id."""
    shown = [
        Rejected("7", "$.x", "no good", b'{"x":1}'),
        Rejected("8", "", "404", b"gone"),
        Rejected("9", "$.x", "no good", b"{}", "parents"),
        Rejected("", "$.id", "no id", b"{}"),
        Rejected("6", "$", "it is not here", b""),
    ]
    whole, *others = State().write(Page(rejected=tuple(shown))).letters

    assert Provenance.read(dict(whole.headers)).key == "zentail/acme/orders/7"
    assert Provenance.read(dict(whole.headers)).observed_at == NOW
    assert [originals(letter.headers) for letter in others] == [[]] * 4


def by_id(interval_seconds: float = 120) -> Facts:
    return Facts("orders", "orders", 2, interval_seconds, "f", ids_max=1)


def test_a_refused_record_stays_due_for_an_hour_and_is_one_dead_letter_then() -> None:
    """Its refusals are counted in its mark, beside the cursor; the letter names the stream."""
    state = State(facts=by_id())
    state.write(Page((found(1, due=0.0),)))
    gone = Page(refused=(Rejected("1", "", "404", b"gone", origin="https://up.example/orders/1"),))
    asked, at = 0, NOW
    while (due_at := state.marks.next_due("orders")) is not None:
        at, asked = max(at, due_at), asked + 1
        composed = state.write(gone, at)
        last = composed.letters
        assert composed.transaction.records[-1].key.startswith("cursor/") or last
        assert composed.cursor.succeeded_at == NOW
        assert last or composed.cursor.proven_until == NOW
    assert at - NOW >= timedelta(hours=1)
    assert asked >= 5
    letter = DeadLetter.read(dict(last[0].headers))
    assert (letter.stream, letter.origin) == ("orders", "https://up.example/orders/1")
    assert letter.reason.startswith("404, ")
    assert last[0].key == "zentail/acme/orders/1"
    assert state.marks.get("1") == SeenMark("1", content_digest(found(1).body, frozenset()), NOW)


def test_a_refused_record_that_is_given_again_counts_anew() -> None:
    """And what a list shows of it unchanged meanwhile is no reason to ask sooner."""
    state = State(facts=by_id())
    state.write(Page((found(1, due=0.0),)))
    refused = Page(refused=(Rejected("1", "", "404", b""),))
    state.write(refused, NOW + timedelta(seconds=1))
    state.write(refused, NOW + timedelta(seconds=121))
    due_at = state.marks.next_due("orders")
    state.facts = FACTS
    state.write(Page((found(1, due=1.0),)), NOW + timedelta(seconds=130))
    assert state.marks.next_due("orders") == due_at == NOW + timedelta(seconds=121 + 240)
    state.restore(NOW)
    assert state.marks.owed_since("orders") == NOW + timedelta(seconds=1)
    state.facts = by_id()
    composed = state.write(Page((found(1, due=60.0),)), NOW + timedelta(seconds=400))
    mark = Mark.model_validate_json(composed.state[0].value or b"")
    assert (mark.refusals, mark.refused_since) == (0, None)
    assert state.marks.owed_since("orders") == NOW + timedelta(seconds=460)


def test_a_watched_record_that_cannot_be_read_is_one_letter_and_stays_due() -> None:
    """The next answer may be right again; by a list nothing of its due time changes."""
    state = State(facts=by_id())
    state.write(Page((found(1, due=0.0),)))
    bad = Page(rejected=(Rejected("1", "$.x", "no good", b'{"x":1}'),))
    assert len(state.write(bad, NOW + timedelta(seconds=1)).letters) == 1
    assert state.marks.next_due("orders") == NOW + timedelta(seconds=121)
    assert len(state.write(bad, NOW + timedelta(seconds=121)).letters) == 0
    due_at = state.marks.next_due("orders")
    state.facts = FACTS
    state.write(bad, NOW + timedelta(seconds=130))
    assert state.marks.next_due("orders") == due_at
    state.facts = by_id()
    state.write(bad, NOW + timedelta(hours=1))
    state.write(bad, NOW + timedelta(hours=2))
    state.write(bad, NOW + timedelta(hours=3))
    assert state.marks.next_due("orders") is None


def test_the_stored_mark_says_what_was_seen_and_when() -> None:
    """The record on cursors is what a new owner judges by."""
    composed = State().write(Page((found(1),)))
    mark = Mark.model_validate_json(composed.state[0].value or b"")
    assert (mark.content, mark.observed_at) == (content_digest(found(1).body, frozenset()), NOW)


def test_the_options_a_mapper_needs_ride_with_each_record() -> None:
    """Named in a header, read back as they were; without any there is no header."""
    facts = Facts("head", "orders", 8, 120, "f", options=frozenset({"loud", "late"}))
    (with_,) = State(facts=facts).write(Page((found(1),))).raw
    (without,) = State().write(Page((found(1),))).raw
    assert Provenance.read(dict(with_.headers)).options == {"loud", "late"}
    assert "shipfeed-options" not in dict(without.headers)


def test_volatile_fields_do_not_make_a_record_new() -> None:
    """Named ones at the top only; every other field counts."""
    volatile = frozenset({"seen_at"})
    one, two = b'{"a":1,"seen_at":1}', b'{"seen_at":2, "a":1}'
    assert content_digest(one, volatile) == content_digest(two, volatile)
    assert content_digest(one, volatile) != content_digest(b'{"a":2,"seen_at":1}', volatile)
    assert content_digest(one, frozenset()) != content_digest(two, frozenset())
