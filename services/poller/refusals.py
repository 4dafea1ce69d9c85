"""What becomes of a record that is asked for by its id, or by its parent's, and refused.  Pure.

One refusal proves little: an upstream may refuse everything for a minute.  So a refused child stays
due, is passed over with backoff, and is set aside only after `REFUSALS_MIN` refusals over
`SET_ASIDE_AFTER`.  While an upstream seems to refuse everything, no refusal counts at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from services.poller.marks import SeenMark
from services.poller.source import Rejected

REFUSALS_MIN = 5
SET_ASIDE_AFTER = timedelta(hours=1)
WAIT_SECONDS_MAX = 900.0
IN_A_ROW_MAX = 10  # different children; then the upstream is to blame, not they
PASS_MIN = 3  # a pass of so many children, all of them refused, says the same
KNOWN_MAX = 10_000


def wait_seconds(refusals: int, interval_seconds: float) -> float:
    """How long a child is passed over after so many refusals."""
    doublings = min(max(refusals - 1, 0), 16)
    return float(min(WAIT_SECONDS_MAX, interval_seconds * 2.0**doublings))


def counted(known: SeenMark, now: datetime, interval_seconds: float) -> SeenMark:
    """The mark of a child after one more refusal: due no more once it has been refused enough."""
    since = min(known.refused_since or now, now)
    refusals = known.refusals + 1
    due_at: datetime | None = now + timedelta(seconds=wait_seconds(refusals, interval_seconds))
    if refusals >= REFUSALS_MIN and now - since >= SET_ASIDE_AFTER:
        due_at = None
    return SeenMark(
        known.upstream_id,
        known.content,
        known.observed_at,
        due_at,
        known.due_stream,
        refusals,
        since,
        known.changes,
    )


class Refusals:
    """The refusals of one stream, to tell an upstream that refuses everything from children that
    are refused by themselves.

    A refusal counts once another child was read after it, or at the end of a pass.
    """

    def __init__(self) -> None:
        self._uncounted: dict[str, Rejected] = {}
        self._in_a_row: set[str] = set()  # since a child was read, or the stream stopped
        self._in_pass: set[str] = set()
        self._known: set[str] = set()  # refused before another child was read
        self._read_in_pass = False
        self._blamed = False  # the upstream: the stream stopped, and no child was read since

    @property
    def doubtful(self) -> bool:
        """Whether the last child was refused, so that the next one is asked for alone."""
        return bool(self._in_a_row)

    @property
    def last_reason(self) -> str:
        """Of the last refusal that does not count yet."""
        return next(reversed(self._uncounted.values())).reason if self._uncounted else ""

    def add(self, refused: Rejected) -> None:
        """A child was refused."""
        for ids in (self._in_a_row, self._in_pass):
            ids.add(refused.upstream_id)
        self._uncounted[refused.upstream_id] = refused

    def succeeded(self, upstream_ids: Iterable[str]) -> tuple[Rejected, ...]:
        """These were read: the refusals before it count now, and are returned."""
        self._known |= self._in_a_row
        self._known.difference_update(upstream_ids)
        if len(self._known) > KNOWN_MAX:
            self._known.clear()
        self._in_a_row.clear()
        self._read_in_pass, self._blamed = True, False
        return self._taken()

    @property
    def upstream_refuses(self) -> bool:
        """Whether so many different children in a row were refused that it is not their fault."""
        row = self._in_a_row
        return len(row) >= IN_A_ROW_MAX and (self._blamed or not row <= self._known)

    def pass_ended(self) -> tuple[Rejected, ...] | None:
        """Nothing more is due: the refusals that count now; None when the upstream refuses
        everything.
        """
        passed, read = self._in_pass, self._read_in_pass
        few, known = len(passed) < PASS_MIN, passed <= self._known
        if passed and not read and (self._blamed or not (few or known)):
            return None
        self._in_pass, self._read_in_pass = set(), False
        return self._taken()

    def stopped(self) -> list[str]:
        """The stream stops: no refusal counts, and these children are to be asked for again."""
        again = [one.upstream_id for one in self._taken()]
        self._in_a_row.clear()
        self._in_pass, self._read_in_pass = set(), False
        self._blamed = True
        return again

    def _taken(self) -> tuple[Rejected, ...]:
        taken = tuple(self._uncounted.values())
        self._uncounted.clear()
        return taken
