"""The Tradecloud source, without HTTP."""

from __future__ import annotations

import base64
import json
import os
from datetime import UTC, datetime
from typing import Any

import pytest

from bus.errors import Stop
from bus.settings import checked
from schemas.cursor import Cursor
from services.poller.source import Page, Response, Stream, Token, Unreadable
from services.poller.sources import tradecloud

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONNECTED_AT = datetime(2026, 2, 1, tzinfo=UTC)
BASE = "https://api.example/v2"
PASSWORD = "canary-password"
START = {"start_from": "2026-01-01T00:00:00Z"}
SHIPPED_AT = "2026-02-03T04:05:06.789Z"
os.environ["POLLER_UNIT_PASSWORD"] = PASSWORD


def account(**keys: Any) -> tradecloud.Settings:
    table = {
        "source": "tradecloud",
        "name": "acme",
        "username": "who@acme.example",
        "password": "env:POLLER_UNIT_PASSWORD",
        "role": "buyer",
        "base_url": BASE,
        **keys,
    }
    return checked(tradecloud.Settings, table, "[[accounts]]")


def stream(name: str, **keys: Any) -> Stream:
    return {one.facts.name: one for one in tradecloud.streams(account(**keys))}[name]


def cursor(name: str, **values: Any) -> Cursor:
    return Cursor(
        source="tradecloud", account="acme", stream=name, connected_at=CONNECTED_AT, **values
    )


def after(name: str, position: str | None = None, **keys: Any) -> str:
    one = stream(name, **keys)
    sweep = one.begin(cursor(name, position=position), NOW, ())
    return str(json.loads(one.request(sweep, 100).body)["filters"]["lastUpdatedAfter"])


def read(name: str, *records: Any, position: str | None = None, **keys: Any) -> Page:
    one = stream(name, **keys)
    body = json.dumps({"data": records, "total": len(records)}).encode()
    sweep = one.begin(cursor(name, position=position), NOW, ())
    return one.read(sweep, Response(200, {}, body, NOW))


def record(*, meta: bool = False, at: Any = SHIPPED_AT, **more: Any) -> dict[str, Any]:
    stamped = {"meta": {"lastUpdatedAt": at}} if meta else {"lastUpdatedAt": at}
    return {"id": "one", **stamped, **more}


@pytest.mark.parametrize(
    ("name", "position", "keys", "expected"),
    [
        ("orders", None, {}, "2026-01-31T23:59:00.000Z"),
        ("orders", None, START, "2026-01-01T00:00:00.000Z"),
        ("shipments", SHIPPED_AT, START, SHIPPED_AT),
        ("shipments", "as it came", {}, "as it came"),
        ("orders-settle", "2026-03-01T10:00:00Z", {}, "2026-02-27T10:00:00.000Z"),
        ("shipments-settle", None, {}, "2026-01-31T23:59:00.000Z"),
        ("shipments-settle", None, START, "2026-01-30T00:00:00.000Z"),
    ],
)
def test_a_poll_begins_at_the_last_string_and_settle_a_horizon_before_its_cursor(
    name: str, position: str | None, keys: dict[str, Any], expected: str
) -> None:
    """The string goes out untouched; the first poll is at start_from or just before connecting."""
    assert after(name, position, **keys) == expected


@pytest.mark.parametrize(("name", "path"), tradecloud.LISTS.items())
def test_a_poll_is_a_post_of_filter_offset_and_limit(name: str, path: str) -> None:
    """Public: the client libraries send it so."""
    one = stream(name)
    request = one.request(one.begin(cursor(name, position=SHIPPED_AT), NOW, ()), 100)
    assert (request.method, request.url) == ("POST", BASE + path)
    filters = {"lastUpdatedAfter": SHIPPED_AT}
    assert json.loads(request.body) == {"filters": filters, "offset": 0, "limit": 100}


@pytest.mark.parametrize("meta", [False, True])
def test_a_last_update_is_read_at_the_root_or_in_meta(meta: bool) -> None:
    """Public: orders have it at the root, shipments in meta."""
    page = read("orders", record(meta=meta))
    assert page.position == SHIPPED_AT
    assert [found.upstream_id for found in page.found] == ["one"]


def test_settle_leaves_the_instant_it_began() -> None:
    """The next horizon is counted from the clock, not from what was last updated."""
    assert read("orders-settle", record()).position == "2026-03-01T12:00:00Z"


@pytest.mark.parametrize(
    ("bad", "path"),
    [
        ({"id": "x"}, "$.lastUpdatedAt"),
        (record(at="yesterday"), "$.lastUpdatedAt"),
        (record(at=5), "$.lastUpdatedAt"),
        ({"lastUpdatedAt": SHIPPED_AT}, "$"),
        ({**record(), "id": ""}, "$.id"),
        ([], "$"),
    ],
)
def test_one_bad_record_is_set_aside_and_the_others_go_on(bad: Any, path: str) -> None:
    """With the place of its trouble; the cursor is that of the good one."""
    page = read("shipments", bad, record(meta=True))
    assert [rejected.path for rejected in page.rejected] == [path]
    assert (len(page.found), page.position) == (1, SHIPPED_AT)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"total":1}', b'{"data":{}}'])
