"""The Digital River source, without HTTP."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from bus.settings import checked
from schemas.cursor import Cursor
from services.poller.source import Due, Page, Request, Response, Stream, Sweep, Unreadable
from services.poller.sources import digital_river
from tests.unit.poller.test_bodies import ODD

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONNECTED_AT = datetime(2026, 2, 1, tzinfo=UTC)
BASE = "https://api.example"
HOUR = 3600.0
DAY = 86_400.0
START = {"start_from": "2026-01-01T00:00:00Z"}
os.environ["POLLER_UNIT_TOKEN"] = "s3cret"


def stream(name: str, **keys: Any) -> Stream:
    table = {
        "source": "digital_river",
        "name": "acme",
        "token": "env:POLLER_UNIT_TOKEN",
        "base_url": BASE,
        **keys,
    }
    settings = checked(digital_river.Settings, table, "[[accounts]]")
    return {one.facts.name: one for one in digital_river.streams(settings)}[name]


def cursor(name: str, **values: Any) -> Cursor:
    return Cursor(
        source="digital_river", account="acme", stream=name, connected_at=CONNECTED_AT, **values
    )


def query(request: Request) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.url).query))


def asked(name: str, position: str | None = None, **keys: Any) -> dict[str, str]:
    one = stream(name, **keys)
    return query(one.request(one.begin(cursor(name, position=position), NOW, ()), 100))


def read(
    records: list[Any],
    name: str = "head",
    *,
    more: bool = False,
    sweep: Sweep | None = None,
    **keys: Any,
) -> Page:
    one = stream(name, **keys)
    body = json.dumps({"hasMore": more, "data": records}).encode()
    sweep = sweep or one.begin(cursor(name), NOW, ["a", "b"])
    return one.read(sweep, Response(200, {}, body, NOW))


def record(upstream_id: str = "a", *, age_seconds: float = 0, **more: Any) -> dict[str, Any]:
    created = NOW - timedelta(seconds=age_seconds)
    items = [{"itemId": "1", "quantity": 1}]
    return {"id": upstream_id, "createdTime": created.isoformat(), "items": items, **more}


@pytest.mark.parametrize(
    ("name", "position", "keys", "since"),
    [
        ("head", None, {}, "2026-01-31T23:59:00Z"),
        ("head", "2026-03-01T10:00:00.9Z", {}, "2026-03-01T09:59:00Z"),
        ("head", "2026-03-01T10:00:00Z", {"lookback_seconds": 5}, "2026-03-01T09:59:55Z"),
        ("settle", "2026-03-01T10:00:00Z", {}, "2026-02-27T10:00:00Z"),
        ("settle", None, {}, "2026-01-31T23:59:00Z"),
        ("backfill", None, START, "2026-01-01T00:00:00Z"),
    ],
)
def test_a_pass_begins_behind_its_cursor_and_never_before_start_from(
    name: str, position: str | None, keys: dict[str, Any], since: str
) -> None:
    """Head by the overlap, settle by its horizon, backfill at start_from."""
    params = asked(name, position, **keys)
    assert (params["createdTime[gte]"], params["limit"]) == (since, "100")
    assert ("createdTime[lt]" in params) == (name == "backfill")


def test_settle_leaves_the_instant_it_began_and_head_the_newest_creation() -> None:
    """The slow sweep's horizon is counted from the clock, the head's overlap from the data."""
    old = record(age_seconds=HOUR)
    assert read([old]).position == "2026-03-01T11:00:00Z"
    assert read([old], "settle").position == "2026-03-01T12:00:00Z"


def test_without_watch_days_nothing_is_read_again_by_its_id() -> None:
    """No stream for it, no mark that is due."""
    with pytest.raises(KeyError):
        stream("watch", watch_days=0)
    assert read([record()], watch_days=0).found[0].due is None


def test_the_key_goes_out_as_bearer_with_the_pinned_version() -> None:
    """Public: a key has a version, a request may name another; the key is never shown."""
    one = stream("head", api_version="2020-12-17")
    request = one.request(one.begin(cursor("head"), NOW, ()), 100)
    assert request.headers["Authorization"] == "Bearer s3cret"
    assert request.headers["DigitalRiver-Version"] == "2020-12-17"
    assert "s3cret" not in f"{request!r} {one!r}"
    assert request.origin == f"{BASE}/fulfillments"


def test_ids_are_repeated_and_the_limit_covers_them() -> None:
    """Seed: "Only return objects with these IDs."; the default limit is 10."""
    one = stream("watch")
    request = one.request(one.begin(cursor("watch"), NOW, ["a", "b&c"]), 100)
    assert request.url == f"{BASE}/fulfillments?limit=100&ids=a&ids=b%26c"


@pytest.mark.parametrize(
    ("age", "number", "due"),
    [
        (0, None, 120),
        (29 * DAY, " ", 120),
        (30 * DAY, None, None),
        (30 * DAY, "T", None),
        (0, "T", HOUR),
        (HOUR - 5, "T", 120),
        (HOUR, "T", 5 * HOUR),
        (6 * HOUR, "T", 18 * HOUR),
        (DAY, "T", DAY),
        (5 * DAY + HOUR, "T", 23 * HOUR),
    ],
)
def test_young_fulfillments_are_read_again_by_age(
    age: float, number: str | None, due: float | None
) -> None:
    """Without a number at each poll, with one at 1 h, 6 h, then daily, for 30 days."""
    (found,) = read([record(age_seconds=age, trackingNumber=number)]).found
    assert found.due == (None if due is None else Due("watch", due))


@pytest.mark.parametrize(
    ("items", "due"),
    [
        ([{"quantity": 0, "cancelQuantity": 3}], HOUR),
        ([{"cancelQuantity": "3"}], HOUR),
        ([{"quantity": "1", "cancelQuantity": 1}], 120),
        ("none", 120),
    ],
)
def test_a_cancellation_waits_for_no_number(items: Any, due: float) -> None:
    """Only what was fulfilled does; what cannot be read may yet be corrected."""
    assert read([record(items=items)]).found[0].due == Due("watch", due)


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        ("2026-02-28T12:00:00Z", datetime(2026, 2, 28, 12, tzinfo=UTC)),
        ("2026-02-28T14:00:00.123456789+02:00", datetime(2026, 2, 28, 12, 0, 0, 123456, UTC)),
        (
            {
                "offset": {"totalSeconds": 7200, "id": "+02:00"},
                "nano": 500_000_000,
                "year": 2026,
                "month": "FEBRUARY",
                "monthValue": 2,
                "dayOfMonth": 28,
                "hour": 14,
                "minute": 0,
                "second": 0,
            },
            datetime(2026, 2, 28, 12, 0, 0, 500_000, UTC),
        ),
    ],
)
def test_both_forms_of_a_time_are_read(created: Any, expected: datetime) -> None:
    """ISO 8601 with any fraction, or the object a Java program would print."""
    assert read([record(createdTime=created)]).found[0].updated_at == expected


@pytest.mark.parametrize(
    ("bad", "upstream_id", "path"),
    [
        ("no object", "", "$"),
        ({"id": "a"}, "a", "$.createdTime"),
        ({"id": 7, "createdTime": "2026-02-28T12:00:00Z"}, "7", "$.id"),
        ({"id": "", "createdTime": "2026-02-28T12:00:00Z"}, "", "$.id"),
        ({"id": "a", "createdTime": None}, "a", "$.createdTime"),
        ({"id": "a", "createdTime": "soon"}, "a", "$.createdTime"),
        ({"id": "a", "createdTime": "2026-02-28T12:00:00"}, "a", "$.createdTime"),
        ({"id": "a", "createdTime": {"year": 2026}}, "a", "$.createdTime"),
        ({"id": "a", "createdTime": {"year": None, "offset": 1}}, "a", "$.createdTime"),
    ],
)
def test_a_bad_record_is_rejected_and_its_neighbors_are_not(
    bad: Any, upstream_id: str, path: str
) -> None:
    """With its id where it has one, the path and a reason."""
    page = read([bad, record("b")])
    assert [found.upstream_id for found in page.found] == ["b"]
    (rejected,) = page.rejected
    assert (rejected.upstream_id, rejected.path) == (upstream_id, path)
    assert rejected.reason


def test_records_are_sliced_out_byte_for_byte() -> None:
    """White space, order of keys and long numbers stay."""
    body = b'{ "z" : 1.10, "createdTime":"2026-02-28T12:00:00Z" ,\n"id":"a"}'
    one = stream("head")
    page = b'{"hasMore": false, "data": [ ' + body + b" ]}"
    sweep = one.begin(cursor("head"), NOW, ())
    assert one.read(sweep, Response(200, {}, page, NOW)).found[0].body == body


@pytest.mark.parametrize("value", ODD)
def test_what_a_parser_refuses_in_one_record_is_passed_on_as_it_came(value: bytes) -> None:
    """Half an emoji, absurd nesting; whether it waits for its number is still seen."""
    known = b'"createdTime":"2026-02-28T12:00:00Z","trackingNumber":"T"'
    odd, good = b'{"id":"a",%b,"x":%b}' % (known, value), b'{"id":"b",%b}' % known
    one = stream("head")
    page = b'{"hasMore":false,"data":[' + odd + b"," + good + b"]}"
    found = one.read(one.begin(cursor("head"), NOW, ()), Response(200, {}, page, NOW)).found
    assert [each.body for each in found] == [odd, good]
    assert found[0].due == found[1].due


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b'{"hasMore":0}'])
@pytest.mark.parametrize("name", ["head", "watch"])
def test_what_is_no_page_is_never_taken_for_an_empty_one(name: str, body: bytes) -> None:
    """The cursor must not move over it."""
    one = stream(name)
    with pytest.raises(Unreadable):
        one.read(one.begin(cursor(name), NOW, ["a"]), Response(200, {}, body, NOW))


def test_what_was_asked_for_by_its_id_and_is_missing_counts_as_refused_when_asked_for_alone() -> (
    None
):
    """One answer without it may be another question's; where none came, each is asked for alone."""
    page = read([record("a")], "watch")
    assert (page.refused, page.sweep) == ((), {"ids": ["b"], "left": []})
    page = read([], "watch", sweep={"ids": ["b"], "left": ["c"]})
    assert [(one.upstream_id, one.path) for one in page.refused] == [("b", "")]
    assert page.sweep == {"ids": ["c"], "left": []}
    assert page.only_refused
    assert read([record("c")], "watch", sweep=page.sweep).sweep is None
    page = read([], "watch")
    assert (page.refused, page.sweep) == ((), {"ids": ["a"], "left": ["b"]})


