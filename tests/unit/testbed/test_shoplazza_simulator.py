"""The Shoplazza simulator: filters and pages, both error bodies, and a world in its shape."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from testbed.http import Request
from testbed.simulators.shoplazza import TOKEN_DEFAULT, ShoplazzaSimulator
from testbed.world import World

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
BASE = "/shoplazza/openapi/2022-01/orders"


def stamp(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat(timespec="seconds").replace("+00:00", "Z")


def parcel(number: int, **more: Any) -> dict[str, Any]:
    at = stamp(number)
    return {"id": f"f{number}", "status": "shipped", "created_at": at, "updated_at": at, **more}


def given(count: int, **keys: Any) -> ShoplazzaSimulator:
    """Orders o1 to `count`, one in each second, each with one fulfillment."""
    keys = {"requests_per_second": 1000, "burst": 1000, **keys}
    simulator = ShoplazzaSimulator(clock=lambda: START, **keys)
    for number in range(1, count + 1):
        simulator.put(f"o{number}", parcel(number), at=START + timedelta(seconds=number))
    return simulator


def ask(simulator: ShoplazzaSimulator, path: str = "", query: Any = (), **headers: str) -> Any:
    head = {"access-token": TOKEN_DEFAULT, **headers}
    answer = simulator.handle(Request("GET", f"{BASE}{path}?{urlencode(query)}", head))
    if "json" not in answer.headers.get("Content-Type", ""):
        return answer.status, answer.body.decode()
    return answer.status, json.loads(answer.body)


def ids(simulator: ShoplazzaSimulator, **query: Any) -> list[str]:
    status, page = ask(simulator, "", query)
    assert status == 200, page
    return [one["id"] for one in page["orders"]]


def test_orders_come_ten_at_a_time_and_say_how_many_there_are() -> None:
    """Public: default 10, by page number, `count`; a larger limit than the shop's is cut."""
    simulator = given(12)
    assert ids(simulator) == [f"o{number}" for number in range(12, 2, -1)]
    assert ids(simulator, page=2) == ["o2", "o1"]
    assert ids(simulator, page=3) == []
    status, page = ask(given(12, page_size_max=5), "", {"limit": 250})
    assert (status, page["count"], len(page["orders"])) == (200, 12, 5)


def test_bounds_are_inclusive_in_whole_seconds() -> None:
    """Public: "at or after", "at or before"; other filters are exact, `ids` are many."""
    simulator = given(5)
    simulator.put("o6", at=START + timedelta(seconds=4.9), fulfillment_status="shipped")
    assert ids(simulator, updated_at_min=stamp(3), updated_at_max=stamp(4)) == ["o6", "o4", "o3"]
    assert ids(simulator, created_at_max=stamp(1)) == ["o1"]
    assert ids(simulator, fulfillment_status="shipped") == ["o6"]
    assert ids(simulator, ids="o2,o5,o9") == ["o5", "o2"]


def test_fulfillments_are_read_by_their_order() -> None:
    """The list, one of them, and embedded in the order."""
    simulator = given(1)
    simulator.put("o1", *(parcel(number) for number in range(2, 62)))
    status, page = ask(simulator, "/o1/fulfillments")
    assert (status, len(page["fulfillments"])) == (200, 50)
    _, rest = ask(simulator, "/o1/fulfillments", {"limit": 50, "page": 2})
    assert [one["id"] for one in rest["fulfillments"]] == [f"f{n}" for n in range(51, 62)]
    _, late = ask(simulator, "/o1/fulfillments", {"updated_at_min": stamp(60)})
    assert [one["id"] for one in late["fulfillments"]] == ["f60", "f61"]
    assert ask(simulator, "/o1/fulfillments/f7")[1]["fulfillment"]["id"] == "f7"
    assert len(ask(simulator, "/o1")[1]["order"]["fulfillments"]) == 61


