"""The Zentail source, without HTTP."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bus.errors import BadConfig
from bus.settings import checked
from schemas.cursor import Cursor
from services.poller.outcome import Asked, understood
from services.poller.source import Page, Refused, Request, Response, Stream, Unreadable
from services.poller.sources import zentail

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONNECTED_AT = datetime(2026, 2, 1, tzinfo=UTC)
BASE = "https://api.example/v1"
os.environ["POLLER_UNIT_TOKEN"] = "s3cret"


def configured(**keys: Any) -> zentail.Settings:
    table = {
        "source": "zentail",
        "name": "acme",
        "token": "env:POLLER_UNIT_TOKEN",
        "base_url": BASE,
    }
    return checked(zentail.Settings, {**table, **keys}, "[[accounts]]")


def stream(name: str, **keys: Any) -> Stream:
    found = {one.facts.name: one for one in zentail.streams(configured(**keys))}
    return found[name]


def cursor(name: str, **values: Any) -> Cursor:
    return Cursor(
        source="zentail", account="acme", stream=name, connected_at=CONNECTED_AT, **values
    )


def first_request(name: str, *, position: str | None = None, **keys: Any) -> Request:
    one = stream(name, **keys)
    return one.request(one.begin(cursor(name, position=position), NOW, ()), 100)


def read(body: bytes, **keys: Any) -> Page:
    one = stream("head", **keys)
    sweep = one.begin(cursor("head"), NOW, ())
    return one.read(sweep, Response(200, {}, body, NOW))


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({}, ["head", "settle", "planned"]),
        ({"start_from": CONNECTED_AT}, ["head", "settle", "planned", "backfill"]),
        ({"mode": "per_order"}, ["listing", "orders"]),
    ],
)
def test_the_mode_says_which_streams_there_are(keys: dict[str, Any], names: list[str]) -> None:
    """History is read only when start_from asks for it."""
    assert [one.facts.name for one in zentail.streams(configured(**keys))] == names


@pytest.mark.parametrize(
    ("name", "position", "keys", "since"),
    [
        ("head", None, {}, "2026-01-31T23:59:00.000Z"),
        ("head", "2026-03-01T10:00:00.123987Z", {}, "2026-03-01T09:59:00.123Z"),
        ("head", "2026-03-01T10:00:00Z", {"lookback_seconds": 5}, "2026-03-01T09:59:55.000Z"),
        ("settle", "2026-03-01T10:00:00Z", {}, "2026-02-27T10:00:00.000Z"),
        ("settle", None, {"start_from": "2026-01-31T00:00:00Z"}, "2026-01-31T00:00:00.000Z"),
        ("settle", None, {}, "2026-01-31T23:59:00.000Z"),
        ("backfill", None, {"start_from": "2025-01-01T00:00:00Z"}, "2025-01-01T00:00:00.000Z"),
        ("listing", "2026-03-01T10:00:00Z", {"mode": "per_order"}, "2026-02-27T10:00:00.000Z"),
    ],
)
def test_a_pass_begins_behind_its_cursor_and_never_before_start_from(
    name: str, position: str | None, keys: dict[str, Any], since: str
) -> None:
    """Head by the overlap, settle by its horizon, backfill at start_from."""
    assert first_request(name, position=position, **keys).params["lastUpdatedTs"] == since


def test_only_the_head_filters_by_status() -> None:
    """What left the filter between two polls is the settle sweep's."""
    assert first_request("head").params["status"] == "PARTIALLY_SHIPPED,SHIPPED"
    for name, keys in (("settle", {}), ("listing", {"mode": "per_order"})):
        assert "status" not in first_request(name, **keys).params


def test_the_default_is_the_vendors_address_and_two_minutes() -> None:
    """A table of source, name and token is enough."""
    settings = checked(
        zentail.Settings,
        {"source": "zentail", "name": "acme", "token": "env:POLLER_UNIT_TOKEN"},
        "[[accounts]]",
    )
    assert settings.base_url == "https://api.zentail.com/v1"
    assert settings.poll_interval_seconds == 120


