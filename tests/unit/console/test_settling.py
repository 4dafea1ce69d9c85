"""When a list has been read whole since the world stood still, and what it found has been read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from console.settling import unread_lists, unread_records, write_backs
from schemas.cursor import Cursor, Mark
from schemas.write_back import State, Wanted, WriteBack

ENDED_AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
KEY = "cursor/zentail/acme/head"


def cursor(seconds: float | None, *, whole: bool = True, done: bool = False) -> Cursor:
    """One as it was stored, its last request so long after the end of the world."""
    succeeded_at = None if seconds is None else ENDED_AT + timedelta(seconds=seconds)
    return Cursor(
        source="zentail",
        account="acme",
        stream="head",
        connected_at=ENDED_AT - timedelta(hours=1),
        succeeded_at=succeeded_at,
        sweep=None if whole else {"since": "…"},
        done=done,
    )


def mark(due_in_seconds: float | None) -> Mark:
    """Of an order that a list found at the end of the world."""
    due_at = None if due_in_seconds is None else ENDED_AT + timedelta(seconds=due_in_seconds)
    return Mark(
        source="shop",
        account="acme",
        resource="orders",
        upstream_id="1",
        content="",
        observed_at=ENDED_AT,
        due_at=due_at,
        due_stream=None if due_at is None else "touched",
    )


@pytest.mark.parametrize(
    ("cursors", "unread"),
    [
        ([], True),
        ([cursor(None)], True),
        ([cursor(-2), cursor(-1)], True),
        ([cursor(-1), cursor(1)], True),  # it may have begun before
        ([cursor(1), cursor(2, whole=False)], True),
        ([cursor(1), cursor(1)], True),  # one pass, stored again
        ([cursor(1), cursor(2)], False),
        ([cursor(0), cursor(2, whole=False), cursor(3)], False),
        ([cursor(-9, done=True)], False),
    ],
)
def test_a_list_is_read_once_a_pass_that_began_later_is_complete(
    cursors: list[Cursor], *, unread: bool
) -> None:
    """The first pass that ends after the world may have begun before; the second did not."""
    assert ([KEY] if unread else []) == unread_lists([KEY], cursors, ENDED_AT)


@pytest.mark.parametrize(("due_in_seconds", "count"), [(0, 1), (-1, 1), (2, 0), (None, 0)])
def test_what_a_list_found_is_unread_until_a_reading_moves_its_due_time(
    due_in_seconds: float | None, count: int
) -> None:
    """Due later than it was found: it has been read since, and is only watched."""
    assert count == unread_records([mark(due_in_seconds)])


def write_back(state: State, seconds: float) -> WriteBack:
    """Of an order of its own, so long after the end of the world."""
    at = ENDED_AT + timedelta(seconds=seconds)
    wanted = Wanted(
        subscription="s",
        target="river",
        way="order_number",
        order=f"{state} {seconds}",
        event_id="e",
        event_type="package.shipped",
        event_at=at,
        fulfillment="f",
    )
    return WriteBack(wanted=wanted, place=1, state=state, due_at=at, updated_at=at)


@pytest.mark.parametrize(
    ("records", "pending", "seconds"),
    [
        ([], 0, 0),
        ([write_back("done", -5)], 0, 0),
        ([write_back("done", 5), write_back("held", 3)], 0, 5),
        ([write_back("waiting", 1), write_back("sending", 1), write_back("unknown", 1)], 3, 1),
        ([write_back("done", 5).wanted], 1, 0),
    ],
)
def test_a_write_back_is_over_when_it_is_done_or_held(
    records: list[WriteBack | Wanted], pending: int, seconds: int
) -> None:
    """What is wanted and not taken in yet is not; lists are to be read after the last one."""
    by_key = {record.key: record.to_json() for record in records}

    assert write_backs(by_key, ENDED_AT) == (pending, ENDED_AT + timedelta(seconds=seconds))
