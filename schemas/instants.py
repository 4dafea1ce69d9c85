"""Instants and dates as vendors write them: ISO 8601 and its misspellings, RFC 5322, epoch numbers.

Sources and mappers share this module, so that one spelling is read alike everywhere.  What is read
is unambiguous: `03/04/2026` is not.  `tests/unit/schemas/test_instants.py` is the table of it.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime

from schemas.message import iso

FIRST_YEAR = 1980  # before it: the zero of a database, a spreadsheet or an epoch, not a shipment
LAST_YEAR = 9000  # from it on: a maximum that stands for "never"
# What serializers, spreadsheets and people write for no date.
PLACEHOLDERS = frozenset(
    {"", "-", "--", "0", "null", "none", "nil", "n/a", "na", "nat", "nan", "tbd", "tba", "unknown"}
    | {"undefined", "invalid date", "not set", "pending"}
)
# Seconds, milliseconds, microseconds and nanoseconds since 1970: their ranges do not meet.
EPOCH_UNITS = (1, 1_000, 1_000_000, 1_000_000_000)
EPOCH_SECONDS_MIN, EPOCH_SECONDS_MAX = 315_532_800, 4_102_444_800  # 1980 to 2100

_INVISIBLE = re.compile("[\u00a0\u00ad\u180e\u200b-\u200f\u202a-\u202f\u2060-\u2064\ufeff]")
_DATE = r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})"
_TIME = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d+))?)?"
_ZONE = r"(?P<zone>[Zz]|UTC|GMT|utc|gmt|[+-]\d{2}(?::?\d{2}(?::?\d{2})?)?)?(?:\[[\w/+-]+\])?"
_EXTENDED = re.compile(rf"{_DATE}(?:(?:\s*[Tt]\s*|\s+){_TIME}\s*{_ZONE})?", re.ASCII)
_BASIC = re.compile(r"\d{8}[Tt ]\d{4,6}(?:[.,]\d+)?(?:[Zz]|[+-]\d{2}:?(?:\d{2})?)?", re.ASCII)
_ASP_NET = re.compile(r"\\?/Date\((?P<ms>-?\d+)(?:[+-]\d{4})?\)\\?/", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)
_RFC_5322 = re.compile(
    r"(?:[A-Za-z]{3,9},? )?\d{1,2}[ -][A-Za-z]{3}[ -]\d{4} \d{2}:\d{2}.*", re.ASCII
)


def read_instant(value: object) -> datetime | None:
    """Return the instant in UTC; None for what stands for no date.

    `value` is a text, a number of seconds, milliseconds, microseconds or nanoseconds since 1970,
    or an object `{"$date": ...}` or `{"seconds": ...}`.
    Raises ValueError when it cannot be read, or has no time zone.
    """
    found = _read(value)
    if isinstance(found, datetime) or found is None:
        return found
    raise ValueError(f"{value!r} has no time zone; expected one, for example 2026-03-01T12:00:00Z")


def read_moment(value: object) -> str | None:
    """Return an instant as UTC text, or the date alone of what has no zone; None for no date.

    No zone, no instant: `2026-03-01T12:00:00` is the date 2026-03-01.  Raises ValueError.
    """
    found = _read(value)
    if found is None:
        return None
    return iso(found) if isinstance(found, datetime) else found.isoformat()


def is_unset(value: object) -> bool:
    """Return whether a value that is there stands for no date: `0001-01-01`, 0, `Invalid date`."""
    try:
        return value not in (None, "") and _read(value) is None
    except ValueError:
        return False


def _read(value: object) -> datetime | date | None:
    try:
        found = _parsed(value)
    except (OverflowError, ArithmeticError) as error:
        raise ValueError(f"{value!r} leads out of the calendar") from error
    if found is None or not FIRST_YEAR <= found.year < LAST_YEAR:
        return None
    return found


def _parsed(value: object) -> datetime | date | None:
    if value is None:
        return None
    if isinstance(value, dict):
        return _of_object(value)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _of_epoch(Decimal(str(value)))
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a date or time")
    return _of_text(value)


def _of_object(value: dict[object, object]) -> datetime | date | None:
    """Return the instant of MongoDB's and Protocol Buffers' JSON."""
    if value.keys() == {"$date"}:
        return _parsed(value["$date"])
    if value.keys() == {"$numberLong"}:
        return _parsed(value["$numberLong"])
    seconds = value.get("seconds", value.get("_seconds"))
    if isinstance(seconds, int | str) and len(value) <= len({"seconds", "nanos"}):
        return _parsed(seconds)
    raise ValueError(f"{value!r} is not a date or time")


def _of_text(value: str) -> datetime | date | None:
    text = _INVISIBLE.sub("", value).strip().strip("\"'").strip()
    if text.casefold() in PLACEHOLDERS:
        return None
    if _NUMBER.fullmatch(text):
        compact = len(text) == len("20260301") and text[:2] in ("19", "20")
        return date.fromisoformat(text) if compact else _of_epoch(Decimal(text))
    if found := _ASP_NET.fullmatch(text):
        return _of_epoch(Decimal(found["ms"]) / 1000)
    if found := _EXTENDED.fullmatch(text):
        return _of_fields(text, found)
    try:
        if _BASIC.fullmatch(text):
            return _in_utc(datetime.fromisoformat(text.upper().replace(",", ".")))
        if _RFC_5322.fullmatch(text):
            return _in_utc(parsedate_to_datetime(text))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{value!r} is not a date or time") from error
    raise ValueError(
        f"{value!r} is not a date or time; expected ISO 8601, for example 2026-03-01T12:00:00Z"
    )


def _of_fields(text: str, found: re.Match[str]) -> datetime | date | None:
    """Return the instant of a match of `_EXTENDED`; second 60 and hour 24 begin the next one."""
    year, month, day = int(found["year"]), int(found["month"]), int(found["day"])
    if year < FIRST_YEAR or year >= LAST_YEAR or month == 0 or day == 0:
        return None  # 0000-00-00 too, which is no date of any calendar
    try:
        on = date(year, month, day)
        if found["hour"] is None:
            return on
        hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"] or 0)
        carried = timedelta()
        if second == 60:
            second, carried = 59, timedelta(seconds=1)
        if hour == 24 and minute == second == 0:
            hour, carried = 0, timedelta(days=1)
        fraction = int((found["fraction"] or "0").ljust(6, "0")[:6])
        there = datetime(year, month, day, hour, minute, second, fraction, UTC) + carried
        return there.date() if found["zone"] is None else there - _offset(found)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a date or time: {error}") from error


def _offset(found: re.Match[str]) -> timedelta:
    zone = found["zone"]
    if zone[0] not in "+-":
        return timedelta()
    digits = zone[1:].replace(":", "").ljust(6, "0")
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError(f"{zone} is not an offset from UTC")
    ahead = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return ahead if zone[0] == "+" else -ahead


def _of_epoch(number: Decimal) -> datetime | None:
    if number in (0, -1):
        return None
    for unit in EPOCH_UNITS:
        seconds = number / unit
        if EPOCH_SECONDS_MIN <= seconds <= EPOCH_SECONDS_MAX:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(seconds * 10**6))
    raise ValueError(f"{number} is not a time since 1970 between 1980 and 2100")


def _in_utc(told: datetime) -> datetime | date:
    return told.astimezone(UTC) if told.tzinfo else told.date()
