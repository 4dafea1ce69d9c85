"""When a failed delivery is tried again.  Pure: time and chance are arguments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from schemas.delivery import Outcome
from schemas.message import parse_instant
from schemas.subscription import Subscription

JITTER = 0.2  # of the schedule's wait, both ways
RETRY_AFTER_SECONDS_MAX = 24 * 3600.0


def next_due_at(
    steps: int,
    outcome: Outcome,
    retry_after_seconds: float | None,
    *,
    schedule_seconds: Sequence[float],
    now: datetime,
    chance: float,
    deadline_at: datetime | None = None,
) -> datetime | None:
    """When a delivery that has spent so many steps of the schedule is tried again.

    None: not at all, since `deadline_at` has passed; at that instant there is one try more.
    Whether its steps are spent is decided by `exhausted`: here the last wait of the schedule goes
    on.  A gone endpoint is held elsewhere.  `chance` in [0, 1) is the jitter.
    """
    if outcome == "gone":
        return now
    if deadline_at is not None and deadline_at <= now:
        return None
    step = min(max(steps, 1), len(schedule_seconds))
    wait_seconds = schedule_seconds[step - 1] if step else 0.0
    wait_seconds *= 1 - JITTER + 2 * JITTER * chance
    if deadline_at is not None:
        wait_seconds = min(wait_seconds, (deadline_at - now).total_seconds())
    if retry_after_seconds is not None:
        wait_seconds = max(wait_seconds, min(retry_after_seconds, RETRY_AFTER_SECONDS_MAX))
    return now + timedelta(seconds=wait_seconds)


def exhausted(
    steps: int,
    schedule_seconds: Sequence[float],
    *,
    free: bool,
    down: bool,
    failing_since: datetime,
    succeeded_at: datetime | None,
    started_at: datetime,
    now: datetime,
) -> bool:
    """Whether a try that failed was the last one of its delivery.

    It was when the steps of the schedule are spent, or its whole length has passed since the first
    try.  Never while the endpoint is down, and not before one try that began after the endpoint's
    first success since then: `free` tries cost no step, and end a delivery only after a success.
    """
    if down:
        return False
    steps_spent = steps > len(schedule_seconds)
    length = timedelta(seconds=sum(schedule_seconds) * (1 + JITTER))
    spent = steps_spent or now - failing_since >= length
    came_back = succeeded_at is not None and failing_since < succeeded_at <= started_at
    return (steps_spent and not free) or (spent and came_back)


def lane_deadline_at(subscription: Subscription, failing_since: datetime) -> datetime | None:
    """Until when a delivery that fails may hold up its lane; unordered ones hold up nobody."""
    seconds = subscription.lane_deadline_seconds
    if seconds is None or subscription.order == "unordered":
        return None
    return failing_since + timedelta(seconds=seconds)


def paused_until(
    outcome: Outcome, retry_after_seconds: float | None, now: datetime
) -> datetime | None:
    """Until when the whole endpoint asked to be left alone; None when it did not."""
    if outcome != "busy" or not retry_after_seconds:
        return None
    return now + timedelta(seconds=min(retry_after_seconds, RETRY_AFTER_SECONDS_MAX))


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """Retry-After as seconds from now, never negative; None when absent or neither form."""
    if not header:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, (_http_date(text) - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def _http_date(text: str) -> datetime:
    found = parsedate_to_datetime(text)
    # The obsolete forms come without a zone and mean GMT (RFC 9110, 5.6.7).
    return parse_instant(f"{found.isoformat()}Z") if found.tzinfo is None else found
