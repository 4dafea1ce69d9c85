"""A table finds what belongs together without a look at the rest."""

from __future__ import annotations

from bus.settings import KafkaSettings
from bus.table import Table
from schemas.topics import CURSORS


def test_what_is_below_a_folder_is_that_folders_alone() -> None:
    """Not what begins alike, not what lies deeper; and what was deleted is gone."""
    table = Table(KafkaSettings(prefix="t"), CURSORS, 0)
    keys = ("mark/a/1", "mark/a/2", "mark/ab/1", "mark/a/b/1", "mark/a/3", "alone")
    table.apply([table.put(key, key.encode()) for key in keys])
    table.apply([table.put("mark/a/3", None), table.put("mark/never/1", None)])
    assert dict(table.below("mark/a/")) == {"mark/a/1": b"mark/a/1", "mark/a/2": b"mark/a/2"}
    assert dict(table.below("mark/none/")) == {}
    assert {key for key, _ in table.items()} == set(keys) - {"mark/a/3"}
    assert (len(table), table.get("alone"), table.get("mark/a/3")) == (5, b"alone", None)


def test_a_folder_that_is_empty_again_is_gone() -> None:
    """Else folders that come and go would fill the memory; one is there again when needed."""
    table = Table(KafkaSettings(prefix="t"), CURSORS, 0)
    for number in range(100):
        table.apply([table.put(f"a/{number}/x", b"1"), table.put(f"a/{number}/y", b"2")])
        table.apply([table.put(f"a/{number}/x", None), table.put(f"a/{number}/y", None)])
        table.apply([table.put(f"never/{number}/x", None)])
    assert table.folder_count == 0
    table.apply([table.put("a/1/x", b"3")])
    assert (table.folder_count, list(table.items())) == (1, [("a/1/x", b"3")])
