"""Writing to the Digital River simulator, over real HTTP: orders, validation, payments, faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from testbed.simulators.digital_river import TOKEN_DEFAULT, DigitalRiverSimulator
from testbed.world import World
from tests.unit.testbed.upstream import START, TIMEOUT_SECONDS, HandClock

ITEMS = [{"id": "1", "skuId": "MUG", "quantity": 3}, {"id": "2", "skuId": "TRAY", "quantity": 1}]
MUGS: dict[str, Any] = {"orderId": "o1", "items": [{"itemId": "1", "quantity": 2}]}

Written = tuple[DigitalRiverSimulator, httpx2.AsyncClient]


@pytest.fixture
def clock() -> HandClock:
    """The simulator's own."""
    return HandClock()


@pytest.fixture
async def river(clock: HandClock) -> AsyncIterator[Written]:
    """A simulator with one open order of three mugs and a tray, and a client with its key."""
    simulator = DigitalRiverSimulator(clock=clock, requests_per_second=1000, burst=1000)
    simulator.put_order({"id": "o1", "upstreamId": "500", "items": ITEMS})
    headers = {"AUTHORIZATION": f"Bearer {TOKEN_DEFAULT}"}
    async with (
        simulator.serve() as url,
        httpx2.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS) as client,
    ):
        yield simulator, client


async def listed(client: httpx2.AsyncClient, query: str = "") -> list[dict[str, Any]]:
    """What the list of fulfillments shows."""
    found: list[dict[str, Any]] = (await client.get(f"/fulfillments?{query}")).json()["data"]
    return found


def paid(simulator: DigitalRiverSimulator) -> list[tuple[str, list[tuple[str, int]]]]:
    """What was captured and released, in order."""
    return [
        (one["kind"], [(item["itemId"], item["quantity"]) for item in one["items"]])
        for one in simulator.captures
    ]


async def test_a_written_fulfillment_is_read_like_any_other(river: Written) -> None:
    """201 with what was told and what was added; the list and the id give the same."""
    _, client = river
    told = {**MUGS, "trackingCompany": "UPS", "trackingNumber": "1Z", "shipmentId": "S"}
    metadata = {"shipfeed_event_id": "e1", "wave": 7, "gift": True}
    made = await client.post("/fulfillments", json={**told, "metadata": metadata})

    assert made.status_code == 201
    body = made.json()
    assert body.items() >= {**told, "items": body["items"], "metadata": metadata}.items()
    assert body["items"] == [{"itemId": "1", "skuId": "MUG", "quantity": 2, "cancelQuantity": 0}]
    assert await listed(client, "orderId=o1") == [body]
    assert (await client.get(f"/fulfillments/{body['id']}")).json().items() >= body.items()


async def test_an_order_is_fulfilled_when_nothing_is_left_of_it(river: Written) -> None:
    """By what was sent and what was canceled together; then it takes no more."""
    simulator, client = river
    rest = [{"itemId": "1", "cancelQuantity": 1}, {"itemId": "2", "quantity": "1"}]
    await client.post("/fulfillments", json=MUGS)
    half = (await client.get("/orders/o1")).json()["state"]
    await client.post("/fulfillments", json={"orderId": "o1", "items": rest})
    again = await client.post("/fulfillments", json=MUGS)

    assert half == "accepted"
    assert (await client.get("/orders/o1")).json()["state"] == "fulfilled"
    assert (again.status_code, again.json()["type"]) == (409, "conflict")
    assert again.json()["errors"][0]["code"] == "order_fulfilled"
    assert paid(simulator) == [
        ("capture", [("1", 2)]),
        ("capture", [("2", 1)]),
        ("release", [("1", 1)]),
    ]


