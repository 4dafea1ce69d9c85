"""When a stream polls next, and which records are due for it then, where it reads by id."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.poller.account import Account
from services.poller.marks import Marks
from services.poller.schedule import adapted_seconds, next_due
from services.poller.source import Facts


class Timetable:
    """Of one stream of an account; due at once to begin with."""

    def __init__(self, account: Account, facts: Facts) -> None:
        self._account = account
        self._facts = facts
        self._clock = account.around.clock
        self._resting = False
        self.due_at = self._clock.now()

    @property
    def owed_since(self) -> datetime | None:
        """Since when something is due to be read by its id, or when the next is."""
        return self._marks.owed_since(self._facts.name)

    @property
    def _marks(self) -> Marks:
        return self._account.marks(self._facts.parents or self._facts.resource)

    def ids(self, now: datetime) -> list[str] | None:
        """What is read by id now, None when nothing is due; [] for a list."""
        if not self._facts.ids_max:
            return []
        # Records first seen a moment apart would else be asked for one by one ever after.
        slack = timedelta(seconds=self._facts.interval_seconds / 2)
        found = self._marks.due(self._facts.name, now, self._facts.ids_max, slack)
        if len(found) > 1:  # what was refused before is asked for alone, not to spoil the rest
            found = [one for one in found if not self.refusals(one)] or found[:1]
        return found or None

    def pass_over(self, ids: Sequence[str], seconds: float) -> None:
        """These could not be read, and are asked for again in so many seconds."""
        self._marks.pass_over(ids, self._clock.now() + timedelta(seconds=seconds))

    def hasten(self, ids: Sequence[str]) -> None:
        """These are due now, though some were asked for before their time."""
        self._marks.postpone(ids, self._clock.now())

    @property
    def refused_count(self) -> int:
        """How many of those to be read by id have been refused, and are passed over."""
        return self._marks.refused_count(self._facts.name) if self._facts.ids_max else 0

    def refusals(self, upstream_id: str) -> int:
        """How often a record has been refused, as far as that counts."""
        mark = self._marks.get(upstream_id)
        return mark.refusals if mark is not None else 0

    def follow(self, started_at: datetime, quiet: int) -> None:
        """The regular next poll, after so many in a row that brought nothing."""
        facts = self._facts
        interval = adapted_seconds(facts.interval_seconds, facts.interval_seconds_max, quiet)
        self.due_at = next_due(started_at, interval, self._clock.chance())

    def rest(self, seconds: float) -> None:
        """Nothing is due before, whatever is marked meanwhile."""
        self.due_at = self._clock.now() + timedelta(seconds=seconds)
        self._resting = True

    async def wait(self) -> None:
        """Until a poll is due; what is marked for the stream to read meanwhile wakes it."""
        if self._resting or not self._facts.ids_max:
            await self._clock.sleep(max(0.0, self._seconds_left()))
            self._resting = False
            return
        while True:
            next_due = self._marks.next_due(self._facts.name)
            self.due_at = min(self.due_at, next_due or self.due_at)
            seconds = self._seconds_left()
            if seconds <= 0 or not await self._account.marked(self._facts.name, seconds):
                return

    def _seconds_left(self) -> float:
        return (self.due_at - self._clock.now()).total_seconds()
