"""What an upstream's answer leads to: the table of the design, one row each, for every source.

Pure: chance and time come as arguments.  Carrying it out is the stream's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

from services.poller.source import Failure
from services.poller.upstream_clock import date_of

RETRY_SECONDS_MIN = 1.0
RETRY_SECONDS_MAX = 300.0
RETRY_AFTER_SECONDS_MAX = 3600.0  # of one answer; whoever means longer is asked once an hour
MILLISECONDS_TRIED = 3  # refusals in a row that may be waited for as if they meant milliseconds
HOURS = frozenset({2, 3, 4, 6, 8, 12, 24, 48, 72, 168})  # whole ones that people set as a wait
TIME_NEAR = timedelta(days=366)  # a number so near to now, since 1970, is a time
_NUMBER = re.compile(r"(\d{1,19}(?:\.\d{0,9})?)\s*(ms|s|secs?|seconds?)?", re.ASCII | re.IGNORECASE)
DEGRADED_ATTEMPTS = 10

REPEATS_MAX = 3  # failures in a row before a pass that gets no further stops its stream

RETRIED = frozenset({408, 425, 429})
UNAUTHORIZED = frozenset({401, 403})
ABSENT = frozenset({400, 404, 410, 422})

Action = Literal["read", "retry", "stop", "refuse", "halve"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What happens next.  `park`: the whole credential waits, not only the stream.  `retry_after`
    is what was understood as how long, as it came.

    `refuse`: what was asked for by its id is not given; it is passed over.
    """

    action: Action
    reason: str = ""
    wait_seconds: float = 0.0
    park: bool = False
    retry_after: str = ""


def answer_to(
    status: int,
    headers: Mapping[str, str],
    *,
    child: bool,
    attempt: int,
    chance: float,
    now: datetime,
    silence_seconds_max: float = RETRY_AFTER_SECONDS_MAX,
) -> Answer:
    """The row for a status.  `attempt` counts failures in a row before this one, from 0."""
    reason = f"the upstream answered {status}"
    if status in (200, 204):  # 204: there is none, as `bodies` reads it
        return Answer("read")
    if status in RETRIED or status >= 500 or 200 < status < 300:
        value = headers.get("retry-after", "")
        there = date_of(headers) or now  # whose times it tells
        told = retry_after_seconds(value, there, attempt=attempt, most=silence_seconds_max)
        wait = max(told or 0.0, jittered_seconds(attempt, chance))
        park = status == 429 or told is not None
        return Answer("retry", reason, wait, park, value[:100] if told is not None else "")
    if 300 <= status < 400:
        reason = f"{reason}, a redirect, which is never followed"
        return Answer("refuse", reason) if child else Answer("stop", f"{reason}; correct base_url")
    if status == 401:
        return Answer("stop", f"{reason}; check the account's credential and its rights")
    if child:
        return Answer("refuse", reason)
    if status in UNAUTHORIZED:
        return Answer("stop", f"{reason}; check the account's credential and its rights")
    return Answer("stop", f"{reason}; check base_url and the account's settings")


def answer_to_failure(
    failure: Failure, *, limit: int, attempt: int, chance: float, child: bool = False
) -> Answer:
    """The row for no usable answer.  `limit` is how many records were asked for."""
    if failure.kind == "login":
        return Answer("stop", failure.detail)
    if failure.kind == "repeated" and attempt >= REPEATS_MAX:
        return Answer("refuse" if child else "stop", failure.detail)
    if failure.kind != "too_large":
        wait = jittered_seconds(attempt, chance)
        return Answer("retry", f"{failure.kind}: {failure.detail}", wait)
    if limit > 1:
        return Answer("halve", failure.detail)
    return Answer("refuse" if child else "stop", f"{failure.detail}, for a single record")


def jittered_seconds(attempt: int, chance: float) -> float:
    """Full jitter below a ceiling that doubles from 1 s to 5 min."""
    ceiling = min(RETRY_SECONDS_MAX, RETRY_SECONDS_MIN * 2.0 ** min(attempt, 16))
    return chance * ceiling


def child_wait_seconds(failures: int) -> float:
    """How long one record that is read by its id waits at the least after so many failures in a
    row: others are read meanwhile, so the stream's own wait does not grow.
    """
    return float(min(RETRY_SECONDS_MAX, RETRY_SECONDS_MIN * 2.0 ** min(failures - 1, 16)))


def retry_after_seconds(
    value: str | None,
    now: datetime,
    *,
    attempt: int = 0,
    most: float = RETRY_AFTER_SECONDS_MAX,
) -> float | None:
    """For how long to wait, at most `most`; None without a value that can be understood.

    Seconds or an HTTP date by the standard.  Others send the time as a number since 1970 or in
    ISO 8601, milliseconds, or a unit.  More seconds than `most` are milliseconds if these are not
    too many, nor a usual number of hours: while that has not been tried often enough in vain, as
    `attempt` tells.
    """
    text = (value or "").strip()
    if not text:
        return None
    numbers = [_NUMBER.fullmatch(part.strip()) for part in text.split(",")]  # of repeated headers
    waits = [_seconds_meant(one, now, attempt, most) for one in numbers if one is not None]
    if len(waits) == len(numbers):
        return min(max(waits), most)
    until = _instant(text)
    if until is None:
        return None
    return min(max(0.0, (until - now).total_seconds()), most)


def _seconds_meant(number: re.Match[str], now: datetime, attempt: int, most: float) -> float:
    count, unit = float(number[1]), (number[2] or "").lower()
    if unit:
        return count / 1000 if unit == "ms" else count
    for parts in (1, 1_000, 1_000_000, 1_000_000_000):
        ahead = count / parts - now.timestamp()
        if abs(ahead) <= TIME_NEAR.total_seconds():
            return max(0.0, ahead)
    if count <= most or count / 1000 > most or count / 3600 in HOURS:
        return count
    return count / 1000 if attempt < MILLISECONDS_TRIED else count


def _instant(text: str) -> datetime | None:
    """An HTTP date or one in ISO 8601, in UTC where it names no zone."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            found = read(text)
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None