@pytest.mark.parametrize(
    ("change", "code", "parameter"),
    [
        ({"orderId": "o9"}, "invalid_parameter", "orderId"),
        ({"color": "red"}, "unknown_parameter", "color"),
        ({"items": []}, "invalid_parameter", "items"),
        ({"items": [{"itemId": "1"}]}, "missing_parameter", "quantity"),
        ({"items": [{"itemId": "7", "quantity": 1}]}, "invalid_parameter", "itemId"),
        ({"items": [{"itemId": "1", "quantity": 4}]}, "invalid_quantity_amount", "quantity"),
        ({"items": [{"itemId": "1", "quantity": 0}]}, "invalid_quantity_amount", "quantity"),
        ({"items": [{"itemId": "1", "quantity": 1.5}]}, "invalid_quantity_amount", "quantity"),
        (
            {"items": [{"itemId": "1", "quantity": 2}, {"itemId": "1", "cancelQuantity": 2}]},
            "invalid_quantity_amount",
            "cancelQuantity",
        ),
        (
            {"items": [{"itemId": "1", "quantity": 1, "distributorCost": "1.20"}]},
            "missing_parameter",
            "currency",
        ),
        (
            {"items": [{"itemId": "1", "quantity": 1, "shippingCost": 3}]},
            "missing_parameter",
            "currency",
        ),
        ({"currency": "dollars"}, "invalid_parameter", "currency"),
        ({"trackingNumber": 7}, "invalid_parameter", "trackingNumber"),
        ({"metadata": {"id": ["e1"]}}, "invalid_parameter", "metadata"),
        ({"metadata": dict.fromkeys(map(str, range(21)), 1)}, "invalid_parameter", "metadata"),
    ],
)
async def test_what_is_wrong_is_refused_and_nothing_is_written(
    river: Written, change: dict[str, Any], code: str, parameter: str
) -> None:
    """400, its code and parameter; no fulfillment, no payment."""
    simulator, client = river
    answer = await client.post("/fulfillments", json={**MUGS, **change})
    error = answer.json()["errors"][0]

    assert (answer.status_code, error["code"], error["parameter"]) == (400, code, parameter)
    assert await listed(client) == []
    assert paid(simulator) == []


@pytest.mark.parametrize(
    ("state", "status"), [("complete", 409), ("cancelled", 400), ("in_review", 400)]
)
async def test_only_an_accepted_order_is_fulfilled(river: Written, state: str, status: int) -> None:
    """What is done already is a conflict."""
    simulator, client = river
    simulator.put_order({"id": "o1", "items": ITEMS, "state": state})
    assert (await client.post("/fulfillments", json=MUGS)).status_code == status
    assert paid(simulator) == []


async def test_what_others_fulfilled_counts(river: Written) -> None:
    """Also when no list shows it yet."""
    simulator, client = river
    items = [{"itemId": "1", "skuId": "MUG", "quantity": 2, "cancelQuantity": 0}]
    simulator.faults.add({"name": "late_write", "seconds": 60})
    created = simulator.clock().isoformat()
    simulator.put({"id": "ful_x", "createdTime": created, "orderId": "o1", "items": items})
    assert await listed(client) == []
    answer = await client.post("/fulfillments", json=MUGS)
    assert answer.json()["errors"][0]["code"] == "invalid_quantity_amount"


async def test_an_update_changes_tracking_alone(river: Written) -> None:
    """Nothing is captured for it; of another id there is nothing to change."""
    simulator, client = river
    made = (await client.post("/fulfillments", json=MUGS)).json()
    told = {"trackingCompany": "UPS", "trackingNumber": "1Z2", "trackingUrl": "http://t.example/"}
    updated = await client.post(f"/fulfillments/{made['id']}", json=told)
    refused = await client.post(f"/fulfillments/{made['id']}", json={"orderId": "o2"})

    assert (updated.status_code, updated.json()) == (200, {**made, **told})
    assert refused.json()["errors"][0]["code"] == "unknown_parameter"
    assert await listed(client) == [{**made, **told}]
    assert (await client.post("/fulfillments/ful_9", json=told)).status_code == 404
    assert len(paid(simulator)) == 1


