"""The Zentail simulator over real HTTP: listing, paging, ties, errors, control."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from testbed.simulators.zentail import TOKEN_DEFAULT, ZentailSimulator
from testbed.world import World
from tests.unit.testbed.upstream import START, TIMEOUT_SECONDS, HandClock, client_of, numbers, order


async def all_pages(client: httpx2.AsyncClient, **params: Any) -> list[list[int]]:
    response = await client.get("/salesOrder", params=params)
    pages = [numbers(response)]
    while response.json()["pagination"]["hasNext"]:
        response = await client.get(response.json()["pagination"]["nextToken"])
        pages.append(numbers(response))
    return pages


async def test_a_listing_is_inclusive_ascending_and_breaks_ties_by_order_number() -> None:
    """lastUpdatedTs is >=, oldest first."""
    orders = [order(5, seconds=2), order(9, seconds=1), order(3, seconds=2), order(1)]
    async with client_of(ZentailSimulator(orders=orders)) as client:
        since = (START + timedelta(seconds=1)).isoformat()

        response = await client.get("/salesOrder", params={"lastUpdatedTs": since})

        assert numbers(response) == [9, 3, 5]
        assert response.json()["pagination"] == {"hasNext": False, "nextToken": None}
        assert "date" in response.headers


async def test_pages_hold_25_by_default_and_never_more_than_100() -> None:
    """nextToken is a complete URL on the simulator's own host and carries the filters on."""
    orders = [order(n, status="SHIPPED" if n % 2 else "PENDING") for n in range(1, 251)]
    async with client_of(ZentailSimulator(orders=orders)) as client:
        default = await all_pages(client, status="SHIPPED")
        largest = await all_pages(client, limit=1000)
        next_token = (await client.get("/salesOrder")).json()["pagination"]["nextToken"]

        assert [len(page) for page in default] == [25] * 5
        assert [len(page) for page in largest] == [100, 100, 50]
        assert [number for page in largest for number in page] == list(range(1, 251))
        assert next_token.startswith(str(client.base_url))
        again = await client.get(next_token + "&status=CANCELED&limit=1")
        assert len(numbers(again)) == 25


async def test_an_order_touched_between_two_pages_makes_another_one_slip_through() -> None:
    """The drift of offset paging is real: the fault loses an order for whoever trusts it."""
    orders = [order(number, seconds=number) for number in range(1, 7)]
    simulator = ZentailSimulator(orders=orders)
    simulator.faults.add([{"name": "shifting_page"}])
    async with client_of(simulator) as client:
        pages = await all_pages(client, limit=3)

        assert pages == [[1, 2, 3], [5, 6, 1]]


async def test_a_late_write_shows_the_former_state_until_its_time_comes() -> None:
    """An order becomes visible seconds after its own lastUpdatedTs, then with that stamp."""
    clock = HandClock()
    simulator = ZentailSimulator(orders=[order(1), order(2)], clock=clock)
    simulator.faults.add([{"name": "late_write", "seconds": 30, "count": 2}])
    now_seconds = (clock.now - START).total_seconds()
    simulator.put(order(1, seconds=now_seconds, status="REFUNDED"))
    simulator.put(order(3, seconds=now_seconds))
    async with client_of(simulator) as client:
        early = await client.get("/salesOrder")
        assert not simulator.finished(clock.now)
        clock.pass_seconds(30)
        late = await client.get("/salesOrder")

        assert numbers(early) == [1, 2]
        assert early.json()["results"][0]["status"] == "SHIPPED"
        assert numbers(late) == [2, 1, 3]
        assert simulator.finished(clock.now)


async def test_one_order_is_read_by_its_number() -> None:
    """GET /salesOrder/{orderId} gives the same object; an unknown one is 404."""
    async with client_of(ZentailSimulator(orders=[order(7)])) as client:
        assert (await client.get("/salesOrder/7")).json() == order(7)
        assert (await client.get("/salesOrder/8")).status_code == 404


