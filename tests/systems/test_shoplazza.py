"""Shoplazza's own claims, one for each line of the documents the source was built from.

"Seed" is the vendor's page of the Fulfillment List API.
"""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise

from schemas.message import parse_instant
from testbed.http import Request, Response, json_response, serving
from testbed.simulators.shoplazza import ShoplazzaSimulator
from tests.systems.bench import TOKEN, running
from tests.systems.shop_records import (
    FOUND,
    HISTORY,
    SHOP,
    Shop,
    ago,
    due,
    fulfillment,
    lists,
    numbers,
    order_id,
    readings,
)


async def test_orders_that_were_touched_lead_to_their_fulfillments(shop: Shop) -> None:
    """Seed: "retrieves a list of fulfillment records filtered by order ID"; "maximum: 250"."""
    simulator, url = shop
    simulator.put(order_id(1), fulfillment(1), fulfillment(2))
    simulator.put(order_id(2), at=ago(86_400))
    async with running(url, only=FOUND, **SHOP) as bench:
        await bench.until(lambda: len(bench.raw) == 2, "both fulfillments")
    ((provenance, _), _) = bench.raw
    assert provenance.key == "shoplazza/acme/fulfillments/ful-1"
    assert provenance.stream == "touched"
    assert readings(simulator) == [{"limit": "250", "page": "1"}]
    sent = [one["path"] for one in simulator.requests][-1]
    assert sent.startswith("/shoplazza/openapi/2022-01/orders")


async def test_the_token_goes_out_in_a_header_of_its_own() -> None:
    """Seed: "read_order access scope"; public: header `access-token`, and the host of the shop."""
    seen: list[dict[str, str]] = []

    def answer(request: Request) -> Response:
        seen.append(request.headers)
        return json_response(200, {"orders": []})

    async with serving(answer) as url, running(url, **SHOP) as bench:
        await bench.polls("head", 1)
    assert seen[0]["access-token"] == TOKEN
    assert "authorization" not in seen[0]


async def test_a_poll_without_changes_is_one_request(shop: Shop) -> None:
    """The orders of the overlap come again, unchanged, and cost no request of their own."""
    simulator, url = shop
    for number in range(100):
        simulator.put(order_id(number), fulfillment(number, of=number))
    async with running(url, only=FOUND, **SHOP) as bench:
        await bench.until(lambda: len(bench.raw) == 100, "all fulfillments")
        simulator.requests.clear()
        before = len(bench.cursors("head"))
        await bench.polls("head", before + 4)
        commits = len(bench.cursors("head")) - before
    assert len(readings(simulator)) == 0
    # One at either end may be on its way.
    assert commits - 1 <= len(simulator.requests) <= commits + 1


async def test_neighboring_polls_share_a_second(shop: Shop) -> None:
    """Seed: "updated at or after", "updated at or before": inclusive, in whole seconds."""
    simulator, url = shop
    async with running(url, **SHOP, lookback_seconds=0) as bench:
        await bench.polls("head", 8)
    asked = lists(simulator)
    assert all(one["updated_at_min"] <= one["updated_at_max"] for one in asked)
    assert all(len(one["updated_at_max"]) == len("2016-01-18T23:41:00Z") for one in asked)
    assert all(b["updated_at_min"] == a["updated_at_max"] for a, b in pairwise(asked))
    assert (
        bench.cursors("head")[-1].position
        == asked[len(bench.cursors("head")) - 1]["updated_at_max"]
    )


async def test_a_full_page_halves_the_window_and_nothing_is_lost(shop: Shop) -> None:
    """Orders touched in mid-pass leave the frozen window; paging would slide over others."""
    simulator, url = shop
    for number in range(700):
        simulator.put(order_id(number), at=ago(3600 + number))
    simulator.faults.add({"name": "shifting_page", "count": 20})
    async with running(url, only=("backfill", "head"), **HISTORY) as bench:
        await bench.until(lambda: bench.streams["backfill"].state == "done", "done")
        await bench.until(lambda: due(bench) == set(range(700)), "all orders")
    assert {one["page"] for one in lists(simulator)} == {"1"}


async def test_many_orders_of_one_second_are_paged_until_two_passes_agree(shop: Shop) -> None:
    """A bulk edit gives one time stamp to more orders than a page holds."""
    simulator, url = shop
    tie = ago(3600)
    for number in range(350):
        simulator.put(order_id(number), at=tie)
    simulator.faults.add({"name": "shifting_page", "skip": 25, "count": 2})
    async with running(url, only=("backfill", "head"), **HISTORY) as bench:
        await bench.until(lambda: bench.streams["backfill"].state == "done", "done")
        await bench.until(lambda: due(bench) == set(range(350)), "all orders")
    assert sum(one["page"] == "2" for one in lists(simulator)) >= 4


