"""What an upstream's answer leads to: the table of the design, one row each, for every source.

Pure: chance and time come as arguments.  Carrying it out is the stream's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from services.poller.source import Failure

RETRY_SECONDS_MIN = 1.0
RETRY_SECONDS_MAX = 300.0
RETRY_AFTER_SECONDS_MAX = 86_400.0  # a longer wait is a mistake; the stream shows it either way
DEGRADED_ATTEMPTS = 10

REPEATS_MAX = 3  # failures in a row before a pass that gets no further stops its stream

RETRIED = frozenset({408, 425, 429})
UNAUTHORIZED = frozenset({401, 403})
ABSENT = frozenset({400, 404, 410, 422})

Action = Literal["read", "retry", "stop", "refuse", "halve"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What happens next.  `park`: the whole credential waits, not only the stream.

    `refuse`: what was asked for by its id is not given; it is passed over.
    """

    action: Action
    reason: str = ""
    wait_seconds: float = 0.0
    park: bool = False


def answer_to(
    status: int,
    headers: Mapping[str, str],
    *,
    child: bool,
    attempt: int,
    chance: float,
    now: datetime,
) -> Answer:
    """The row for a status.  `attempt` counts failures in a row before this one, from 0."""
    reason = f"the upstream answered {status}"
    if status in (200, 204):  # 204: there is none, as `bodies` reads it
        return Answer("read")
    if status in RETRIED or status >= 500 or 200 < status < 300:
        told = retry_after_seconds(headers.get("retry-after"), now)
        wait = max(told or 0.0, jittered_seconds(attempt, chance))
        return Answer("retry", reason, wait, park=status == 429 or told is not None)
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


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """Retry-After as seconds or as an HTTP date; None without one that can be understood."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), RETRY_AFTER_SECONDS_MAX)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max(0.0, (until - now).total_seconds()), RETRY_AFTER_SECONDS_MAX)
