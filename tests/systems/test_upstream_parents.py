"""Records read by parents, no list having them: an order that was found is an order that is read.

Played with Shoplazza's fulfillments, which are read by their orders.
"""

from __future__ import annotations

import re
from datetime import timedelta

from services.poller.parents import UNREAD_MAX
from tests.systems.bench import Bench, running
from tests.systems.shop_records import (
    FOUND,
    HISTORY,
    PAST,
    SHOP,
    Shop,
    ago,
    fulfillment,
    lists,
    numbers,
    order_id,
    readings,
    unthrottled,
)


async def test_a_page_that_is_too_large_is_asked_for_in_halves(shop: Shop) -> None:
    """Of fulfillments and of orders; a page of the smaller limit is known to be full."""
    simulator, url = shop
    for number in range(1, 200):
        simulator.put(order_id(number), at=ago(20 + number // 10))
    simulator.put(order_id(0), *(fulfillment(number, of=0) for number in range(200)))
    simulator.faults.add(
        [
            {"name": "oversized", "match": "/shoplazza/openapi/2022-01/orders?"},
            {"name": "oversized", "match": f"/shoplazza/openapi/2022-01/orders/{order_id(0)}"},
        ]
    )
    async with running(url, only=FOUND, **SHOP) as bench:
        await bench.until(lambda: len(bench.raw) == 200, "all fulfillments")
        await bench.until(lambda: len({r["path"] for r in simulator.requests}) == 201, "all orders")
    assert [one["limit"] for one in readings(simulator, 0)] == ["250", "125", "125"]
    assert lists(simulator)[1]["limit"] == "125"


async def test_an_order_whose_packages_have_numbers_is_not_read_at_each_poll(shop: Shop) -> None:
    """Next at the age of an hour; one that waits for a number is, a canceled one is not."""
    simulator, url = shop
    simulator.put(order_id(1), fulfillment(1, of=1))
    simulator.put(order_id(2), fulfillment(2, of=2, status="waiting", tracking_number=""))
    simulator.put(order_id(3), fulfillment(3, of=3, status="cancelled", tracking_number=""))
    simulator.put(order_id(4))
    async with running(url, only=(*FOUND, "watch"), **SHOP) as bench:
        await bench.until(lambda: len(readings(simulator, 2)) >= 4, "the order that waits")
        await bench.until(lambda: len(readings(simulator, 4)) >= 1, "the last one, too")
    assert [len(readings(simulator, number)) for number in (1, 3, 4)] == [1, 1, 1]
    assert numbers(bench) == [1, 2, 3]


async def test_what_is_older_than_watch_days_is_left_alone(shop: Shop) -> None:
    """Also when it never got a number; an order is read while any of its fulfillments is young."""
    simulator, url = shop
    old, young = ago(3 * 86_400), ago(86_400)
    bare = {"status": "waiting", "tracking_number": ""}
    simulator.put(order_id(1), fulfillment(1, of=1, at=old, **bare), at=old)
    simulator.put(
        order_id(2), fulfillment(2, of=2, at=young, **bare), fulfillment(3, of=2, at=old), at=old
    )
    only = (*PAST, "watch")
    async with running(url, only=only, **HISTORY, watch_days=2) as bench:
        await bench.until(lambda: len(readings(simulator, 2)) >= 4, "the young one")
    assert len(readings(simulator, 1)) == 1
    assert numbers(bench) == [1, 2, 3]


async def test_a_crash_between_two_pages_of_an_order_loses_nothing(shop: Shop) -> None:
    """The order stays due until its last page is written."""
    simulator, url = shop
    simulator.put(order_id(1), *(fulfillment(number) for number in range(300)))
    second = f"/shoplazza/openapi/2022-01/orders/{order_id(1)}/fulfillments?limit=250&page=2"
    simulator.faults.add({"name": "hang", "match": second})
    async with running(url, only=FOUND, **SHOP) as bench:
        await bench.until(lambda: bool(simulator.faults.struck), "the second page hangs")
        assert len(bench.raw) == 250
        await bench.stop()
        bench.start(("touched",))
        await bench.until(lambda: len(bench.raw) == 300, "the second page")
    assert numbers(bench) == list(range(300))


async def test_history_is_what_was_last_updated_before_the_connection(shop: Shop) -> None:
    """By the fulfillment's updated_at, also when its order is touched only now."""
    simulator, url = shop
    old = ago(86_400)
    simulator.put(order_id(1), fulfillment(1, of=1, at=old), at=old)
    simulator.put(order_id(2), fulfillment(2, of=2, at=old), at=old)
    only = (*PAST, *FOUND)
    async with running(url, only=only, **HISTORY) as bench:
        await bench.until(lambda: len(bench.raw) == 2, "the history")
        soon = ago(-2)
        simulator.put(order_id(2), fulfillment(3, of=2, at=soon), at=soon)
        await bench.until(lambda: len(bench.raw) == 3, "the new one")
    flags = {provenance.upstream_id: provenance.backfill for provenance, _ in bench.raw}
    assert flags == {"ful-1": True, "ful-2": True, "ful-3": False}


async def test_an_order_that_becomes_visible_late_is_found_by_the_settle_sweep(shop: Shop) -> None:
    """The head has passed its time stamp for good; the slower pass reads 48 h deep."""
    simulator, url = shop
    keys = {**HISTORY, "settle_interval_seconds": 0.3, "lookback_seconds": 0}
    async with running(url, only=(*FOUND, "settle"), **keys) as bench:
        await bench.polls("head", 2)
        late = ago(7200)
        simulator.put(order_id(1), fulfillment(1, at=late), at=late)
        await bench.until(lambda: numbers(bench) == [1], "the late one")


async def test_a_bad_record_is_set_aside_and_its_neighbors_go_on(shop: Shop) -> None:
    """An order without an id, a fulfillment without one."""
    simulator, url = shop
    simulator.put(order_id(1), fulfillment(1), fulfillment(2))
    found, read = (f"/shoplazza/openapi/2022-01/orders{end}" for end in ("?", "/"))
    simulator.faults.add([{"name": "bad_record", "match": where} for where in (found, read)])
    async with running(url, only=FOUND, **SHOP) as bench:
        await bench.until(lambda: len(bench.raw) == 2, "both")
        await bench.until(lambda: len(bench.letters) == 2, "both letters")
    keys = sorted(record.key for _, record in bench.letters)
    assert keys == ["shoplazza/acme/fulfillments/", "shoplazza/acme/orders/"]


async def test_a_shop_that_cuts_the_limit_loses_nothing() -> None:
    """Public: the list says in `count` how many there are."""
    simulator = unthrottled(page_size_max=20)
    for number in range(90):
        at = ago(3600 + number // 30 * 60)
        simulator.put(order_id(number), fulfillment(number, of=number), at=at)
    async with (
        simulator.serve() as url,
        running(url, only=PAST, **HISTORY) as bench,
    ):
        await bench.until(lambda: len(bench.raw) == 90, "all fulfillments")
    assert numbers(bench) == list(range(90))


async def test_a_list_waits_for_what_it_has_found_to_be_read_and_holds_up_no_other(
    shop: Shop,
) -> None:
    """A thousand orders of history are marked and not yet read: no more, but the head goes on."""
    simulator, url = shop
    for number in range(1400):
        simulator.put(order_id(number), at=ago(3600 + number))
    async with running(url, only=("backfill", "head"), **HISTORY) as bench:
        marks = bench.account.marks("orders")
        await bench.until(lambda: len(marks) >= UNREAD_MAX, "a thousand orders found")
        simulator.put(order_id(2000))
        await bench.until(lambda: marks.due("touched", ago(-9), 9) == [order_id(2000)], "a new one")
        await bench.polls("head", len(bench.cursors("head")) + 5)
        backfill = bench.streams["backfill"]
        await bench.until(lambda: backfill.state == "waiting", "waiting")
        assert re.fullmatch(r"for stream history: 1\d+ orders found are .*", backfill.reason)
        assert len(marks) < 1400


async def test_what_is_watched_is_remembered_until_it_is_read_again() -> None:
    """Once a day, however shallow the settle sweep: else each reading would repeat its records."""
    for keys, hours in (({}, 25), ({"watch_days": 0}, 1), ({"settle_horizon_hours": 48}, 49)):
        bench = Bench("http://127.0.0.1:1", **{**SHOP, "settle_horizon_hours": 0, **keys})
        bench.start(("none",))
        assert bench.account.marks("fulfillments").keep == timedelta(hours=hours, seconds=60)
        await bench.stop()