async def test_orders_are_listed_by_the_merchants_own_id_state_and_page(river: Written) -> None:
    """Newest first; upstreamIds may repeat."""
    simulator, client = river
    for number in range(2, 5):
        state = "accepted" if number % 2 else "complete"
        order = {"id": f"o{number}", "upstreamId": str(number // 4), "items": ITEMS}
        simulator.put_order({**order, "state": state})

    async def ids(query: str) -> tuple[list[str], bool]:
        page = (await client.get(f"/orders?{query}")).json()
        return [one["id"] for one in page["data"]], page["hasMore"]

    assert await ids("") == (["o4", "o3", "o2", "o1"], False)
    assert await ids("upstreamIds=0") == (["o3", "o2"], False)
    assert await ids("upstreamIds=500&upstreamIds=1") == (["o4", "o1"], False)
    assert await ids("ids=o2&ids=o9") == (["o2"], False)
    assert await ids("state=accepted&limit=1") == (["o3"], True)
    assert await ids("startingAfter=o3&limit=1") == (["o2"], True)
    assert (await client.get("/orders?limit=101")).status_code == 400
    assert (await client.get("/orders/o9")).status_code == 404


async def test_an_order_sold_here_is_open_under_the_number_of_who_ships_it(
    river: Written,
) -> None:
    """Each of a world's orders before the world has begun, line by line."""
    simulator, client = river
    world = World(7, start=None, orders=3)
    simulator.sell(world.placed(), shipped_by="zentail")
    world.begin(START)
    for order in world.orders(START.replace(year=2027)):
        page = (await client.get(f"/orders?upstreamIds={order.number}")).json()["data"]
        assert [one["state"] for one in page] == ["accepted"]
        assert [(item["skuId"], item["quantity"]) for item in page[0]["items"]] == [
            (line.product, line.quantity) for line in order.lines
        ]


async def test_the_control_tells_what_was_written(river: Written) -> None:
    """Orders, written fulfillments and payments; without a key."""
    simulator, client = river
    made = (await client.post("/fulfillments", json=MUGS)).json()
    simulator.put({**made, "id": "ful_given"})
    control = str(client.base_url).removesuffix("/digital-river/") + "/control"
    world = (await client.get(f"{control}/world")).json()
    captures = (await client.get(f"{control}/captures")).json()

    assert [one["fulfillmentId"] for one in captures] == [made["id"]]
    assert world["written"]["fulfillments"] == [made]
    assert world["written"]["captures"] == captures
    assert [one["id"] for one in world["written"]["orders"]] == ["o1"]


async def test_what_is_carried_out_and_then_lost_is_there(river: Written) -> None:
    """Whether the connection is reset or 500 is answered; reading is no matter of writing."""
    simulator, client = river
    simulator.faults.add([{"name": "commit_then_reset"}, {"name": "commit_then_error"}])
    one = {"orderId": "o1", "items": [{"itemId": "1", "quantity": 1}]}
    assert await listed(client) == []
    with pytest.raises(httpx2.TransportError):
        await client.post("/fulfillments", json=one)
    first = len(await listed(client))
    answer = await client.post("/fulfillments", json=one)

    assert (first, answer.status_code) == (1, 500)
    assert len(await listed(client)) == 2
    assert paid(simulator) == [("capture", [("1", 1)])] * 2


@pytest.mark.parametrize(
    ("name", "error"),
    [("late_commit", httpx2.TransportError), ("slow_commit", httpx2.ReadTimeout)],
)
async def test_a_late_commit_shows_when_the_clock_has_passed(
    river: Written, clock: HandClock, name: str, error: type[Exception]
) -> None:
    """Until then nobody sees it, and nothing is captured; no answer is ever given."""
    simulator, client = river
    simulator.faults.add({"name": name, "seconds": 60})
    with pytest.raises(error):
        await client.post("/fulfillments", json=MUGS, timeout=httpx2.Timeout(5, read=0.3))
    while not simulator.requests:  # a client may give up before the request is read
        await asyncio.sleep(0)
    clock.pass_seconds(59)
    before = (await listed(client), paid(simulator), simulator.finished(clock()))
    clock.pass_seconds(2)
    (shown,) = await listed(client)

    assert before == ([], [], False)
    assert shown["createdTime"] == "2026-01-05T09:01:00Z"
    assert paid(simulator) == [("capture", [("1", 2)])]
    assert simulator.finished(clock())


async def test_a_late_commit_is_judged_when_its_time_has_come(
    river: Written, clock: HandClock
) -> None:
    """What was sent again meanwhile stands; the late one finds too little left."""
    simulator, client = river
    simulator.faults.add({"name": "late_commit", "seconds": 60})
    with pytest.raises(httpx2.TransportError):
        await client.post("/fulfillments", json=MUGS)
    assert (await client.post("/fulfillments", json=MUGS)).status_code == 201
    clock.pass_seconds(61)
    assert len(await listed(client)) == 1
    assert len(paid(simulator)) == 1


@pytest.mark.parametrize("name", ["rate_limited", "server_error", "unauthorized", "redirect"])
async def test_a_refused_request_writes_nothing(river: Written, name: str) -> None:
    """The answer stands in for everything; what strikes POST alone lets a GET through."""
    simulator, client = river
    simulator.faults.add({"name": name, "method": "POST", "skip": 0})
    assert await listed(client) == []
    refused = await client.post("/fulfillments", json=MUGS)

    assert refused.status_code >= 300
    assert paid(simulator) == []
    assert (await client.post("/fulfillments", json=MUGS)).status_code == 201


async def test_a_spoiled_answer_is_of_what_was_written(river: Written) -> None:
    """Half of it is lost on the way."""
    simulator, client = river
    simulator.faults.add({"name": "cut_body", "method": "POST"})
    with pytest.raises(httpx2.TransportError):
        await client.post("/fulfillments", json=MUGS)
    assert len(paid(simulator)) == 1
