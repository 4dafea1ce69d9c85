"""The Shoplazza source, without HTTP."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bus.settings import checked
from schemas.cursor import Cursor
from services.poller.source import Due, Page, Parent, Refused, Response, Stream, Unreadable
from services.poller.sources import shoplazza

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONNECTED_AT = datetime(2026, 2, 1, tzinfo=UTC)
HOUR, DAY = 3600.0, 86_400.0
START: dict[str, Any] = {"start_from": "2026-01-01T00:00:00Z"}
os.environ["POLLER_UNIT_TOKEN"] = "s3cret"


def settings(**keys: Any) -> shoplazza.Settings:
    table = {
        "source": "shoplazza",
        "name": "acme",
        "shop": "mugs",
        "token": "env:POLLER_UNIT_TOKEN",
        **keys,
    }
    return checked(shoplazza.Settings, table, "[[accounts]]")


def stream(name: str, **keys: Any) -> Stream:
    return {one.facts.name: one for one in shoplazza.streams(settings(**keys))}[name]


def cursor(name: str, **values: Any) -> Cursor:
    return Cursor(
        source="shoplazza", account="acme", stream=name, connected_at=CONNECTED_AT, **values
    )


def response(value: Any, *, limit: int = 250) -> Response:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Response(200, {}, body, NOW, limit)


def listed(value: Any, name: str = "head", *, limit: int = 250, **keys: Any) -> Page:
    """What a list makes of an answer to its first request."""
    one = stream(name, **keys)
    return one.read(one.begin(cursor(name), NOW, ()), response(value, limit=limit))


def read(*records: Any, name: str = "touched", limit: int = 250, **keys: Any) -> Page:
    """What the reading of order o makes of its first page."""
    one = stream(name, **keys)
    sweep = one.begin(cursor(name), NOW, ["o"])
    return one.read(sweep, response({"fulfillments": list(records)}, limit=limit))


def record(upstream_id: str = "a", *, age_seconds: float = 0, **more: Any) -> dict[str, Any]:
    created = (NOW - timedelta(seconds=age_seconds)).isoformat()
    return {
        "id": upstream_id,
        "status": "shipped",
        "tracking_number": "T",
        "created_at": created,
        "updated_at": created,
        **more,
    }


@pytest.mark.parametrize(
    ("name", "position", "keys", "bounds"),
    [
        ("head", None, {}, ("2026-01-31T23:59:00Z", "2026-03-01T12:00:00Z")),
        ("head", "2026-03-01T10:00:00Z", {}, ("2026-03-01T09:59:00Z", "2026-03-01T12:00:00Z")),
        ("settle", "2026-03-01T10:00:00Z", {}, ("2026-02-27T10:00:00Z", "2026-03-01T12:00:00Z")),
        ("settle", None, START, ("2026-01-30T00:00:00Z", "2026-03-01T12:00:00Z")),
        ("backfill", None, START, ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")),
    ],
)
def test_a_pass_begins_behind_its_cursor_and_ends_now(
    name: str, position: str | None, keys: dict[str, Any], bounds: tuple[str, str]
) -> None:
    """Head by the overlap, settle by its horizon; backfill between start_from and connection."""
    one = stream(name, **keys)
    request = one.request(one.begin(cursor(name, position=position), NOW, ()), 250)
    assert request.params == {
        "limit": "250",
        "updated_at_min": bounds[0],
        "updated_at_max": bounds[1],
        "page": "1",
    }


def test_a_complete_pass_leaves_its_end_and_marks_what_it_found() -> None:
    """An order is due at once, for the stream that the list feeds."""
    page = listed({"orders": [{"id": "o-1", "updated_at": "x"}]})
    assert (page.sweep, page.position, page.done) == (None, "2026-03-01T12:00:00Z", False)
    assert page.parents == (Parent("o-1", Due("touched", 0), b'{"id": "o-1", "updated_at": "x"}'),)
    history = listed({"orders": [{"id": 7}]}, "backfill", **START)
    assert (history.done, history.parents[0].due) == (True, Due("history", 0))
    assert history.parents[0].id == "7"


@pytest.mark.parametrize(
    ("limit", "count", "complete"), [(250, None, True), (2, None, False), (250, 3, False)]
)
def test_a_window_is_full_by_its_limit_or_by_what_the_list_says(
    limit: int, count: int | None, complete: bool
) -> None:
    """Two orders: of 250 asked for they are all, of 2 or of 3 they are not."""
    orders = [{"id": "1"}, {"id": "2"}]
    page = listed({"orders": orders, "count": count}, limit=limit)
    assert (page.sweep is None) is complete
    assert (page.position is None) is not complete
    assert len(page.parents) == 2


@pytest.mark.parametrize(
    "value",
    [
        {"orders": []},
        {"orders": None},
        {"code": "Success", "message": "", "data": {"orders": [], "count": "none"}},
    ],
)
def test_an_empty_list_advances(value: Any) -> None:
    """Null is as empty as []; newer versions wrap the answer."""
    page = listed(value)
    assert (page.parents, page.sweep, page.position) == ((), None, "2026-03-01T12:00:00Z")


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({"error": "store is not active"}, Unreadable),
        ({"fulfillments": []}, Unreadable),
        (b"<html>", Unreadable),
        ([], Unreadable),
        ({"data": {"orders": [], "has_more": True, "cursor": "x"}}, Refused),
    ],
)
def test_an_answer_that_is_no_page_moves_nothing(value: Any, error: type[Exception]) -> None:
    """And one that would go on by cursor is not taken for a whole one."""
    with pytest.raises(error):
        listed(value)


def test_an_order_that_cannot_be_read_is_set_aside_under_its_own_resource() -> None:
    """Its neighbors are found."""
    page = listed(b'{"orders":[{"id":null},{"id":"1"},{"id":""}]}')
    assert [one.id for one in page.parents] == ["1"]
    told = [(one.resource, one.upstream_id, one.path) for one in page.rejected]
    assert told == [("orders", "", "$.id"), ("orders", "", "$.id")]


def test_an_order_is_read_to_its_last_page() -> None:
    """`read_at` is the first answer's instant: what was touched later stays due."""
    one = stream("touched")
    sweep = one.begin(cursor("touched"), NOW, ["o/1"])
    request = one.request(sweep, 2)
    assert request.url == "https://mugs.myshoplaza.com/openapi/2022-01/orders/o%2F1/fulfillments"
    assert request.params == {"limit": "2", "page": "1"}
    bare = record("b", tracking_number="")
    first = one.read(sweep, response({"fulfillments": [record("a"), bare]}, limit=2))
    assert (first.parents, [found.upstream_id for found in first.found]) == ((), ["a", "b"])
    assert first.sweep is not None
    assert one.request(first.sweep, 2).params["page"] == "2"
    later = Response(200, {}, b'{"fulfillments":[]}', NOW + timedelta(seconds=9), 2)
    last = one.read(first.sweep, later)
    assert last.parents == (Parent("o/1", Due("watch", 120), read_at=NOW),)
    again = response({"fulfillments": [record("a"), bare]}, limit=2)
    with pytest.raises(Unreadable, match="does not turn pages"):
        one.read(first.sweep, again)


