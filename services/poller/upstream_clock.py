"""What time it is at an upstream, by the `Date` of its answers.  Pure.

Bounds of what is asked for are by its clock: one of ours that runs ahead would pass over what is
written there a moment later (reference pitfall 7).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

AGREEMENT = timedelta(seconds=2)  # Date has whole seconds, and the answer took its way


class UpstreamClock:
    """Ours until an answer says otherwise; from then on never ahead of the upstream's."""

    def __init__(self) -> None:
        self._skew: timedelta | None = None

    @property
    def skew(self) -> timedelta | None:
        """Theirs - ours, at the least; None before the first answer."""
        return self._skew

    @property
    def behind(self) -> bool:
        """Whether it is earlier there than here."""
        return self._skew is not None and self._skew < -AGREEMENT

    def heard(self, headers: Mapping[str, str], received_at: datetime) -> None:
        """An answer came: its Date was not later than now at the upstream."""
        date = date_of(headers)
        if date is not None:
            self._skew = date - received_at

    def now(self, ours: datetime) -> datetime:
        """The present instant there.  Clocks that agree are left as they are."""
        if self._skew is None or abs(self._skew) <= AGREEMENT:
            return ours
        return ours + self._skew


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """The Date of an answer, in UTC where it names no zone; None without one that can be read."""
    try:
        date = parsedate_to_datetime(headers.get("date", ""))
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the zone may lead out of the calendar
        return None
