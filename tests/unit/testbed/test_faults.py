"""Scripted faults, met over real HTTP at the Zentail simulator."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from testbed.simulators.zentail import ZentailSimulator
from tests.unit.testbed.upstream import client_of, numbers, order


@pytest.mark.parametrize(
    ("fault", "status", "content_type"),
    [
        ({"name": "status", "status": 503}, 503, "application/json"),
        ({"name": "html_200"}, 200, "text/html"),
        ({"name": "broken_json"}, 200, "application/json"),
    ],
)
async def test_a_scripted_fault_spoils_as_many_matching_answers_as_told(
    fault: dict[str, Any], status: int, content_type: str
) -> None:
    """Other paths and later requests are well."""
    simulator = ZentailSimulator(orders=[order(1)])
    simulator.faults.add([{**fault, "count": 2, "skip": 1, "match": "/zentail/v1/salesOrder?"}])
    async with client_of(simulator) as client:
        assert (await client.get("/salesOrder/1")).json()
        assert numbers(await client.get("/salesOrder?limit=5")) == [1]
        for _ in range(2):
            spoiled = await client.get("/salesOrder?limit=5")
            assert spoiled.status_code == status
            assert spoiled.headers["content-type"] == content_type
            if status == 200:
                with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
                    spoiled.json()
        assert numbers(await client.get("/salesOrder?limit=5")) == [1]


async def test_a_status_fault_carries_its_headers() -> None:
    """Retry-After and the like."""
    simulator = ZentailSimulator()
    simulator.faults.add([{"name": "status", "status": 429, "headers": {"Retry-After": "7"}}])
    async with client_of(simulator) as client:
        assert (await client.get("/salesOrder")).headers["retry-after"] == "7"


@pytest.mark.parametrize("name", ["cut_body", "reset"])
async def test_a_cut_or_reset_connection_is_an_error_of_the_transport(name: str) -> None:
    """The next request finds the server well."""
    simulator = ZentailSimulator(orders=[order(1)])
    simulator.faults.add([{"name": name}])
    async with client_of(simulator) as client:
        with pytest.raises(httpx2.TransportError):
            await client.get("/salesOrder")
        assert numbers(await client.get("/salesOrder")) == [1]


async def test_a_stall_outlasts_a_short_timeout() -> None:
    """The answer would be right, only late."""
    simulator = ZentailSimulator()
    simulator.faults.add([{"name": "stall", "seconds": 5}])
    async with client_of(simulator) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.get("/salesOrder", timeout=0.2)


async def test_an_oversized_body_is_legal_json_of_the_size_told() -> None:
    """Only its size is wrong."""
    simulator = ZentailSimulator(orders=[order(1)])
    simulator.faults.add([{"name": "oversized", "bytes": 1_000_000}])
    async with client_of(simulator) as client:
        response = await client.get("/salesOrder")

        assert len(response.content) > 1_000_000
        assert numbers(response) == [1]


async def test_redirect_and_next_token_can_name_another_host() -> None:
    """What a client must not follow with a token in hand."""
    orders = [order(number) for number in range(1, 4)]
    simulator = ZentailSimulator(orders=orders)
    simulator.faults.add(
        [{"name": "next_token_host", "host": "http://evil.test"}, {"name": "redirect", "skip": 1}]
    )
    async with client_of(simulator) as client:
        page = await client.get("/salesOrder?limit=2")
        redirect = await client.get("/salesOrder?limit=2")

        assert page.json()["pagination"]["nextToken"].startswith("http://evil.test/zentail/v1/")
        assert redirect.status_code == 302
        assert redirect.headers["location"] == "http://other.invalid/"


async def test_a_bad_record_stands_among_good_ones() -> None:
    """The good ones are all there; the bad one may be given."""
    simulator = ZentailSimulator(orders=[order(5), order(6)])
    simulator.faults.add([{"name": "bad_record"}, {"name": "bad_record", "record": 42}])
    async with client_of(simulator) as client:
        first = (await client.get("/salesOrder")).json()["results"]
        second = (await client.get("/salesOrder")).json()["results"]

        assert [first[0]["orderNumber"], first[2]["orderNumber"]] == [5, 6]
        assert first[1]["packages"] == "none"
        assert second == [order(5), 42, order(6)]
