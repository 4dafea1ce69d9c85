"""Scripted faults, met over real HTTP at the Zentail simulator."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import pytest

from testbed.faults import LISTING_FAULTS
from testbed.simulator import Simulator
from testbed.simulators import simulators
from testbed.simulators.zentail import ZentailSimulator
from tests.unit.testbed.upstream import HandClock, client_of, numbers, order


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


@pytest.mark.parametrize("name", ["cut_body", "reset", "reset_body"])
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


async def test_a_fault_without_a_count_strikes_until_it_is_cleared() -> None:
    """A storm is one; turns are counted by name."""
    simulator = ZentailSimulator()
    simulator.faults.add({"name": "rate_limit_storm"})
    async with client_of(simulator) as client:
        stormy = [(await client.get("/salesOrder")).status_code for _ in range(3)]
        simulator.faults.clear()
        assert stormy == [429, 429, 429]
        assert numbers(await client.get("/salesOrder")) == []
    assert simulator.faults.struck == {"rate_limit_storm": 3}


async def test_a_case_of_a_fault_may_be_told_otherwise() -> None:
    """Its own fields win over those of the catalogue."""
    simulator = ZentailSimulator()
    simulator.faults.add({"name": "rate_limited", "headers": {"Retry-After": "9"}})
    async with client_of(simulator) as client:
        answer = await client.get("/salesOrder")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "9")


async def test_a_bomb_is_small_and_unfolds_to_the_size_told() -> None:
    """It is the right document still."""
    simulator = ZentailSimulator(orders=[order(1)])
    simulator.faults.add({"name": "gzip_bomb", "bytes": 5_000_000})
    async with client_of(simulator) as client:
        response = await client.get("/salesOrder")
        assert int(response.headers["content-length"]) < 50_000
        assert len(response.content) > 5_000_000
        assert numbers(response) == [1]


async def test_a_duplicate_page_is_the_answer_before_it_on_the_same_path() -> None:
    """Once; what was asked for does not matter."""
    simulator = ZentailSimulator(orders=[order(1), order(2, seconds=9)])
    simulator.faults.add({"name": "duplicate_page"})
    async with client_of(simulator) as client:
        assert numbers(await client.get("/salesOrder?limit=1")) == [1]
        assert numbers(await client.get("/salesOrder?limit=2")) == [1]
        assert numbers(await client.get("/salesOrder?limit=2")) == [1, 2]


async def test_a_tie_flood_rewrites_what_was_updated_last_with_one_stamp() -> None:
    """It lies over the borders of pages, and every version is in the log."""
    simulator = ZentailSimulator(orders=[order(number, seconds=number) for number in range(6)])
    simulator.faults.add({"name": "tie_flood", "records": 4})
    async with client_of(simulator) as client:
        results = (await client.get("/salesOrder?limit=6")).json()["results"]
        stamps = [result["lastUpdatedTs"] for result in results]
        assert len(set(stamps[2:])) == 1
        assert stamps[0] < stamps[1] < stamps[2]
    assert len(simulator.log) == 10


@pytest.mark.parametrize("seconds", [-300.0, 300.0])
async def test_a_skewed_clock_shows_in_date_and_stamps_until_it_is_right_again(
    seconds: float,
) -> None:
    """Everything the upstream tells of time goes by it."""
    clock = HandClock()
    simulator = ZentailSimulator(orders=[order(1)], clock=clock)
    simulator.faults.add({"name": "clock_skew", "seconds": seconds})
    there = clock.now + timedelta(seconds=seconds)
    async with client_of(simulator) as client:
        simulator.touch(1)
        skewed = await client.get("/salesOrder")
        simulator.faults.clear()
        right = await client.get("/salesOrder")
    assert parsedate_to_datetime(skewed.headers["date"]) == there
    assert datetime.fromisoformat(skewed.json()["results"][0]["lastUpdatedTs"]) == there
    assert parsedate_to_datetime(right.headers["date"]) == clock.now


@pytest.mark.parametrize("name", ["null_record", "mistyped_record"])
async def test_a_record_with_no_right_field_stands_among_good_ones(name: str) -> None:
    """It is remembered as planted."""
    simulator = ZentailSimulator(orders=[order(5), order(6)])
    simulator.faults.add({"name": name})
    async with client_of(simulator) as client:
        good, bad, other = (await client.get("/salesOrder")).json()["results"]
    assert (good, other) == (order(5), order(6))
    assert bad.keys() == good.keys()
    assert all(type(bad[key]) is not type(good[key]) for key in good)
    assert simulator.planted == [bad]


def test_what_a_simulator_can_do_wrong_is_in_the_catalogue() -> None:
    """A misspelled name would never be tried."""
    for module in simulators().values():
        classes = [one for one in vars(module).values() if isinstance(one, type)]
        for one in classes:
            if issubclass(one, Simulator):
                assert one.listing_faults <= LISTING_FAULTS
