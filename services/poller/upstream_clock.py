"""What time it is at an upstream, by the `Date` of its answers.  Pure.

Bounds of what is asked for are by its clock: one of ours that runs ahead would pass over what is
written there a moment later (reference pitfall 7).  One answer alone moves it by minutes at most:
a cache repeats an old Date, a misconfigured server sends one that is a year off, and by such a
clock days of history would be news, or what is written until then would be passed over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from services.poller.source import Response

AGREEMENT = timedelta(seconds=2)  # Date has whole seconds, and the answer took its way
SAME_SECOND = timedelta(seconds=1)
PLAUSIBLE = timedelta(minutes=10)  # from what is known, or from ours: believed at once
ANSWERS = 3  # with a Date each that moves on and agrees: believed, however far away
DOUBTS_MAX = 4  # answers in a row that are asked for again before they are passed over
AGE_DIGITS_MAX = 9


class UpstreamClock:
    """Ours until an answer says otherwise; from then on never ahead of the upstream's."""

    def __init__(self) -> None:
        self.told: timedelta | None = None  # by the last answer, whether it is believed or not
        self._recent: deque[timedelta] = deque(maxlen=ANSWERS)
        self._claimed: list[tuple[datetime, timedelta]] = []
        self._doubts = 0

    @property
    def skew(self) -> timedelta | None:
        """Theirs - ours, the least of the last answers; None before one that is believed."""
        return min(self._recent, default=None)

    @property
    def behind(self) -> bool:
        """Whether it is earlier there than here."""
        return self.skew is not None and self.skew < -AGREEMENT

    @property
    def doubtful(self) -> bool:
        """Whether the last answer tells a time that others have still to confirm."""
        return 0 < self._doubts <= DOUBTS_MAX

    def heard(self, headers: Mapping[str, str], received_at: datetime) -> bool:
        """An answer came: its Date was not later than now at the upstream.  Whether that holds."""
        date = date_of(headers)
        if date is None:
            return False
        self.told = offset = date + _age(headers) - received_at
        if abs(offset - (self.skew or timedelta(0))) <= PLAUSIBLE:
            self._believe([offset])
            return True
        if self._claimed:
            last_date, last_offset = self._claimed[-1]
            if date == last_date and abs(offset - last_offset) < SAME_SECOND:
                return False  # another stream asked in the same second: no answer more
        self._doubts += 1
        if self._claimed:
            if date == last_date:
                return False  # a cache says the same again and again, which confirms nothing
            if date < last_date or abs(offset - last_offset) > AGREEMENT:
                self._claimed.clear()
        self._claimed.append((date, offset))
        if len(self._claimed) < ANSWERS:
            return False
        self._recent.clear()
        self._believe([offset for _, offset in self._claimed])
        return True

    def now(self, ours: datetime) -> datetime:
        """The present instant there.  Clocks that agree are left as they are."""
        if self.skew is None or abs(self.skew) <= AGREEMENT:
            return ours
        return ours + self.skew

    def _believe(self, offsets: list[timedelta]) -> None:
        self._recent.extend(offsets)
        self._claimed.clear()
        self._doubts = 0


def _age(headers: Mapping[str, str]) -> timedelta:
    """For how long a cache has kept the answer since its Date."""
    age = headers.get("age", "").strip()
    readable = age.isascii() and age.isdigit() and len(age) <= AGE_DIGITS_MAX
    return timedelta(seconds=int(age)) if readable else timedelta(0)


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """The Date of an answer, in UTC where it names no zone; None without one that can be read."""
    try:
        date = parsedate_to_datetime(headers.get("date", ""))
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the zone may lead out of the calendar
        return None


def undated(response: Response) -> Response:
    """The answer without a Date that does not hold: who looks for one takes our time."""
    if "date" not in response.headers:
        return response
    headers = {name: value for name, value in response.headers.items() if name != "date"}
    return replace(response, headers=headers)