@pytest.mark.parametrize(
    ("path", "query", "status", "body"),
    [
        ("/o9/fulfillments", {}, 404, {"errors": ["Record not found"]}),
        ("/o1/fulfillments/f9", {}, 404, {"errors": ["Record not found"]}),
        ("/o9", {}, 404, {"errors": ["Unable to find resource"]}),
        ("/o1/refunds", {}, 404, {"errors": ["Record not found"]}),
        ("", {"updated_at_max": "x"}, 422, {"errors": ["update_at_min time format error"]}),
        ("", {"limit": 251}, 400, "Bad Request"),
        ("", {"page": "x"}, 400, "Bad Request"),
    ],
)
def test_a_refusal_stands_in_errors_or_is_bare(
    path: str, query: dict[str, Any], status: int, body: Any
) -> None:
    """Seed: 404 and 422 as lists, 400 as a word."""
    assert ask(given(1), path, query) == (status, body)


def test_the_whole_shop_may_refuse() -> None:
    """Seed: 401 bare; `{"error": "store is not active"}`; public: a leaky bucket."""
    simulator = given(1)
    bearer = {"access-token": f"Bearer {TOKEN_DEFAULT}"}
    assert ask(simulator, "", (), **bearer) == (401, "Unauthorized")
    simulator.active = False
    assert ask(simulator) == (400, {"error": "store is not active"})
    slow = given(1, requests_per_second=2, burst=1)
    assert [ask(slow)[0] for _ in range(2)] == [200, 429]


def test_an_edit_moves_its_order_unless_it_is_told_not_to() -> None:
    """Nobody knows which of both the vendor does."""
    now = [START]
    simulator = ShoplazzaSimulator(clock=lambda: now[0])
    simulator.put("o1", parcel(1))
    now[0] += timedelta(seconds=60)
    simulator.put("o1", parcel(1, tracking_number="A"), moves=False)
    _, kept = ask(simulator, "/o1")
    assert kept["order"]["updated_at"] == stamp(0)
    assert kept["order"]["fulfillments"][0]["tracking_number"] == "A"
    simulator.put("o1", parcel(1, tracking_number="B"))
    assert ask(simulator, "/o1")[1]["order"]["updated_at"] == stamp(60)
    assert [one.body.get("tracking_number") for one in simulator.log] == [None, "A", "B"]


def test_a_record_is_utf8_as_it_is() -> None:
    """Seed: "燕文物流"."""
    simulator = given(0)
    simulator.put("o1", parcel(1, tracking_company="燕文物流"))
    request = Request("GET", f"{BASE}/o1", {"access-token": TOKEN_DEFAULT})
    assert "燕文物流".encode() in simulator.handle(request).body


@pytest.mark.parametrize("moves", [True, False])
def test_a_world_is_shown_as_one_fulfillment_for_each_package_ever(moves: bool) -> None:
    """One that is gone is cancelled; a version moves exactly when something of it changes."""
    now = [START]
    world = World(3, start=START, orders=40, duration_seconds=20, source="shoplazza")
    simulator = ShoplazzaSimulator(world=world, clock=lambda: now[0], edits_move_orders=moves)
    for second in range(22):
        now[0] = START + timedelta(seconds=second)
        simulator.handle(Request("GET", "/shoplazza/openapi/", {}))
    words = {shown.body["status"] for shown in simulator.log}
    assert words == {"waiting", "shipped", "finished", "cancelled"}
    shown = {row.key: row.body["fulfillments"] for row in simulator.visible(now[0])}
    for order in world.orders(now[0]):
        live = [one for one in shown[order.number] if one["status"] != "cancelled"]
        assert sorted(one["tracking_number"] for one in live) == sorted(
            package.tracking or "" for package in order.packages
        )
        sent = sum(line["shipping_quantity"] for one in live for line in one["line_items"])
        assert sent == sum(count for p in order.packages for _, count in p.contents)
    truth = simulator._world_now(now[0])["truth"]["orders"]
    assert {order["id"] for order in truth} == {
        row.body["order"]["id"] for row in simulator.visible(now[0])
    }
    late = [row for row in simulator.visible(now[0]) if _edited_later(row.body)]
    assert bool(late) is not moves


def _edited_later(body: dict[str, Any]) -> bool:
    """Whether a fulfillment has a later version than its order."""
    return any(one["updated_at"] > body["order"]["updated_at"] for one in body["fulfillments"])
