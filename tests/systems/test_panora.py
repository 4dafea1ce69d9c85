"""Panora's own claims, one for each line of the documents the source was built from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.poller.source import Rate
from testbed.simulators.panora import PanoraSimulator
from tests.systems.bench import TOKEN, running
from tests.systems.panora_records import (
    fulfillment,
    known,
    numbers,
    scans,
    unthrottled,
    uuid,
    without_raw_record,
)

Panora = tuple[PanoraSimulator, str]
PATH = "/panora/ecommerce/fulfillments"
KEYS: dict[str, Any] = {"source": "panora", "rate": Rate(per_second=1000, burst=1000)}


@pytest.fixture
async def panora() -> AsyncIterator[Panora]:
    """An empty simulator that never throttles, and its URL."""
    simulator = unthrottled()
    async with simulator.serve() as url:
        yield simulator, url


async def test_both_credentials_go_out_and_remote_data_is_asked_for(panora: Panora) -> None:
    """Seed: "x-api-key ... required", "x-connection-token ... required", "Set to true"."""
    simulator, url = panora
    simulator.put(fulfillment(1))
    async with running(url, **KEYS) as bench:
        await scans(bench, 1)
    assert simulator.requests[0]["status"] == 200
    assert simulator.requests[0]["query"] == {"limit": "110", "remote_data": "true"}
    assert bench.bodies[0]["remote_data"]["status"] == "success"
    assert bench.raw[0][0].key == f"panora/acme/fulfillments/{uuid(1)}"


async def test_without_remote_data_the_parameter_is_left_out(panora: Panora) -> None:
    """For a single record even "false" would switch it on (public: panora code)."""
    simulator, url = panora
    simulator.put(without_raw_record(1))
    async with running(url, remote_data=False, **KEYS) as bench:
        await scans(bench, 1)
    assert simulator.requests[0]["query"] == {"limit": "110"}
    assert len(bench.ids) == 1


async def test_a_record_is_written_as_its_bytes_stood_in_the_page(panora: Panora) -> None:
    """Seed: the response, word for word; unknown fields and numbers stay as they were."""
    simulator, url = panora
    seed = fulfillment(
        1, modified_at="2024-10-01T12:00:00Z", weight=0.1, big=12345678901234567890123
    )
    simulator.put(seed)
    async with running(url, **KEYS) as bench:
        await scans(bench, 1)
    assert json.loads(bench.raw[0][1]) == seed
    assert b'"big":12345678901234567890123' in bench.raw[0][1]


async def test_a_sync_that_only_moves_modified_at_writes_nothing(panora: Panora) -> None:
    """Seed: "modified_at: The modified date"; it moves at every sync (public: panora code)."""
    simulator, url = panora
    simulator.put(fulfillment(1, modified_at="2024-10-01T12:00:00Z"), fulfillment(2))
    async with running(url, **KEYS) as bench:
        await scans(bench, 1)
        simulator.put(fulfillment(1, modified_at="2024-10-02T04:00:03.211Z"))
        await scans(bench, 2)
        await bench.stop()
        bench.start()
        await scans(bench, 1)
    assert numbers(bench) == known(1, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"field_mappings": {"fav_dish": "leek", "fav_color": "red"}},
        {"tracking_numbers": ["track_1", "track_2"]},
        {"tracking_urls": None},
        {"carrier": None},
        {"order_id": None},
        {"items": [{"sku": "MUG", "quantity": 1}]},
        {"remote_data": {"status": "cancelled"}},
        {"a_field_of_tomorrow": 1},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_any_other_change_is_written(panora: Panora, change: dict[str, Any]) -> None:
    """The whole record minus modified_at, so "custom field mappings" count too."""
    simulator, url = panora
    simulator.put(fulfillment(1))
    async with running(url, **KEYS) as bench:
        await scans(bench, 1)
        simulator.put(fulfillment(1, **change))
        await bench.until(lambda: len(bench.raw) == 2, "the change")
        await scans(bench, 1)
    assert numbers(bench) == known(1, 1)


@pytest.mark.parametrize("count", [0, 1, 100, 101, 350, 400])
async def test_a_scan_without_changes_costs_no_more_than_its_pages(
    panora: Panora, count: int
) -> None:
    """ceil(N / limit) requests, each record once, next_cursor to the end."""
    simulator, url = panora
    simulator.put(*(fulfillment(number) for number in range(count)))
    once: dict[str, Any] = {"poll_interval_seconds": 600, "poll_interval_seconds_max": 600}
    async with running(url, **KEYS, **once) as bench:
        await scans(bench, 1)
        asked = len(simulator.requests)
    assert sorted(numbers(bench)) == known(*range(count))
    assert asked <= max(1, -(-count // 100))


@pytest.mark.parametrize("keys", [{}, {"shuffled": True}, {"page_size_max": 10}], ids=str)
async def test_records_of_one_instant_over_page_borders_are_all_read_in_one_scan(
    keys: dict[str, Any],
) -> None:
    """350 of one instant; in another order in each answer; where no wider page is given."""
    simulator = unthrottled(**keys)
    simulator.put(*(fulfillment(number, minutes=number // 7) for number in range(250)))
    simulator.put(*(fulfillment(number, minutes=100) for number in range(250, 600)))
    simulator.put(*(fulfillment(number) for number in range(600, 650)))
    async with simulator.serve() as url, running(url, **KEYS) as bench:
        await bench.until(lambda: bench.streams["head"].cursor.position is not None, "one pass")
    assert sorted(numbers(bench)) == known(*range(650))
    assert max(Counter(numbers(bench)).values()) == 1


async def test_a_place_that_was_deleted_in_mid_scan_begins_the_scan_again(panora: Panora) -> None:
    """500 "The provided cursor does not exist!": permanent for the cursor, not for the scan."""
    simulator, url = panora
    simulator.put(*(fulfillment(number) for number in range(300)))
    # The second page fails until the record it begins at is gone.
    simulator.faults.add({"name": "status", "status": 503, "skip": 1, "count": 100_000})
    async with running(url, **KEYS) as bench:
        place = bench.streams["head"]
        await bench.until(lambda: place.cursor.sweep is not None, "the first page on record")
        simulator.delete(*(uuid(number) for number in range(90, 110)))
        simulator.faults.clear()
        await scans(bench, 1)
    assert [request["status"] for request in simulator.requests].count(500) == 1
    missing = set(known(*range(300))) - set(numbers(bench))
    assert missing <= set(known(*range(90, 110)))
    assert place.state == "running"
    assert max(Counter(numbers(bench)).values()) == 1


@pytest.mark.parametrize("key", ["api_key", "connection_token"])
@pytest.mark.parametrize("documented", [False, True])
async def test_an_unknown_credential_stops_the_stream_although_it_is_said_as_500(
    key: str, documented: bool
) -> None:
    """500 "API Key not found." and "Connection undefined for token"; the pages promise 401."""
    simulator = unthrottled(**{key: "another"}, documented_codes=documented)
    async with simulator.serve() as url, running(url, recheck_seconds=600, **KEYS) as bench:
        head = bench.streams["head"]
        await bench.until(lambda: head.state == "stopped", "stopped")
    assert head.reason.startswith("the upstream answered 401; check the account's credential")
    assert head.reason.endswith("(said as 500)") != documented
    assert TOKEN not in json.dumps(head.health())
    assert len(simulator.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"name": "status", "status": 500},
        {"name": "status", "status": 500, "body": '{"statusCode":500,"message":"Timed out"}'},
        {"name": "status", "status": 500, "body": "<html>"},
        {"name": "status", "status": 502},
        {"name": "html_200"},
        {"name": "broken_json"},
        {"name": "cut_body"},
    ],
    ids=lambda fault: f"{fault['name']}-{fault.get('status', '')}",
)
async def test_any_other_failure_is_asked_again(panora: Panora, fault: dict[str, Any]) -> None:
    """A 500 without a known message is temporary, and nothing is lost or doubled."""
    simulator, url = panora
    simulator.put(*(fulfillment(number) for number in range(150)))
    simulator.faults.add({**fault, "skip": 1, "count": 2})
    async with running(url, **KEYS) as bench:
        await scans(bench, 1)
    assert numbers(bench) == known(*range(150))


async def test_a_page_with_a_record_that_has_no_remote_data_is_read_one_by_one(
    panora: Panora,
) -> None:
    """Seed: "GET /ecommerce/fulfillments/{id}"; the 500 of one record holds up no other."""
    simulator, url = panora
    simulator.put(*(fulfillment(number) for number in range(5)), without_raw_record(5))
    async with running(url, **KEYS) as bench:
        await scans(bench, 1)
        first = len(simulator.requests)
        simulator.put(fulfillment(2, carrier="UPS"))
        await bench.until(lambda: len(bench.raw) == 7, "the change")
        simulator.put(fulfillment(5))
        await bench.until(lambda: len(bench.raw) == 8, "the record whole")
    assert numbers(bench) == known(0, 1, 2, 3, 4, 5, 2, 5)
    assert ["remote_data" in body for body in bench.bodies] == [True] * 5 + [False, True, True]
    paths = [(r["path"], r["query"].get("remote_data")) for r in simulator.requests][:first]
    singles = [(f"{PATH}/{uuid(number)}", "true") for number in range(6)]
    bare = (f"{PATH}/{uuid(5)}", None)
    assert paths[:9] == [(PATH, "true"), (PATH, None), *singles, bare]
    assert bench.letters == []


async def test_a_record_deleted_while_its_page_is_read_one_by_one_is_passed_over(
    panora: Panora,
) -> None:
    """500 "Fulfillment with ID ... not found.": permanent for this one, the others go on."""
    simulator, url = panora
    simulator.put(*(fulfillment(number) for number in range(4)), without_raw_record(4))
    gone = {
        "name": "status",
        "match": f"{PATH}/{uuid(1)}",
        "body": f'{{"statusCode":500,"message":"Fulfillment with ID {uuid(1)} not found."}}',
    }
    simulator.faults.add(gone)
    async with running(url, **KEYS) as bench:
        await scans(bench, 1)
        await bench.until(lambda: len(bench.raw) == 5, "the other one, when it is there again")
    assert numbers(bench) == known(0, 2, 3, 4, 1)
    assert bench.letters == []


async def test_a_bad_record_is_set_aside_once_and_its_neighbors_are_not(panora: Panora) -> None:
    """Seed: "id: string | null"; without one there is no key, and modified_at moves on."""
    simulator, url = panora
    simulator.put(*(fulfillment(number) for number in range(3)))
    for second in range(4):
        bad = {**fulfillment(7), "id": None, "modified_at": f"2024-10-01T12:00:0{second}Z"}
        simulator.faults.add({"name": "bad_record", "record": bad})
    async with running(url, **KEYS) as bench:
        await scans(bench, 4)
    assert numbers(bench) == known(0, 1, 2)
    ((letter, record),) = bench.letters
    assert (letter.path, letter.source) == ("$.id", "panora")
    assert json.loads(record.value or b"")["remote_id"] == "id_7"


async def test_what_the_first_whole_scan_brings_is_backfill_and_nothing_later(
    panora: Panora,
) -> None:
    """created_at is when Panora stored it, not when it shipped: presence decides."""
    simulator, url = panora
    simulator.put(*(fulfillment(number) for number in range(150)))
    simulator.faults.add({"name": "status", "status": 401, "skip": 1, "count": 1})
    async with running(url, recheck_seconds=600, **KEYS) as bench:
        await bench.until(lambda: bench.streams["head"].state == "stopped", "stopped on page 2")
        await bench.stop()
        bench.start(("head",))
        await scans(bench, 1)
        simulator.put(fulfillment(200))
        await bench.until(lambda: len(bench.raw) == 151, "the new one")
    flags = [provenance.backfill for provenance, _ in bench.raw]
    assert flags == [True] * 150 + [False]
    assert numbers(bench) == known(*range(150), 200)


async def test_a_correction_days_later_is_seen_by_the_next_scan(panora: Panora) -> None:
    """A full scan reads every record ever stored, whatever its age."""
    simulator, url = panora
    simulator.put(*(fulfillment(number) for number in range(120)))
    async with running(url, **KEYS) as bench:
        await scans(bench, 2)
        simulator.put(fulfillment(3, tracking_numbers=["corrected"]))
        await bench.until(lambda: len(bench.raw) == 121, "the correction")
    assert bench.bodies[-1]["tracking_numbers"] == ["corrected"]
    observed = [found.observed_at for found, _ in bench.raw if found.upstream_id == uuid(3)]
    assert observed == sorted(set(observed))


async def test_the_throttle_of_a_hundred_a_minute_is_respected() -> None:
    """100 requests in 60 s for one address: ten at once, then three in two seconds."""
    simulator = PanoraSimulator(api_key=TOKEN, connection_token=TOKEN)
    simulator.put(*(fulfillment(number) for number in range(1100)))
    async with simulator.serve() as url, running(url, source="panora") as bench:
        await bench.until(lambda: len(simulator.requests) >= 13, "13 requests")
    assert {request["status"] for request in simulator.requests} == {200}
    tenth, last = simulator.requests[9], simulator.requests[12]
    took = datetime.fromisoformat(last["at"]) - datetime.fromisoformat(tenth["at"])
    assert took >= timedelta(seconds=1.5)
