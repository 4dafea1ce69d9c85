"""Records that no command can read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from console.cursors import cursors_of
from console.unreadable import readable
from schemas.cursor import Cursor
from schemas.fulfillment import Fulfillment
from schemas.topics import FULFILLMENTS

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize("value", [b"", b"\xff", b"{", b"[]", b'{"schema_version": "99.0"}'])
def test_unreadable_record_is_left_out_and_reported(
    value: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever stands on the topic, it is named by topic and key on one line of stderr."""
    found = readable(FULFILLMENTS, [("a/b", value)], Fulfillment.model_validate_json)
    told = capsys.readouterr().err
    assert found == []
    assert told.startswith("shipfeed: fulfillments: the record of key 'a/b' is left out: ")
    assert len(told.splitlines()) == 1


def test_the_readable_ones_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """One bad cursor hides no other."""
    cursor = Cursor(
        source="zentail", account="acme", stream="orders", position="1", connected_at=NOON
    )
    values = {"cursor/a": b"nonsense", "cursor/b": cursor.to_json(), "mark/c": b"not a cursor"}
    assert cursors_of(values) == [cursor]
    assert "'cursor/a'" in capsys.readouterr().err