async def test_an_order_with_300_fulfillments_is_read_to_its_end(shop: Shop) -> None:
    """Seed: "Maximum number of fulfillments returned per page (maximum: 250)."."""
    simulator, url = shop
    simulator.put(order_id(1), *(fulfillment(number) for number in range(300)))
    async with running(url, only=FOUND, **SHOP) as bench:
        await bench.until(lambda: len(bench.raw) == 300, "all fulfillments")
        await bench.polls("head", len(bench.cursors("head")) + 2)
    assert numbers(bench) == list(range(300))
    assert [one["page"] for one in readings(simulator)] == ["1", "2"]


async def test_a_number_edited_days_later_is_told_though_the_order_was_not_touched(
    shop: Shop,
) -> None:
    """Seed: `tracking_number`, `updated_at`; an order is read again at set ages, here 0.3 s."""
    simulator, url = shop
    shipped_at = ago(5 * 86_400)
    simulator.put(order_id(1), fulfillment(1, at=shipped_at), at=shipped_at)
    keys = {**HISTORY, "watch_after_seconds": [0.3]}
    only = ("head", "backfill", "history", "touched", "watch")
    async with running(url, only=only, **keys) as bench:
        await bench.until(lambda: bool(bench.raw), "first sight")
        edited = fulfillment(1, at=shipped_at, tracking_number="NEW", updated_at=str(ago(-2)))
        simulator.put(order_id(1), edited, moves=False)
        await bench.until(lambda: len(bench.raw) == 2, "the correction")
        await bench.polls("watch", len(bench.cursors("watch")) + 2)
        told = [event.type for event in bench.events()]
    assert told == [
        "package.created",
        "package.shipped",
        "fulfillment.shipped",
        "package.tracking_changed",
    ]
    assert [provenance.stream for provenance, _ in bench.raw] == ["history", "watch"]
    assert [provenance.backfill for provenance, _ in bench.raw] == [True, False]


async def test_shipped_or_finished_has_left_and_waiting_or_pending_has_not(shop: Shop) -> None:
    """Seed: "Status of the fulfillment (finished, pending)"; public: `waiting`, `shipped`."""
    simulator, url = shop
    words = ["shipped", "finished", "waiting", "pending", "cancelled", "on hold"]
    shown = (fulfillment(number, status=word) for number, word in enumerate(words))
    simulator.put(order_id(1), *shown)
    async with running(url, only=FOUND, **SHOP) as bench:
        await bench.until(lambda: len(bench.raw) == len(words), "all fulfillments")
        told = bench.events()
        statuses = [state.packages[0].status for _, state in bench.history()]
    shipped = {e.data.fulfillment.upstream_id for e in told if e.type == "package.shipped"}
    assert shipped == {"ful-0", "ful-1"}
    assert statuses == ["shipped", "shipped", "pending", "pending", "canceled", "pending"]


async def test_finished_after_shipped_is_delivered_and_no_second_shipment(shop: Shop) -> None:
    """Public: `shipped` on create and `finished` after complete."""
    simulator, url = shop
    simulator.put(order_id(1), fulfillment(1))
    async with running(url, only=FOUND, **SHOP) as bench:
        await bench.until(lambda: len(bench.raw) == 1, "shipped")
        simulator.put(order_id(1), fulfillment(1, status="finished"))
        await bench.until(lambda: len(bench.raw) == 2, "finished")
        told = [event.type for event in bench.events()]
        _, state = bench.history()[-1]
    assert state.packages[0].status == "delivered"
    assert told.count("package.shipped") == 1
    assert told.count("fulfillment.shipped") == 1


async def test_an_order_that_is_not_there_holds_up_no_other(shop: Shop) -> None:
    """Seed: 404 "provided order_id is not existing", `{"errors": ["Record not found"]}`."""
    simulator, _ = shop
    for number in range(5):
        simulator.put(order_id(number), fulfillment(number, of=number))

    def answer(request: Request) -> Response:
        gone = {order_id(1): 404, order_id(3): 422}
        for one, status in gone.items():
            if f"/{one}/" in request.path:
                return json_response(status, {"errors": ["Record not found"]})
        return simulator.handle(request)

    async with serving(answer) as url:
        base_url = url + ShoplazzaSimulator.base_path
        async with running(base_url, only=FOUND, **SHOP) as bench:
            await bench.until(lambda: len(bench.raw) == 3, "the others")
            await bench.until(lambda: due(bench) == {1, 3}, "both stay due")
            assert bench.streams["touched"].state == "running"
    assert numbers(bench) == [0, 2, 4]
    assert bench.letters == []


