"""The table of instants and dates: how vendors write them, and what is read."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from schemas.instants import is_unset, read_instant, read_moment
from schemas.message import iso

NOON = "2026-03-01T12:00:00Z"

READ = {
    "2026-03-01T12:00:00Z": NOON,
    "2026-03-01t12:00:00z": NOON,
    "2026-03-01 12:00:00Z": NOON,
    "2026-03-01 12:00:00 UTC": NOON,
    "2026-03-01T12:00:00 GMT": NOON,
    "2026-03-01T12:00Z": NOON,
    "2026-03-01T12:00:00+00:00": NOON,
    "2026-03-01T13:00:00+01:00": NOON,
    "2026-03-01T13:00:00+0100": NOON,
    "2026-03-01T13:00:00+01": NOON,
    "2026-03-01T07:00:00-05:00": NOON,
    "2026-03-01T17:30:00+05:30": NOON,
    "2026-03-01T13:00:00+01:00[Europe/Paris]": NOON,
    "2026-03-01T12:00:00Z[UTC]": NOON,
    "2026-3-1T12:00:00Z": NOON,
    "2026/03/01 12:00:00Z": NOON,
    "20260301T120000Z": NOON,
    "20260301T1200Z": NOON,
    " 2026-03-01T12:00:00Z\n": NOON,
    '"2026-03-01T12:00:00Z"': NOON,
    "\ufeff2026-03-01T12:00:00Z\u200b": NOON,
    "2026-03-01T11:59:60Z": NOON,
    "2026-02-28T24:00:00Z": "2026-03-01T00:00:00Z",
    "2026-03-01T12:00:00.5Z": "2026-03-01T12:00:00.5Z",
    "2026-03-01T12:00:00,250Z": "2026-03-01T12:00:00.25Z",
    "2026-03-01T12:00:00.123456789Z": "2026-03-01T12:00:00.123456Z",
    "2026-03-01T12:00:00.1234567+00:00": "2026-03-01T12:00:00.123456Z",
    "Sun, 01 Mar 2026 12:00:00 GMT": NOON,
    "Sun, 01 Mar 2026 13:00:00 +0100": NOON,
    "1772366400": NOON,
    "1772366400000": NOON,
    "1772366400.000": NOON,
    "/Date(1772366400000)/": NOON,
    "/Date(1772366400000+0100)/": NOON,
    1772366400: NOON,
    1772366400000: NOON,
    1772366400000000: NOON,
    1772366400000000000: NOON,
    Decimal("1772366400.5"): "2026-03-01T12:00:00.5Z",
}
OBJECTS = [
    ({"$date": "2026-03-01T12:00:00Z"}, NOON),
    ({"$date": {"$numberLong": "1772366400000"}}, NOON),
    ({"seconds": "1772366400", "nanos": 0}, NOON),
    ({"_seconds": 1772366400, "_nanoseconds": 0}, NOON),
]
UNSET = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00",
    "0001-01-01",
    "0000-00-00",
    "0000-00-00 00:00:00",
    "0000-00-00T00:00:00.000Z",
    "1970-01-01T00:00:00Z",
    "1969-12-31T19:00:00-05:00",
    "1900-01-01T00:00:00Z",
    "1899-12-30T00:00:00Z",
    "1753-01-01T00:00:00",
    "1601-01-01T00:00:00Z",
    "9999-12-31T23:59:59.9999999Z",
    "9999-12-31",
    "-",
    "N/A",
    "null",
    "None",
    "NaT",
    "Invalid date",
    "0",
    0,
    -1,
    " ",
]
UNREADABLE = [
    "03/04/2026",
    "01-02-2026 10:00:00Z",
    "yesterday",
    "2026-13-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-03-01T25:00:00Z",
    "2026-03-01T12:00:61Z",
    "2026-03-01T12:00:00+99:00",
    "\uff12026-03-01T12:00:00Z",
    "1234",
    12345,
    10**30,
    True,
    [2026, 3, 1],
    {"year": 2026},
]
LOCAL = {
    "2026-03-01": "2026-03-01",
    "20260301": "2026-03-01",
    "2026/03/01": "2026-03-01",
    "2026-03-01T23:30:00": "2026-03-01",
    "2026-03-01 23:30": "2026-03-01",
}


@pytest.mark.parametrize(("written", "read"), [*READ.items(), *OBJECTS])
def test_an_unambiguous_instant_is_read_in_utc(written: object, read: str) -> None:
    """Whatever serializer wrote it."""
    found = read_instant(written)

    assert found is not None
    assert (found.tzinfo, datetime.fromisoformat(read)) == (UTC, found)
    assert iso(found) == read_moment(written)


@pytest.mark.parametrize("written", UNSET)
def test_what_stands_for_no_date_is_none(written: object) -> None:
    """The zeros and maxima of databases, spreadsheets and epochs are no instants."""
    assert (read_instant(written), read_moment(written), is_unset(written)) == (None, None, True)


@pytest.mark.parametrize("written", [None, ""])
def test_an_absent_value_is_none_and_not_counted_as_unset(written: object) -> None:
    """Null and an empty text are the ordinary way to say nothing."""
    assert (read_instant(written), is_unset(written)) == (None, False)


@pytest.mark.parametrize("written", UNREADABLE)
def test_what_is_ambiguous_or_no_date_is_refused(written: object) -> None:
    """The error names the value, so that a person finds it."""
    with pytest.raises(ValueError, match=r"\S"):
        read_instant(written)
    assert not is_unset(written)


@pytest.mark.parametrize(("written", "day"), LOCAL.items())
def test_without_a_zone_only_the_date_is_read(written: str, day: str) -> None:
    """No zone makes no instant, but the day is told."""
    assert day == read_moment(written)
    with pytest.raises(ValueError, match="no time zone"):
        read_instant(written)
