"""Tell a poison record from a bug of ours: one is set aside, the other stops its partition.  Pure.

A record that fails in a way nobody planned for goes to dead-letters, so that it costs itself only.
But when records fail one after the other with the same type of exception, the fault is not in the
records, and setting them aside would empty the feed into dead-letters.
"""

from __future__ import annotations

from aiokafka.errors import KafkaError

from bus.errors import Blocked, RetryLater, Stop

IN_A_ROW_MAX = 20  # records
BATCH_MIN = 20  # records of a batch, above half of which may not fail with one type

# Failures of the surroundings, never of the record in hand.
NEVER_OF_A_RECORD = (RetryLater, Stop, KafkaError, MemoryError)


class Failures:
    """Unforeseen failures in one partition.  Outlives a rebuild of its owner: what is read again
    from the committed offset counts once.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._kind = ""
        self._offsets: set[int] = set()  # of the records that failed in a row

    def note(self, offset: int, error: Exception | None = None) -> None:
        """Take in a record that was judged; `error`: the unforeseen exception it failed with.

        Raises Blocked when too many in a row have failed with the same type.
        """
        kind = _kind(error)
        if kind != self._kind:
            self._kind, self._offsets = kind, set()
        if error is None:
            return
        self._offsets.add(offset)
        if len(self._offsets) >= IN_A_ROW_MAX:
            raise self._blocked(f"{len(self._offsets)} records in a row", error)

    def check(self, batch_size: int, failed: list[Exception]) -> None:
        """Raises Blocked when more than half of a batch failed with one type."""
        if batch_size < BATCH_MIN:
            return
        for error in failed:
            count = sum(_kind(one) == _kind(error) for one in failed)
            if count * 2 > batch_size:
                raise self._blocked(f"{count} of {batch_size} records of a batch", error)

    def _blocked(self, which: str, error: Exception) -> Blocked:
        return Blocked(
            f"{self._place}: {which} failed with {_kind(error)}; this is a fault of this build, "
            f"not of the records, so nothing is set aside. The last one: {error!r}. Run a build "
            "that can process them"
        )


def _kind(error: Exception | None) -> str:
    return "" if error is None else type(error).__qualname__