def test_a_literal_secret_is_refused_with_advice() -> None:
    """And not repeated in the message."""
    with pytest.raises(BadConfig, match="env:NAME or file:PATH") as refused:
        configured(token="very-secret")
    assert "very-secret" not in str(refused.value)


@pytest.mark.parametrize("name", ["head", "settle", "backfill"])
def test_the_fingerprint_covers_where_and_what_is_asked(name: str) -> None:
    """The address always; start_from only where it is the stream's whole meaning."""
    start = {"start_from": "2026-01-01T00:00:00Z"}
    facts = stream(name, **start).facts
    moved = stream(name, **start, base_url="https://other.example/v1").facts
    sooner = stream(name, start_from="2025-01-01T00:00:00Z").facts
    faster = stream(name, **start, poll_interval_seconds=300).facts
    assert facts.fingerprint != moved.fingerprint
    assert (facts.fingerprint != sooner.fingerprint) == (name == "backfill")
    assert facts.fingerprint == faster.fingerprint


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b"[]",
        b'{"results":{},"pagination":{"hasNext":false}}',
        b'{"results":[],"pagination":{"hasNext":true,"nextToken":null}}',
        b'{"results":[{"a":1}',
    ],
)
def test_what_is_no_page_of_orders_is_never_taken_for_an_empty_one(body: bytes) -> None:
    """The cursor must not move over it."""
    with pytest.raises(Unreadable):
        read(body)


@pytest.mark.parametrize(
    "token",
    [
        "https://evil.example/v1/salesOrder?nextToken=x",
        "http://api.example/v1/salesOrder?nextToken=x",
        "https://api.example:444/v1/salesOrder",
        "https://api.example@evil.example/v1",
        "https://user@api.example/v1",
        "https://api.example:port/v1",
        "ftp://api.example/v1",
    ],
)
def test_a_next_token_is_pinned_to_scheme_host_and_port(token: str) -> None:
    """The credential goes nowhere else."""
    page = {"results": [], "pagination": {"hasNext": True, "nextToken": token}}
    with pytest.raises(Refused, match="another host"):
        read(json.dumps(page).encode())


@pytest.mark.parametrize(
    ("token", "url"),
    [
        ("https://api.example/v1/x?nextToken=a%2Fb", "https://api.example/v1/x?nextToken=a%2Fb"),
        ("https://api.example:443/v1/x", "https://api.example:443/v1/x"),
        ("a b/c", f"{BASE}/salesOrder?nextToken=a%20b%2Fc"),
    ],
)
def test_a_next_token_is_a_whole_url_or_a_word(token: str, url: str) -> None:
    """A URL is followed as it is, a word is passed as the parameter."""
    page = {"results": [], "pagination": {"hasNext": True, "nextToken": token}}
    following = read(json.dumps(page).encode()).sweep
    assert following is not None
    request = stream("head").request(following, 100)
    assert (request.url, request.params) == (url, {})


