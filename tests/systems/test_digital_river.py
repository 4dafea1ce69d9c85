"""Digital River's own claims, one for each line of the documents the source was built from.

"Seed" is the vendor's page of the Fulfillments resource.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.message import iso, parse_instant
from testbed.http import Request, Response, json_response, serving
from testbed.simulators.digital_river import DigitalRiverSimulator
from tests.contract.virtual_clock import VirtualClock
from tests.systems.bench import TOKEN, running
from tests.systems.river_records import by_ids, fulfillment, lists, stamp, types

SOURCE: dict[str, Any] = {"source": "digital_river"}
HISTORY: dict[str, Any] = {**SOURCE, "start_from": "2026-01-01T00:00:00Z"}
SLOW: dict[str, Any] = {"poll_interval_seconds": 40, "poll_interval_seconds_max": 40}

River = tuple[DigitalRiverSimulator, str]


@pytest.fixture
async def river() -> AsyncIterator[River]:
    """An empty simulator that never throttles, and its URL."""
    simulator = DigitalRiverSimulator(token=TOKEN, requests_per_second=1000, burst=1000)
    async with simulator.serve() as url:
        yield simulator, url


async def test_each_poll_begins_a_minute_before_the_newest_it_has_met(river: River) -> None:
    """Seed: "A filter on the list based on the createdTime field"; `createdTime[gt]=`…Z."""
    simulator, url = river
    created = stamp(ago_seconds=5)
    simulator.put(fulfillment(1, at=created, tracking="T1"))
    async with running(url, **HISTORY) as bench:
        await bench.polls("head", 3)
        positions = [cursor.position for cursor in bench.cursors("head")]
    since = iso(parse_instant(created) - timedelta(seconds=60))
    assert set(positions) == {created}
    assert lists(simulator)[1]["createdTime[gte]"] == since
    assert "createdTime%5Bgte%5D=" in simulator.requests[1]["target"]


async def test_a_poll_without_changes_is_one_request_of_the_largest_page(river: River) -> None:
    """Seed: "Limit can range between 1 and 100, and the default is 10."."""
    simulator, url = river
    for number in range(100):
        simulator.put(fulfillment(number, tracking="T"))
    async with running(url, **SOURCE) as bench:
        await bench.polls("head", 4)
        commits = len(bench.cursors("head"))
    assert len(simulator.requests) - commits in (0, 1)  # the last one may not be written yet
    assert {query["limit"] for query in lists(simulator)} == {"100"}
    assert len(bench.ids) == 100


async def test_the_cursor_moves_only_when_the_whole_sweep_is_written(river: River) -> None:
    """Seed: "your subsequent calls can include startingAfter=xyz"; the newest come first."""
    simulator, url = river
    for number in range(150):
        simulator.put(fulfillment(number, at=stamp(ago_seconds=50 - number // 3), tracking="T"))
    newest = stamp()
    simulator.faults.add({"name": "status", "status": 401, "skip": 1})
    async with running(url, **SOURCE, recheck_seconds=600) as bench:
        await bench.until(lambda: bench.streams["head"].state == "stopped", "stopped on page 2")
        assert bench.cursors("head")[-1].position is None
        assert bench.ids == [f"ful_{number}" for number in range(149, 49, -1)]
        assert lists(simulator)[1]["startingAfter"] == "ful_50"
        await bench.stop()
        bench.start(("head",))
        await bench.until(lambda: bool(bench.streams["head"].cursor.position), "the pass complete")
        position = bench.streams["head"].cursor.position or ""
    assert parse_instant(position) <= parse_instant(newest)
    assert sorted(bench.ids) == sorted(f"ful_{number}" for number in range(150))


async def test_many_of_one_second_are_read_though_the_pass_breaks_off(river: River) -> None:
    """createdTime shows seconds; a pass goes on by time, inclusive, and repeats nothing."""
    simulator, url = river
    tie = stamp(ago_seconds=10)
    for number in range(350):
        simulator.put(fulfillment(number, at=tie, tracking="T"))
    simulator.faults.add({"name": "hang", "skip": 2})
    async with running(url, **SOURCE) as bench:
        await bench.until(lambda: bool(simulator.faults.struck), "the third page hangs")
        await bench.stop()
        bench.start(("head",))
        await bench.until(lambda: bool(bench.streams["head"].cursor.position), "the pass complete")
    assert sorted(bench.ids) == sorted(f"ful_{number}" for number in range(350))


async def test_a_page_after_an_id_that_is_gone_is_found_again_by_its_time(river: River) -> None:
    """The stored id is refused with 404; the next attempt asks below what was read."""
    simulator, url = river
    for number in range(150):
        simulator.put(fulfillment(number, at=stamp(ago_seconds=50 - number // 3), tracking="T"))
    simulator.faults.add({"name": "status", "status": 404, "skip": 1})
    async with running(url, **SOURCE, recheck_seconds=0.2) as bench:
        await bench.until(lambda: bool(bench.streams["head"].cursor.position), "the pass complete")
    resumed = lists(simulator)[2]
    assert "startingAfter" not in resumed
    assert resumed["createdTime[lt]"] > resumed["createdTime[gte]"]
    assert sorted(bench.ids) == sorted(f"ful_{number}" for number in range(150))


async def test_a_tracking_number_that_comes_later_is_found_by_the_id(river: River) -> None:
    """Seed: "Updates an existing fulfillment"; "Only return objects with these IDs."."""
    simulator, url = river
    created = stamp(ago_seconds=3600)
    simulator.put(fulfillment(1, at=created))
    simulator.put(fulfillment(2))
    async with running(url, only=("backfill", "watch"), **HISTORY) as bench:
        await bench.until(lambda: len(bench.ids) >= 2, "first sight")
        simulator.put(fulfillment(1, at=created, tracking="Z1"))
        await bench.until(lambda: len(bench.raw) == 3, "the number")
        told = bench.events()
    provenance, _ = bench.raw[-1]
    assert (provenance.stream, provenance.upstream_id) == ("watch", "ful_1")
    facts = ["created", "tracking_changed", "carrier_changed", "shipped"]
    expected = [*(f"package.{fact}" for fact in facts), "fulfillment.shipped"]
    assert types(told, "ful_1") == expected
    assert all("limit=100&ids=" in target for target in by_ids(simulator))


async def test_a_number_corrected_days_after_shipping_is_told(river: River) -> None:
    """A tracked fulfillment is read again at set ages, here each 0.3 s; no list would show it."""
    simulator, url = river
    created = stamp(ago_seconds=5 * 86_400)
    simulator.put(fulfillment(1, at=created, tracking="OLD"))
    keys = {**HISTORY, "watch_after_seconds": [0.3]}
    async with running(url, only=("head", "backfill", "watch"), **keys) as bench:
        await bench.until(lambda: bool(bench.ids), "first sight")
        simulator.put(fulfillment(1, at=created, tracking="NEW"))
        await bench.until(lambda: len(bench.raw) == 2, "the correction")
        told = [event.type for event in bench.events()]
    assert told == [
        "package.created",
        "package.shipped",
        "fulfillment.shipped",
        "package.tracking_changed",
    ]


async def test_a_settled_tracked_fulfillment_is_not_asked_for_at_each_poll(river: River) -> None:
    """Next at the age of an hour; nor is a cancellation, which will never have a number."""
    simulator, url = river
    simulator.put(fulfillment(1, tracking="T"))
    canceled = {"itemId": "1", "skuId": "MUG", "quantity": 0, "cancelQuantity": 1}
    simulator.put(fulfillment(2, items=[canceled]))
    simulator.put(fulfillment(3))
    async with running(url, only=("head", "watch"), **SOURCE) as bench:
        await bench.until(lambda: len(by_ids(simulator)) >= 3, "three requests by ids")
    assert {target.split("ids=", 1)[1] for target in by_ids(simulator)} == {"ful_3"}


async def test_what_waits_for_a_number_is_asked_for_together(river: River) -> None:
    """Up to 100 ids a request, whenever each was first seen; unchanged ones are not written."""
    (simulator, url), clock = river, VirtualClock(datetime.now(UTC))
    simulator.right_clock = clock.now
    for number in range(40):
        simulator.put(fulfillment(number, at=stamp(ago_seconds=3600)))
    async with running(url, only=("backfill",), clock=clock, **HISTORY, **SLOW) as bench:
        for stream, seconds in (("backfill", 10), ("head", 10), ("watch", 90)):
            await bench.stop()
            bench.start((stream,))
            await clock.run(clock.now() + timedelta(seconds=seconds), lambda: bench.alive, 60)
            simulator.put(fulfillment(900))
    assert len(bench.cursors("watch")) == 2
    assert {target.count("ids=") for target in by_ids(simulator)} == {41}
    assert len(bench.ids) == 41


async def test_what_is_older_than_watch_days_is_left_alone(river: River) -> None:
    """Also when it never got a number."""
    simulator, url = river
    simulator.put(fulfillment(1, at=stamp(ago_seconds=3 * 86_400)))
    simulator.put(fulfillment(2, at=stamp(ago_seconds=1 * 86_400)))
    async with running(url, only=("backfill", "watch"), **HISTORY, watch_days=2) as bench:
        await bench.polls("watch", 2)
    assert {target.split("ids=", 1)[1] for target in by_ids(simulator)} == {"ful_2"}


async def test_an_id_that_is_not_in_the_answer_stays_due_and_the_others_go_on() -> None:
    """It counts as refused once it was asked for alone; nothing is set aside for it yet."""
    asked, shown = list[str](), [fulfillment(1), fulfillment(2)]

    def answer(request: Request) -> Response:
        asked.append(request.target)
        ids = {"ids=ful_1": shown[:1], "createdTime": shown}
        wanted = next((ids[name] for name in ids if name in request.target), [])
        return json_response(200, {"hasMore": False, "data": wanted})

    def refusals() -> int:
        mark = bench.account.marks("fulfillments").get("ful_2")
        return mark.refusals if mark is not None and mark.due_at is not None else 0

    async with serving(answer) as odd, running(odd, only=("head",), **SOURCE) as bench:
        await bench.polls("head", 1)
        await bench.stop()
        bench.start(("watch",))
        await bench.until(lambda: refusals() >= 2, "two refusals")
        others = sum("ids=ful_1" in target for target in asked)
        await bench.until(lambda: sum("ids=ful_1" in one for one in asked) > others, "others")
    assert bench.letters == []


async def test_a_refused_request_by_ids_is_halved_until_one_is_to_blame(river: River) -> None:
    """A 400 for one id neither stops the stream nor gives the others up."""
    simulator, _ = river
    created = stamp(ago_seconds=3600)
    for number in range(8):
        simulator.put(fulfillment(number, at=created))

    def answer(request: Request) -> Response:
        response = simulator.handle(request)
        bad = "ids=ful_5" in request.target
        return simulator.refusal(400, "ids is not valid.", "ids") if bad else response

    def refused() -> dict[str, int]:
        marks = [bench.account.marks("fulfillments").get(f"ful_{number}") for number in range(8)]
        return {mark.upstream_id: mark.refusals for mark in marks if mark and mark.refusals}

    async with serving(answer) as odd:
        base_url = odd + DigitalRiverSimulator.base_path
        async with running(base_url, only=("backfill", "watch"), **HISTORY) as bench:
            await bench.until(lambda: refused().get("ful_5", 0) >= 2, "refused twice")
            simulator.put(fulfillment(7, at=created, tracking="T7"))
            await bench.until(lambda: len(bench.raw) == 9, "another's number")
            assert bench.streams["watch"].state == "running"
            assert refused().keys() == {"ful_5"}
    assert bench.letters == []


async def test_what_becomes_visible_late_is_found_by_the_settle_sweep(river: River) -> None:
    """The head has passed its createdTime; the slower pass reads 48 h deep."""
    simulator, url = river
    keys = {**HISTORY, "settle_interval_seconds": 0.3, "lookback_seconds": 0}
    async with running(url, only=("head", "settle"), **keys) as bench:
        simulator.put(fulfillment(1, at=stamp(), tracking="T"))
        await bench.until(lambda: "ful_1" in bench.ids, "the first")
        simulator.put(fulfillment(2, at=stamp(ago_seconds=7200), tracking="T"))
        await bench.until(lambda: "ful_2" in bench.ids, "the late one")
    late = next(source for source, _ in bench.raw if source.upstream_id == "ful_2")
    assert late.stream == "settle"


async def test_history_is_read_once_and_goes_on_after_a_crash(river: River) -> None:
    """From start_from to the connection, newest first; what is older than both is not asked for."""
    simulator, url = river
    first = datetime(2025, 12, 31, 23, 30, tzinfo=UTC)
    for number in range(450):
        at = iso(first + timedelta(minutes=number // 3))
        simulator.put(fulfillment(number, at=at, tracking="T"))
    simulator.faults.add({"name": "hang", "skip": 2})
    async with running(url, only=("backfill",), **HISTORY) as bench:
        await bench.until(lambda: bool(simulator.faults.struck), "the third page hangs")
        await bench.stop()
        bench.start(("backfill",))
        await bench.until(lambda: bench.streams["backfill"].state == "done", "done")
    assert set(bench.ids) == {f"ful_{number}" for number in range(90, 450)}
    assert all(source.backfill for source, _ in bench.raw)
    assert {query["createdTime[gte]"] for query in lists(simulator)} == {"2026-01-01T00:00:00Z"}
    assert all("createdTime[lt]" in query for query in lists(simulator))


async def test_digital_goods_ship_at_once_only_when_the_account_says_so(river: River) -> None:
    """Seed: "both physical logistics and digital deliveries"; these stay created."""
    simulator, url = river
    simulator.put(fulfillment(1))
    told: list[list[str]] = []
    for announce in (False, True):
        async with running(url, **SOURCE, announce_untracked=announce) as bench:
            await bench.polls("head", 1)
            told.append([event.type for event in bench.events()])
    assert told == [
        ["package.created"],
        ["package.created", "package.shipped", "fulfillment.shipped"],
    ]


async def test_a_cancellation_is_no_shipment(river: River) -> None:
    """Seed: "Fulfills and/or cancels all or part of an order."."""
    simulator, url = river
    line = {"itemId": "1", "skuId": "MUG"}
    both = [{**line, "quantity": 1, "cancelQuantity": 2}]
    simulator.put(fulfillment(1, items=both, tracking="T"))
    simulator.put(fulfillment(2, items=[{**line, "quantity": 0, "cancelQuantity": 3}]))
    async with running(url, **SOURCE) as bench:
        await bench.polls("head", 1)
        told = bench.events()
    assert types(told, "ful_2") == ["fulfillment.items_canceled", "fulfillment.canceled"]
    assert types(told, "ful_1") == [
        "package.created",
        "package.shipped",
        "fulfillment.items_canceled",
        "fulfillment.shipped",
    ]