async def test_what_concerns_the_whole_shop_stops_the_stream_and_loses_no_order(
    shop: Shop,
) -> None:
    """Seed: `{"error": "store is not active"}`; 400 `Unauthorized`, bare: no order's fault."""
    simulator, url = shop
    simulator.put(order_id(1), fulfillment(1))
    async with running(url, only=("head",), **SHOP, recheck_seconds=0.2) as bench:
        await bench.polls("head", 1)
        await bench.stop()
        simulator.active = False
        bench.start(FOUND)
        await bench.until(lambda: bench.streams["touched"].state == "stopped", "stopped")
        await bench.until(lambda: bench.streams["head"].state == "stopped", "stopped")
        assert "(said as " in bench.streams["touched"].reason
        simulator.active = True
        reading = "/shoplazza/openapi/2022-01/orders/"
        simulator.faults.add(
            {"name": "status", "status": 400, "body": "Unauthorized", "match": reading}
        )
        await bench.until(lambda: "401" in bench.streams["touched"].reason, "stopped again")
        await bench.until(lambda: numbers(bench) == [1], "the fulfillment")
    assert bench.letters == []


async def test_a_time_that_is_refused_stops_the_list(shop: Shop) -> None:
    """Seed: 422 `{"errors": ["update_at_min time format error"]}`; asking again would not help."""
    simulator, url = shop
    simulator.faults.add({"name": "status", "status": 422, "body": '{"errors":["time format"]}'})
    async with running(url, **SHOP, recheck_seconds=600) as bench:
        await bench.until(lambda: bench.streams["head"].state == "stopped", "stopped")
        assert "422" in bench.streams["head"].reason
    assert bench.cursors("head") == []


async def test_a_missing_context_is_asked_again(shop: Shop) -> None:
    """Seed: 500 `{"errors": ["No context"]}`; public: a client retries 423 too."""
    simulator, url = shop
    simulator.put(order_id(1), fulfillment(1))
    for status in (500, 423, 500):
        simulator.faults.add({"name": "status", "status": status, "body": '{"errors":["x"]}'})
    async with running(url, only=FOUND, **SHOP) as bench:
        await bench.until(lambda: len(bench.raw) == 1, "the fulfillment")
    assert bench.letters == []


async def test_a_crash_between_the_list_and_the_reading_loses_nothing(shop: Shop) -> None:
    """The cursor has passed the orders; that they are to be read is in the same transaction."""
    simulator, url = shop
    for number in range(30):
        simulator.put(order_id(number), fulfillment(number, of=number))
    async with running(url, only=("head",), **SHOP) as bench:
        await bench.polls("head", 2)
        assert bench.raw == []
        await bench.stop()
        simulator.faults.add({"name": "hang", "skip": 10})
        bench.start(("touched",))
        await bench.until(lambda: bool(simulator.faults.struck), "the eleventh order hangs")
        await bench.stop()
        bench.start(("touched",))
        await bench.until(lambda: len(set(bench.ids)) == 30, "all")
    assert numbers(bench) == list(range(30))


async def test_a_record_is_written_as_its_bytes_stood_in_the_page(shop: Shop) -> None:
    """Seed: carrier "燕文物流", image "//cdn.shoplazza.com/…"; a price may be a number."""
    simulator, url = shop
    line = {"id": "l", "image": "//cdn.example.com/杯.jpeg", "price": 81.0, "quantity": 2}
    odd = fulfillment(1, line_items=[line], note="", big=12345678901234567890123)
    simulator.put(order_id(1), odd)
    async with running(url, only=FOUND, **SHOP) as bench:
        await bench.until(lambda: len(bench.raw) == 1, "the fulfillment")
        (event, *_) = bench.events()
    assert bench.raw[0][1] == json.dumps(odd, separators=(",", ":"), ensure_ascii=False).encode()
    package = json.loads(event.data.to_json())["package"]
    assert (package["carrier"]["name_raw"], package["carrier"]["code"]) == ("燕文物流", "yanwen")
    assert package["trackings"][0]["url"] == "https://track.example.com/YT1"
    assert package["line_items"][0]["quantity"] == "2"


async def test_the_bucket_of_app_and_store_is_respected() -> None:
    """Public: 40 at once, then two a second; no request is refused."""
    simulator = ShoplazzaSimulator(token=TOKEN)
    for number in range(60):
        simulator.put(order_id(number), fulfillment(number, of=number))
    keys = {key: value for key, value in SHOP.items() if key != "rate"}
    async with simulator.serve() as url, running(url, only=FOUND, **keys) as bench:
        await bench.until(lambda: len(simulator.requests) >= 44, "44 requests")
    assert [request["status"] for request in simulator.requests].count(429) == 0
    first, last = simulator.requests[0], simulator.requests[43]
    assert parse_instant(last["at"]) - parse_instant(first["at"]) >= timedelta(seconds=1.5)
