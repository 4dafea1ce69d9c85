"""The Tradecloud simulator: its polls, its tokens, and a world in its shape."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testbed.http import Request
from testbed.simulators.tradecloud import ACCOUNT, TOKEN_DEFAULT, TradecloudSimulator
from testbed.world import World

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
LATER = START + timedelta(hours=1)
BASIC = base64.b64encode(f"{ACCOUNT['username']}:{TOKEN_DEFAULT}".encode()).decode()


def stamp(second: int) -> str:
    return (START + timedelta(seconds=second)).isoformat(timespec="milliseconds")[:-6] + "Z"


def given(count: int, **keys: Any) -> TradecloudSimulator:
    """Orders 0 to `count` - 1, two of them in each second."""
    simulator = TradecloudSimulator(clock=lambda: LATER, requests_per_second=1000, **keys)
    for number in range(count):
        simulator.put("orders", {"id": f"o{number:02d}", "lastUpdatedAt": stamp(number // 2)})
    return simulator


def ask(
    simulator: TradecloudSimulator,
    path: str,
    query: Any = None,
    *,
    method: str = "POST",
    **headers: str,
) -> tuple[int, Any, dict[str, str]]:
    head = {"authorization": f"Basic {BASIC}"} | {
        n.replace("_", "-"): v for n, v in headers.items()
    }
    body = b"" if query is None else json.dumps(query).encode()
    answer = simulator.handle(Request(method, simulator.base_path + path, head, body))
    return answer.status, json.loads(answer.body), answer.headers


def poll(simulator: TradecloudSimulator, after: str, **more: Any) -> tuple[list[str], int]:
    query = {"filters": {"lastUpdatedAfter": after}, **more}
    status, page, _ = ask(simulator, "/order-search/poll", query)
    assert status == 200, page
    return [one["id"] for one in page["data"]], page["total"]


@pytest.mark.parametrize(
    ("inclusive", "ids"), [(False, ["o04", "o05"]), (True, ["o02", "o03", "o04", "o05"])]
)
def test_a_poll_filters_by_last_update_oldest_first(inclusive: bool, ids: list[str]) -> None:
    """Whether the instant itself is taken in is a switch."""
    assert poll(given(6, inclusive=inclusive), stamp(1)) == (ids, len(ids))


def test_pages_follow_by_offset_and_the_total_counts_all() -> None:
    """Whatever the page holds."""
    simulator = given(7)
    assert poll(simulator, stamp(0), limit=2, offset=1) == (["o03", "o04"], 5)
    assert poll(simulator, stamp(0), limit=2, offset=9) == ([], 5)


def test_the_same_body_is_taken_with_get_and_with_post() -> None:
    """The guide prints GET, the client libraries send POST."""
    query = {"filters": {"lastUpdatedAfter": stamp(0)}}
    answers = [ask(given(4), "/order-search/poll", query, method=one) for one in ("GET", "POST")]
    assert [(status, page["total"]) for status, page, _ in answers] == [(200, 2), (200, 2)]


@pytest.mark.parametrize(
    "query",
    [
        None,
        [],
        {"limit": 101},
        {"offset": -1},
        {"filters": {"lastUpdatedAfter": "yesterday"}},
        {"filters": {"lastUpdatedAfter": "2026-01-05T08:00:00"}},
    ],
)
def test_a_body_that_is_no_query_is_refused(query: Any) -> None:
    """400 in this API's shape."""
    status, body, _ = ask(given(1), "/order-search/poll", query)
    assert (status, body["ok"]) == (400, False)


def test_tokens_come_in_headers_and_a_refresh_voids_the_one_before() -> None:
    """A login, a refresh, the old refresh token again; then a token that has run out."""
    now = [START]
    simulator = TradecloudSimulator(clock=lambda: now[0], access_seconds=60)
    status, _, login = ask(simulator, "/authentication/login", method="GET")
    old = {"authorization": "", "refresh_token": login["Set-Refresh-Token"]}
    first = ask(simulator, "/authentication/refresh", method="GET", **old)
    again = ask(simulator, "/authentication/refresh", method="GET", **old)
    assert (status, first[0], again[0]) == (200, 200, 401)
    bearer = f"Bearer {first[2]['Set-Authorization']}"
    assert ask(simulator, "/shipment/poll", {}, authorization=bearer)[0] == 200
    now[0] += timedelta(seconds=60)
    assert ask(simulator, "/shipment/poll", {}, authorization=bearer)[0] == 401
    assert ask(simulator, "/shipment/poll", {}, authorization="Basic x")[0] == 401


def test_a_total_may_shrink_while_rows_are_still_there() -> None:
    """A fault of the listing, for as many requests as it says."""
    simulator = given(6)
    simulator.faults.add({"name": "shrinking_total", "match": "/tradecloud/v2/order"})
    assert poll(simulator, stamp(0), limit=2) == (["o02", "o03"], 2)
    assert poll(simulator, stamp(0), limit=2) == (["o02", "o03"], 4)


def test_a_shifting_page_bumps_its_first_row_to_the_end() -> None:
    """What stood behind it slides up by one."""
    simulator = given(6)
    simulator.faults.add({"name": "shifting_page"})
    assert poll(simulator, stamp(0), limit=2) == (["o02", "o03"], 4)
    assert poll(simulator, stamp(-1))[0] == ["o00", "o01", "o03", "o04", "o05", "o02"]


def test_one_record_is_read_by_its_id() -> None:
    """`GET /order/{id}` and `GET /shipment/{id}`; 404 for what is not there."""
    simulator = given(1)
    assert ask(simulator, "/order/o00", method="GET")[:2] == (
        200,
        {"id": "o00", "lastUpdatedAt": stamp(0)},
    )
    assert ask(simulator, "/shipment/o00", method="GET")[0] == 404


def test_a_world_is_an_order_each_and_a_shipment_for_each_package_ever() -> None:
    """Departed exactly when it has shipped; one that is gone is rejected, none leaves the list."""
    now = [START]
    world = World(3, start=START, orders=40, duration_seconds=20, source="tradecloud")
    simulator = TradecloudSimulator(world=world, clock=lambda: now[0])
    seen: set[str] = set()
    for second in range(22):
        now[0] = START + timedelta(seconds=second)
        simulator.handle(Request("GET", simulator.base_path + "/", {}))
        ids = {body["id"] for _, body in simulator.listed("shipments", now[0])}
        assert ids >= seen
        seen = ids
    orders = {body["id"][-8:]: body for _, body in simulator.listed("orders", now[0])}
    live, departed = [], []
    for _, body in simulator.listed("shipments", now[0]):
        if body["status"]["processStatus"] != "Rejected":
            live.append(body["identifiers"]["trackingNumber"])
            departed.append(bool(body["locations"]["departure"]["atdDate"]))
    truth = [
        package["states"][-1]
        for order in world.truth(now[0])["orders"]
        for package in order["packages"]
        if package["live"]
    ]
    assert sorted(map(str, live)) == sorted(str(state["tracking"]) for state in truth)
    assert sum(departed) == sum(state["shipped"] for state in truth)
    assert {str(order.number) for order in world.orders(now[0])} == set(orders)
    canceled = {str(o.number) for o in world.orders(now[0]) if o.status == "canceled"}
    assert {n for n, o in orders.items() if o["status"]["processStatus"] == "Cancelled"} == canceled
    assert any(body["lines"] for _, body in simulator.listed("shipments", now[0]))