def test_what_is_no_page_is_asked_for_again(body: bytes) -> None:
    """HTML with 200, or JSON of another shape."""
    one = stream("orders")
    with pytest.raises(Unreadable, match="not a page of orders"):
        one.read(one.begin(cursor("orders"), NOW, ()), Response(200, {}, body, NOW))


def test_changed_lines_are_those_since_the_pass_began() -> None:
    """Not since the page began: an update before it may not have been seen either."""
    keys = {"announce_lines": ["changed", "processStatus:Confirmed"]}
    one, start = stream("orders", **keys), "2026-02-01T00:00:00.000Z"
    sweep = one.begin(cursor("orders", position=start), NOW, ())
    body = json.dumps({"data": [record()]}).encode()
    page = one.read({**sweep, "after": "2026-02-02T00:00:00.000Z"}, Response(200, {}, body, NOW))
    assert page.found[0].options == {"changed-after:2026-02-01T00:00:00Z"}
    assert one.facts.options == {"role:buyer", "processStatus:Confirmed"}
    assert read("orders", record()).found[0].options == frozenset()


@pytest.mark.parametrize("wrong", [{"streams": []}, {"announce_lines": ["all"]}, {"role": "x"}])
def test_a_mistake_in_the_settings_is_named(wrong: dict[str, Any]) -> None:
    """One line for each key that is wrong."""
    with pytest.raises(Stop, match=next(iter(wrong))):
        account(**wrong)


@pytest.mark.parametrize(
    "changed", [{"base_url": "https://other.example"}, {"username": "else"}, START]
)
def test_what_gives_the_position_its_meaning_is_in_the_fingerprint(changed: Any) -> None:
    """Another upstream, another user, another beginning: the operator is asked."""
    assert stream("orders").facts.fingerprint != stream("orders", **changed).facts.fingerprint
    assert stream("orders").facts.fingerprint == stream("orders", role="supplier").facts.fingerprint


def test_a_login_is_basic_and_its_tokens_come_in_headers() -> None:
    """Public: Set-Authorization and Set-Refresh-Token; the password is never shown."""
    login = tradecloud.login(account())
    request = login.log_in()
    scheme, _, credential = request.headers["Authorization"].partition(" ")
    assert (request.method, request.url) == ("GET", f"{BASE}/authentication/login")
    assert (scheme, base64.b64decode(credential)) == ("Basic", b"who@acme.example:canary-password")
    headers = {"set-authorization": "Bearer acc-1", "set-refresh-token": "ref-1"}
    token = login.token(Response(200, headers, b"", NOW))
    assert token == Token("acc-1", "ref-1")
    poll = stream("orders")
    signed = login.signed(poll.request(poll.begin(cursor("orders"), NOW, ()), 100), token)
    assert (signed.headers["Authorization"], signed.method) == ("Bearer acc-1", "POST")
    shown = repr((request, token, signed, login))
    assert [one for one in (PASSWORD, "acc-1", "ref-1", credential) if one in shown] == []


def test_a_refresh_carries_the_refresh_token_alone() -> None:
    """Public: without an Authorization header; where there is none, a login is due."""
    login = tradecloud.login(account())
    request = login.refresh(Token("a1", "r1"))
    assert request is not None
    assert (request.url, dict(request.headers)) == (
        f"{BASE}/authentication/refresh",
        {"Refresh-Token": "r1"},
    )
    assert login.refresh(Token("a1")) is None
    with pytest.raises(Unreadable, match="Set-Authorization"):
        login.token(Response(200, {}, b"", NOW))


@pytest.mark.parametrize(("resource", "path"), [("orders", "order"), ("shipments", "shipment")])
def test_one_record_is_read_by_its_id(resource: str, path: str) -> None:
    """Public: `GET /order/{id}`, `GET /shipment/{id}`; another one is not taken for it."""
    single = tradecloud.by_id(account(), resource)
    assert single is not None
    sweep = single.begin(cursor("single"), NOW, ["on/e"])
    request = single.request(sweep, 1)
    assert (request.method, request.url) == ("GET", f"{BASE}/{path}/on%2Fe")
    body = json.dumps({**record(), "id": "on/e"}).encode()
    assert [found.body for found in single.read(sweep, Response(200, {}, body, NOW)).found] == [
        body
    ]
    with pytest.raises(Unreadable, match="one came"):
        single.read(sweep, Response(200, {}, json.dumps(record()).encode(), NOW))
    rejected = single.read(sweep, Response(200, {}, b'{"id":"on/e"}', NOW)).rejected
    assert [one.upstream_id for one in rejected] == ["on/e"]
    assert tradecloud.by_id(account(), "returns") is None
