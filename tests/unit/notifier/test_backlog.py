"""How many events wait behind a position."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.notifier.backlog import CHUNKS_MAX, Counted


def test_a_standing_position_has_every_chunk_counted() -> None:
    """Transaction markers take offsets and count for nothing."""
    counted = Counted(10)
    counted.add(510, 480)
    counted.add(530, 0)
    counted.move(10)

    assert (len(counted), counted.end) == (480, 530)


def test_a_position_that_moves_leaves_chunks_behind() -> None:
    """A chunk that it stands in counts whole: too many rather than too few."""
    counted = Counted(0)
    counted.add(100, 90)
    counted.add(200, 50)
    counted.move(30)
    assert len(counted) == 140
    counted.move(100)
    assert len(counted) == 50
    counted.move(200)
    assert (len(counted), counted.end) == (0, 200)


def test_a_long_backlog_takes_no_more_memory_than_a_short_one() -> None:
    """Its count stays exact where the position stands, and never too small where it moves."""
    counted = Counted(0)
    for number in range(10 * CHUNKS_MAX):
        counted.add(500 * (number + 1), 3)
    counted.move(0)
    assert (len(counted), counted.end) == (30 * CHUNKS_MAX, 5_000 * CHUNKS_MAX)
    assert len(counted._chunks) <= CHUNKS_MAX
    counted.move(2_500 * CHUNKS_MAX)
    assert 15 * CHUNKS_MAX <= len(counted) < 16 * CHUNKS_MAX


def test_a_position_that_went_back_or_ahead_of_the_count_is_counted_anew() -> None:
    """Recovered, or caught up to live and held again."""
    counted = Counted(100)
    counted.add(200, 50)
    counted.move(40)
    assert (len(counted), counted.end) == (0, 40)
    counted.add(200, 70)
    counted.move(900)
    assert (len(counted), counted.end) == (0, 900)


@given(st.lists(st.integers(0, 60), max_size=30), st.data())
def test_it_never_counts_too_few(moves: list[int], data: st.DataObject) -> None:
    """Whatever the position does between chunks; standing at a chunk's end it is exact."""
    matching = data.draw(st.frozensets(st.integers(0, 70)))
    counted, position = Counted(0), 0
    for position in moves:
        counted.move(position)
        end = counted.end + data.draw(st.integers(1, 9))
        counted.add(end, sum(counted.end <= one < end for one in matching))
    counted.move(position)
    truth = sum(position <= one < counted.end for one in matching)

    assert len(counted) >= truth