def test_records_are_sliced_out_byte_for_byte() -> None:
    """White space, order of keys, long numbers and escapes stay."""
    record = (
        b'{ "z" : 1.10, "orderNumber":7 ,"lastUpdatedTs":"2026-02-02T00:00:00Z",\n"u":"\\u00e9"}'
    )
    page = b'{"results": [ ' + record + b' ], "pagination": {"hasNext": false}, "more": 1}'
    (found,) = read(page).found
    assert found.body == record
    assert (found.upstream_id, found.updated_at) == ("7", datetime(2026, 2, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    "record",
    [
        b"7",
        b"null",
        b"[]",
        b"{}",
        b'{"orderNumber":1.5,"lastUpdatedTs":"2026-02-02T00:00:00Z"}',
        b'{"orderNumber":true,"lastUpdatedTs":"2026-02-02T00:00:00Z"}',
        b'{"orderNumber":"","lastUpdatedTs":"2026-02-02T00:00:00Z"}',
        b'{"orderNumber":1,"lastUpdatedTs":"2026-02-02T00:00:00"}',
        b'{"orderNumber":1,"lastUpdatedTs":null}',
        b'{"orderNumber":"\xff","lastUpdatedTs":"2026-02-02T00:00:00Z"}',
    ],
)
def test_a_bad_record_is_rejected_and_its_neighbors_are_not(record: bytes) -> None:
    """With a reason and its own bytes."""
    good = b'{"orderNumber":"2","lastUpdatedTs":"2026-02-02T01:00:00+01:00"}'
    page = read(b'{"results":[' + record + b"," + good + b'],"pagination":{"hasNext":false}}')
    assert [found.upstream_id for found in page.found] == ["2"]
    (rejected,) = page.rejected
    assert rejected.body == record
    assert rejected.reason


@pytest.mark.parametrize(
    ("status", "open_"),
    [
        ("PENDING", True),
        ("PENDING_PAYMENT", True),
        ("PARTIALLY_SHIPPED", True),
        ("PARTIALLY_CANCELLED", True),
        ("A_NEW_WORD", True),
        (None, True),
        (5, True),
        ("SHIPPED", False),
        ("CANCELLED", False),
        ("CANCELED", False),
        ("RETURNED", False),
        ("RETURN_REQUESTED", False),
        ("REFUNDED", False),
    ],
)
def test_an_order_is_read_by_its_id_until_it_is_closed(status: object, open_: bool) -> None:
    """Seed: "Once all of the items are accounted for in shipments" it is SHIPPED."""
    order = {"orderNumber": 1, "lastUpdatedTs": "2026-02-02T00:00:00Z", "status": status}
    body = json.dumps(order).encode()
    one = stream("orders", mode="per_order")
    sweep = one.begin(cursor("orders"), NOW, ["1"])
    assert one.request(sweep, 1).url == f"{BASE}/salesOrder/1"
    (found,) = one.read(sweep, Response(200, {}, body, NOW)).found
    assert (found.due is not None) == open_


def test_another_order_than_the_one_asked_for_is_not_believed() -> None:
    """A misdirected answer is asked for again."""
    body = b'{"orderNumber":2,"lastUpdatedTs":"2026-02-02T00:00:00Z"}'
    one = stream("orders", mode="per_order")
    with pytest.raises(Unreadable, match="order 1 was asked for"):
        one.read(one.begin(cursor("orders"), NOW, ["1"]), Response(200, {}, body, NOW))


def test_new_orders_are_found_at_least_every_fifteen_minutes() -> None:
    """Seed: "polling at least once every 15 minutes", also when the settle sweep is slower."""
    facts = stream("listing", mode="per_order", settle_interval_seconds=86_400).facts
    assert timedelta(seconds=facts.interval_seconds) == timedelta(minutes=15)


def test_a_refused_status_filter_is_left_out_for_the_rest_of_the_pass() -> None:
    """A second refusal is the upstream's answer to the request itself, and stops the stream."""
    one = stream("head")
    sweep = one.begin(cursor("head"), NOW, ())
    refusal = Response(400, {}, b'{"errors":[]}', NOW)
    asked = Asked(sweep, (), 100, 0)
    page, _ = understood(one, asked, refusal, chance=1.0, now=NOW)

    assert one.request(sweep, 100).params["status"] == "PARTIALLY_SHIPPED,SHIPPED"
    assert page is not None
    assert page.sweep is not None
    assert "status" not in one.request(page.sweep, 100).params
    again = Asked(page.sweep, (), 100, 0)
    refused, answer = understood(one, again, refusal, chance=1.0, now=NOW)
    assert (refused, answer.action) == (None, "stop")
    _, plain = understood(stream("settle"), asked, refusal, chance=1.0, now=NOW)
    assert plain.action == "stop"
