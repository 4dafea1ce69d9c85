"""When a list has been read whole since the world stood still, and what it found has been read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from console.settling import unread_lists, unread_records
from schemas.cursor import Cursor, Mark

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
