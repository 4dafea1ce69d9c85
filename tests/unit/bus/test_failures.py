"""When failing records are poison, and when the fault must be ours."""

from __future__ import annotations

import pytest

from bus.errors import Blocked
from bus.failures import BATCH_MIN, IN_A_ROW_MAX, Failures


def test_a_few_failures_in_a_row_block_nothing() -> None:
    """One fewer than the bound, then one that is processed, and again."""
    failures = Failures("raw/0")
    for begin in (0, 100):
        for offset in range(begin, begin + IN_A_ROW_MAX - 1):
            failures.note(offset, KeyError("a"))
        failures.note(begin + 99)


def test_failures_of_one_type_in_a_row_block_the_partition() -> None:
    """The reason names place, number and last error; where a batch ends does not count."""
    failures = Failures("raw/0")
    for offset in range(IN_A_ROW_MAX - 1):
        failures.note(offset, KeyError("a"))
        failures.check(1, [KeyError("a")])

    with pytest.raises(Blocked, match=r"raw/0: 20 records in a row failed with KeyError.*'b'"):
        failures.note(IN_A_ROW_MAX, KeyError("b"))


def test_failures_of_different_types_in_a_row_block_nothing() -> None:
    """Records that are wrong in different ways are wrong themselves."""
    failures = Failures("raw/0")
    for offset in range(3 * IN_A_ROW_MAX):
        failures.note(offset, KeyError("a") if offset % 2 else TypeError("b"))


def test_a_record_that_is_read_again_after_a_rebuild_counts_once() -> None:
    """Its owner was rebuilt and goes on from the committed offset."""
    failures = Failures("raw/0")
    for _ in range(3):
        for offset in range(IN_A_ROW_MAX - 1):
            failures.note(offset, KeyError("a"))


def test_a_blocked_partition_stays_blocked_until_a_record_is_processed() -> None:
    """The next try meets the same record first."""
    failures = Failures("raw/0")
    for offset in range(IN_A_ROW_MAX - 1):
        failures.note(offset, KeyError("a"))
    for _ in range(2):
        with pytest.raises(Blocked):
            failures.note(IN_A_ROW_MAX, KeyError("a"))
    failures.note(IN_A_ROW_MAX)
    failures.note(IN_A_ROW_MAX + 1, KeyError("a"))


@pytest.mark.parametrize(
    ("size", "failed", "blocks"),
    [(BATCH_MIN, 11, True), (BATCH_MIN, 10, False), (BATCH_MIN - 1, 19, False), (500, 251, True)],
)
def test_more_than_half_of_a_batch_blocks_the_partition(
    size: int, failed: int, blocks: bool
) -> None:
    """Only of a batch that is large enough."""
    errors: list[Exception] = [KeyError("a")] * failed
    if not blocks:
        Failures("raw/0").check(size, errors)
        return
    with pytest.raises(Blocked, match=f"{failed} of {size} records of a batch"):
        Failures("raw/0").check(size, errors)


def test_failures_of_two_types_in_a_batch_do_not_add_up() -> None:
    """Half of each."""
    Failures("raw/0").check(40, [KeyError("a")] * 20 + [TypeError("b")] * 20)