@pytest.mark.parametrize(
    ("records", "seconds"),
    [
        ([], None),
        ([record()], HOUR),
        ([record(age_seconds=2 * HOUR)], 4 * HOUR),
        ([record(age_seconds=6 * HOUR), record(age_seconds=2 * DAY + HOUR)], 18 * HOUR),
        ([record(tracking_number=None)], 120),
        ([record(tracking_number=" ")], 120),
        ([record(tracking_number="", tracking_items=[{"tracking_number": "T"}])], HOUR),
        ([record(), record(age_seconds=HOUR, tracking_number="")], 120),
        ([record(tracking_number="", status="cancelled")], HOUR),
        ([record(age_seconds=30 * DAY)], None),
        ([record(age_seconds=30 * DAY), record(age_seconds=29.5 * DAY)], DAY / 2),
        ([record(age_seconds=-5)], HOUR),
    ],
)
def test_an_order_is_due_again_as_the_first_of_its_fulfillments(
    records: list[Any], seconds: float | None
) -> None:
    """Design 4, watch mark: each poll without a number, else 1 h, 6 h, daily, for 30 days."""
    (order,) = read(*records).parents
    assert order.due == (None if seconds is None else Due("watch", seconds))


def test_without_watch_days_nothing_is_read_again_by_itself() -> None:
    """No stream for it, no order that is due."""
    with pytest.raises(KeyError):
        stream("watch", watch_days=0)
    assert read(record(), watch_days=0).parents[0].due is None