def test_a_bad_record_among_those_asked_for_is_not_missing_too() -> None:
    """It is rejected once, for what is wrong with it."""
    page = read([record("a"), {"id": "b", "createdTime": None}], "watch")
    assert [(one.upstream_id, one.path) for one in page.rejected] == [("b", "$.createdTime")]


def test_a_shortened_answer_by_ids_is_asked_on_for_the_rest() -> None:
    """hasMore says that the others are still to come."""
    page = read([record("a")], "watch", more=True)
    assert (page.sweep, page.rejected) == ({"ids": ["b"]}, ())


def test_an_answer_with_others_than_were_asked_for_is_not_believed() -> None:
    """A filter that was ignored must not give up what it left out."""
    with pytest.raises(Unreadable, match="'c' was not among them"):
        read([record("a"), record("c")], "watch")


def test_the_mapper_is_told_of_untracked_goods_and_the_cursor_does_not_depend_on_it() -> None:
    """A setting of the account rides with each record; where to read from stays the same."""
    quiet, loud = stream("head").facts, stream("head", announce_untracked=True).facts
    assert not quiet.options
    assert loud.options == {"announce_untracked"}
    assert quiet.fingerprint == loud.fingerprint
    assert quiet.fingerprint != stream("head", base_url="https://other.example").facts.fingerprint