@pytest.mark.parametrize(
    "params",
    [
        {"status": "SHIPPED,LOST"},
        {"lastUpdatedTs": "yesterday"},
        {"limit": "0"},
        {"nextToken": "!"},
        {"nextToken": "eyJ4IjoxfQ"},
    ],
)
async def test_a_request_it_cannot_understand_is_400(params: dict[str, str]) -> None:
    """Errors have the shape {"errors": [{"message": …}]}."""
    async with client_of(ZentailSimulator()) as client:
        response = await client.get("/salesOrder", params=params)

        assert response.status_code == 400
        assert response.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (TOKEN_DEFAULT, 200),
        (f"Bearer {TOKEN_DEFAULT}", 200),
        (f"Basic {TOKEN_DEFAULT}", 401),
        ("wrong", 401),
        ("", 401),
    ],
)
async def test_the_token_is_taken_bare_or_as_bearer(header: str, status: int) -> None:
    """Anything else is 401."""
    async with client_of(ZentailSimulator(), token=header) as client:
        assert (await client.get("/salesOrder")).status_code == status


async def test_the_eleventh_request_at_once_is_429_and_a_tenth_of_a_second_admits_one() -> None:
    """A leaky bucket: ten at once, ten per second."""
    clock = HandClock()
    async with client_of(ZentailSimulator(clock=clock)) as client:
        burst = [(await client.get("/salesOrder")).status_code for _ in range(11)]
        clock.pass_seconds(0.1)
        after = [(await client.get("/salesOrder")).status_code for _ in range(2)]

        assert burst == [200] * 10 + [429]
        assert after == [200, 429]


async def test_faults_requests_and_the_world_are_steered_over_http() -> None:
    """The control endpoints need no token and are not in the log of requests."""
    clock = HandClock()
    world = World(7, start=clock.now, orders=30, duration_seconds=10)
    simulator = ZentailSimulator(world=world, clock=clock)
    async with client_of(simulator) as client:
        control = str(client.base_url).replace("/zentail/v1/", "/control")
        async with httpx2.AsyncClient(timeout=TIMEOUT_SECONDS) as operator:
            fault = {"name": "status", "status": 500}
            assert (await operator.post(f"{control}/faults", json=[fault])).status_code == 200
            refused = await operator.post(f"{control}/faults", json=[{"name": "gremlin"}])
            misspelt = await operator.post(f"{control}/faults", json=[{**fault, "cuont": 1}])
            await client.get("/salesOrder", params={"status": "SHIPPED"})
            log = (await operator.get(f"{control}/requests")).json()
            young = (await operator.get(f"{control}/world")).json()
            clock.pass_seconds(10)
            old = (await operator.get(f"{control}/world")).json()

        assert "gremlin" in refused.json()["error"]
        assert "cuont" in misspelt.json()["error"]
        assert [(entry["query"], entry["status"]) for entry in log] == [
            ({"status": "SHIPPED"}, 500)
        ]
        assert (young["finished"], young["seconds_left"]) == (False, 10)
        assert (old["finished"], old["seconds_left"], old["orders"]) == (True, 0, 30)
        assert old["truth"] == world.truth(clock.now)


@pytest.mark.parametrize("package_ids", [False, True])
async def test_a_world_is_shown_with_or_without_package_ids(package_ids: bool) -> None:
    """The seed document names no package id; some accounts may have them, and some orders do."""
    clock = HandClock()
    world = World(7, start=START, package_ids=package_ids)
    async with client_of(ZentailSimulator(world=world, clock=clock)) as client:
        response = await client.get("/salesOrder", params={"status": "SHIPPED", "limit": "100"})

        packages = [p for result in response.json()["results"] for p in result["packages"]]
        assert packages
        assert all("packageId" in package for package in packages) == package_ids
        assert any("fulfillmentPackageId" in package for package in packages) == package_ids
        assert all(package["products"] for package in packages)
