"""The Digital River simulator: the list's rules, error bodies, and a world in its shape."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from testbed.http import Request
from testbed.simulators.digital_river import TOKEN_DEFAULT, DigitalRiverSimulator
from testbed.world import World

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


def shown(number: int, *, seconds: int = 0) -> dict[str, Any]:
    created = (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    items = [{"itemId": "1", "skuId": f"SKU.{number % 2}", "quantity": 1}]
    return {"id": f"ful_{number}", "createdTime": created, "orderId": str(number), "items": items}


def given(count: int) -> DigitalRiverSimulator:
    """Fulfillments 1 to `count`, two of them in each second."""
    records = [shown(number, seconds=number // 2) for number in range(1, count + 1)]
    return DigitalRiverSimulator(
        fulfillments=records, clock=lambda: START, requests_per_second=1000, burst=1000
    )


def ask(
    simulator: DigitalRiverSimulator, query: Any = (), *, path: str = "", **headers: str
) -> tuple[int, Any]:
    target = f"/digital-river/fulfillments{path}?{urlencode(query)}"
    head = {"authorization": f"Bearer {TOKEN_DEFAULT}", **headers}
    answer = simulator.handle(Request("GET", target, head))
    return answer.status, json.loads(answer.body)


def ids(simulator: DigitalRiverSimulator, **query: Any) -> tuple[list[int], bool]:
    status, page = ask(simulator, {name.replace("__", ""): v for name, v in query.items()})
    assert status == 200, page
    return [int(one["id"].removeprefix("ful_")) for one in page["data"]], page["hasMore"]


def test_the_newest_come_first_ten_at_a_time() -> None:
    """Ties in the reverse order of creation; the default limit is 10."""
    assert ids(given(12)) == ([12, 11, 10, 9, 8, 7, 6, 5, 4, 3], True)


def test_pages_follow_and_precede_an_id() -> None:
    """startingAfter goes to older ones, endingBefore to the newer ones beside it, and wins."""
    simulator = given(9)
    assert ids(simulator, limit=3, startingAfter="ful_6") == ([5, 4, 3], True)
    assert ids(simulator, limit=3, startingAfter="ful_3") == ([2, 1], False)
    assert ids(simulator, limit=3, endingBefore="ful_5") == ([8, 7, 6], True)
    assert ids(simulator, limit=9, endingBefore="ful_8", startingAfter="ful_2") == ([9], False)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("createdTime", [5, 4]),
        ("createdTime[gt]", [7, 6]),
        ("createdTime[gte]", [7, 6, 5, 4]),
        ("createdTime[lt]", [3, 2, 1]),
        ("createdTime[lte]", [5, 4, 3, 2, 1]),
    ],
)
def test_the_list_is_filtered_by_created_time(name: str, wanted: list[int]) -> None:
    """Exactly, or by one of four bounds."""
    assert ids(given(7), **{name: "2026-01-05T08:00:02Z"}) == (wanted, False)


def test_other_filters_are_exact_and_ids_repeat() -> None:
    """orderId, skuId with its dots, and any number of ids."""
    simulator = given(4)
    assert ids(simulator, orderId="3") == ([3], False)
    assert ids(simulator, skuId="SKU.1") == ([3, 1], False)
    status, page = ask(simulator, [("ids", "ful_1"), ("ids", "ful_4"), ("ids", "ful_9")])
    assert (status, [one["id"] for one in page["data"]]) == (200, ["ful_4", "ful_1"])


@pytest.mark.parametrize(
    ("query", "status", "kind", "parameter"),
    [
        ({"limit": 0}, 400, "bad_request", "limit"),
        ({"limit": 101}, 400, "bad_request", "limit"),
        ({"createdTime[gte]": "yesterday"}, 400, "bad_request", "createdTime[gte]"),
        ({"updatedTime": "2026-01-05T08:00:02Z"}, 400, "bad_request", "updatedTime"),
        ({"startingAfter": "ful_77"}, 404, "not_found", "startingAfter"),
    ],
)
def test_a_refusal_names_type_code_and_parameter(
    query: dict[str, Any], status: int, kind: str, parameter: str
) -> None:
    """One body for every error, updatedTime being no filter of this list."""
    answered, body = ask(given(1), query)
    assert (answered, body["type"], body["errors"][0]["parameter"]) == (status, kind, parameter)


def test_a_single_read_adds_the_order_and_a_wrong_key_is_refused() -> None:
    """`GET /fulfillments/{id}`; only "Bearer" and the key are let in."""
    simulator = given(1)
    status, body = ask(simulator, path="/ful_1")
    assert (status, body["orderDetails"]["id"]) == (200, "1")
    assert ask(simulator, path="/ful_2")[0] == 404
    assert ask(simulator, authorization=TOKEN_DEFAULT)[0] == 401


def test_a_throttled_request_says_when_to_come_back() -> None:
    """429 with Retry-After in whole seconds."""
    simulator = DigitalRiverSimulator(clock=lambda: START, requests_per_second=1, burst=1)
    target = "/digital-river/fulfillments"
    answers = [simulator.handle(Request("GET", target, {})) for _ in range(2)]
    assert [one.status for one in answers] == [401, 429]
    assert answers[1].headers["Retry-After"] == "1"


def test_a_world_is_shown_as_one_fulfillment_for_each_package_ever() -> None:
    """A package that is gone shows as canceled, none leaves the list, no id or time changes."""
    now = [START]
    world = World(3, start=START, orders=40, duration_seconds=20, source="digital_river")
    simulator = DigitalRiverSimulator(world=world, clock=lambda: now[0], requests_per_second=1000)
    created: dict[str, str] = {}
    for second in range(22):
        now[0] = START + timedelta(seconds=second)
        simulator.handle(Request("GET", "/digital-river/", {}))
        found = {one["id"]: one["createdTime"] for one in simulator.newest_first(now[0])}
        assert found.items() >= created.items()
        created = found
    orders = {str(order.number): order for order in world.orders(now[0])}
    listed = simulator.newest_first(now[0])
    for number, order in orders.items():
        mine = [one for one in listed if one["orderId"] == number]
        live = [one for one in mine if any(line["quantity"] for line in one["items"])]
        assert sorted(one.get("trackingNumber", "") for one in live) == sorted(
            package.tracking or "" for package in order.packages
        )
        if order.status == "canceled":
            counts = [line["cancelQuantity"] for one in mine for line in one["items"]]
            assert sum(counts) == sum(line.quantity for line in order.lines)
