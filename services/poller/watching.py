"""When a young record is read again, since no list would show that it was edited.  Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from services.poller.source import AccountSettings, Due

DAY_SECONDS = 86_400


class WatchedSettings(AccountSettings):
    """Of a source whose records are watched (design 4, watch mark)."""

    watch_days: float = Field(30, ge=0, le=400, description="how long young records are re-read")
    watch_after_seconds: tuple[Annotated[float, Field(ge=0.2, le=DAY_SECONDS)], ...] = Field(
        (3600, 21_600, DAY_SECONDS),
        min_length=1,
        description="ages at which a tracked fulfillment is read again; the longest repeats",
    )

    @model_validator(mode="after")
    def _watches(self) -> Self:
        if not self.watch_days and "watch_after_seconds" in self.model_fields_set:
            raise ValueError("watch_after_seconds does nothing without watch_days; remove one")
        return self

    @property
    def watched(self) -> bool:
        """Whether records that no list would show are read again for days."""
        return bool(self.watch_days)

    def watch(self, age: timedelta, *, awaits_tracking: bool) -> Due | None:
        """When a record of this age is read again; None when it is old enough to be left alone."""
        seconds = max(0.0, age.total_seconds())
        if seconds >= self.watch_days * DAY_SECONDS:
            return None
        if awaits_tracking:
            return Due("watch", self.poll_interval_seconds)
        ahead = [step - seconds for step in self.watch_after_seconds if step > seconds]
        longest = max(self.watch_after_seconds)
        next_step = min(ahead, default=longest - seconds % longest)
        return Due("watch", max(self.poll_interval_seconds, next_step))
