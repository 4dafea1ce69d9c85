"""What `shipfeed cursors` tells, from the records of the topic and the configuration."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bus.settings import Config
from console.cursors import ACCEPTED, Standing, span, standings
from schemas.cursor import Cursor, Mark
from services.poller.settings import accounts
from services.poller.sources import sources

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TABLE = {
    "source": "zentail",
    "name": "acme",
    "base_url": "https://up.example",
    "token": "env:NOT_SET_ANYWHERE",
}
CONFIGURED = accounts(Config({"accounts": [TABLE]}), secrets=False)


def cursor(stream: str, **fields: Any) -> Cursor:
    facts = {one.facts.name: one.facts for one in sources()["zentail"].streams(CONFIGURED[0])}
    fingerprint = facts[stream].fingerprint if stream in facts else ""
    known = {"connected_at": NOW, "fingerprint": fingerprint, **fields}
    return Cursor(source="zentail", account="acme", stream=stream, **known)


def told(*records: Cursor | Mark, configured: bool = True) -> dict[str, Standing]:
    values = {record.key: record.to_json() for record in records}
    rows = standings(values, CONFIGURED if configured else [], NOW)
    return {row.stream: row for row in rows}


def test_the_gap_runs_since_the_last_complete_pass() -> None:
    """In seconds, for each stream."""
    row = told(cursor("head", proven_until=NOW - timedelta(minutes=7)))["head"]

    assert (row.state, row.gap_seconds, row.advice) == ("complete", 420, "")


def test_settings_that_changed_under_a_cursor_are_told_with_the_two_choices() -> None:
    """No secret is needed for that."""
    row = told(cursor("head", fingerprint="other", proven_until=NOW))["head"]

    assert row.state == "changed"
    assert "put it back, or set accept_new_cursor = true" in row.advice


def test_a_choice_that_was_made_is_not_asked_for_again() -> None:
    """It is carried out when the poller starts with it."""
    accepting = accounts(
        Config({"accounts": [{**TABLE, "accept_new_cursor": True}]}), secrets=False
    )
    changed = cursor("head", fingerprint="other", proven_until=NOW)
    (row,) = standings({changed.key: changed.to_json()}, accepting, NOW)

    assert (row.state, row.advice) == ("changed", ACCEPTED)


def test_a_stream_that_the_configuration_does_not_have_is_told() -> None:
    """Of an account or mode that was taken out; without a configuration nothing is said of it."""
    old = cursor("listing", proven_until=NOW)

    assert told(old)["listing"].state == "not configured"
    assert told(old, configured=False)["listing"].state == "complete"


def test_a_stream_that_reads_by_id_is_behind_with_what_is_due() -> None:
    """The marks on the topic tell, though the stream has never read anything."""
    mark = Mark(
        source="zentail",
        account="acme",
        resource="orders",
        upstream_id="1",
        content="c",
        observed_at=NOW,
        due_at=NOW - timedelta(seconds=30),
        due_stream="orders",
    )
    row = told(cursor("orders"), mark, configured=False)["orders"]

    assert (row.state, row.gap_seconds) == ("complete", 30)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.2, "0 s"),
        (42.4, "42 s"),
        (200, "3 min 20 s"),
        (7200, "2 h"),
        (7_500, "2 h 5 min"),
        (3 * 86_400 + 4 * 3600 + 5, "3 d 4 h"),
        (86_400 + 5, "1 d"),
    ],
)
def test_a_gap_is_told_in_its_two_largest_units(seconds: float | None, text: str) -> None:
    """Nobody counts seconds of a day."""
    assert text == span(seconds)