def test_a_fulfillment_that_cannot_be_read_is_set_aside() -> None:
    """Its neighbors are written as they came, under their own version."""
    page = read({"id": "x", "updated_at": "soon"}, {"updated_at": "x"}, record("a"), record(""))
    assert [(one.upstream_id, one.path) for one in page.rejected] == [
        ("x", "$.updated_at"),
        ("", "$"),
        ("", "$.id"),
    ]
    (found,) = page.found
    assert (found.upstream_id, found.updated_at, found.due) == ("a", NOW, None)
    assert found.body == json.dumps(record("a")).encode()


def test_half_an_emoji_or_a_hundred_brackets_are_passed_on_as_they_came() -> None:
    """No strict parser takes them; an id that two records may share is none."""
    stamps = b'"updated_at":"2026-03-01T12:00:00Z"'
    odd = b'{"id":"a",%b,"note":"\\ud83d","properties":%b}' % (stamps, b"[" * 5000 + b"]" * 5000)
    nameless = b'{"id":"\\ud83d",%b}' % stamps
    one = stream("touched")
    body = b'{"fulfillments":[%b, %b]}' % (odd, nameless)
    page = one.read(one.begin(cursor("touched"), NOW, ["o"]), response(body))
    assert [(found.upstream_id, found.body) for found in page.found] == [("a", odd)]
    assert [(one.upstream_id, one.body) for one in page.rejected] == [("", nameless)]
    orders = listed(b'{"orders":[%b, %b]}' % (odd, nameless))
    assert [(order.id, order.body) for order in orders.parents] == [("a", odd)]
    assert [one.reason for one in orders.rejected] == ["id is empty or not valid Unicode"]


@pytest.mark.parametrize(
    ("status", "body", "meant"),
    [
        (200, b'{"orders":[]}', 200),
        (404, b'{"errors":["Record not found"]}', 404),
        (422, b'{"errors":["update_at_min time format error"]}', 422),
        (400, b"Bad Request", 400),
        (400, b"Unauthorized", 401),
        (400, b'"Unauthorized"', 401),
        (422, b'{"errors":["Unauthorized"]}', 401),
        (400, b'{"error":"store is not active"}', 401),
        (404, b'{"error":"Store is not active"}', 401),
        (423, b"", 503),
        (500, b'{"errors":["No context"]}', 500),
        (429, b"store is not active", 429),
    ],
)
def test_what_concerns_the_whole_shop_is_no_orders_fault(
    status: int, body: bytes, meant: int
) -> None:
    """Seed: both fields, `errors` and `error`; public: bare strings, 400 for bad credentials."""
    assert shoplazza.meaning(Response(status, {}, body, NOW)) == meant


def test_base_url_comes_from_the_shop_unless_it_is_said() -> None:
    """Seed: {shopdomain}.myshoplaza.com, one z; the version is a part of its own."""
    assert settings().base_url == "https://mugs.myshoplaza.com/openapi"
    assert settings(base_url="").base_url == "https://mugs.myshoplaza.com/openapi"
    own = settings(base_url="http://127.0.0.1:1/x/", api_version="2024-07")
    assert own.request("/orders", {}).url == "http://127.0.0.1:1/x/2024-07/orders"


def test_the_token_goes_out_in_its_own_header_and_is_never_shown() -> None:
    """Public: `access-token`, no Bearer."""
    one = stream("head")
    request = one.request(one.begin(cursor("head"), NOW, ()), 250)
    assert request.headers["access-token"] == "s3cret"
    assert "s3cret" not in f"{request!r} {one!r}"


def test_lists_feed_streams_that_are_there() -> None:
    """Also without start_from: what history has found before must still be read."""
    for keys in ({}, START, {"watch_days": 0}):
        facts = [one.facts for one in shoplazza.streams(settings(**keys))]
        readers = {one.name for one in facts if one.ids_max}
        assert {"touched", "history"} <= readers
        assert {one.feeds for one in facts if not one.ids_max} <= readers
        assert all(one.parents == "orders" for one in facts)


def test_one_fulfillment_is_read_with_its_order() -> None:
    """There is no other way to know that it is still there."""
    one = shoplazza.by_id(settings(), "fulfillments")
    assert one is not None
    assert (one.facts.ids_max, one.facts.parents) == (1, "orders")
    assert shoplazza.by_id(settings(), "orders") is None
