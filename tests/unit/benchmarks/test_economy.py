"""The fewest requests that a poll can do with."""

from __future__ import annotations

import pytest

from benchmarks.wire.economy import fewest
from services.poller.source import HEAD_WEIGHT, SETTLE_WEIGHT, WATCH_WEIGHT, Facts


def facts(weight: int, *, rewinds: bool = False, ids_max: int = 0) -> Facts:
    """Of a stream that does nothing."""
    return Facts("any", "orders", weight, 120, "f", 100, ids_max=ids_max, rewinds=rewinds)


def test_a_head_that_asks_by_time_needs_one() -> None:
    """However many records there are."""
    assert fewest(facts(HEAD_WEIGHT, rewinds=True), 1000) == 1


@pytest.mark.parametrize(("records", "requests"), [(0, 1), (100, 1), (101, 2), (1000, 10)])
def test_what_reads_a_whole_list_needs_its_pages(records: int, requests: int) -> None:
    """A scan, which has no time to ask by, and a settle sweep, which reads back on purpose."""
    assert fewest(facts(HEAD_WEIGHT), records) == requests
    assert fewest(facts(SETTLE_WEIGHT, rewinds=True), records) == requests


def test_what_reads_by_id_needs_one_for_what_is_due() -> None:
    """A poll of it reads no more than one request brings."""
    assert fewest(facts(WATCH_WEIGHT, ids_max=100), 1000) == 1
