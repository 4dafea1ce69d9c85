"""Zentail's own claims, one for each line of the documents the source was built from."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from schemas.message import parse_instant
from testbed.simulators.zentail import ZentailSimulator
from tests.systems.bench import TOKEN, Zentail, running
from tests.systems.orders import order, stamp

HISTORY = {"start_from": "2026-01-01T00:00:00Z"}

LIST_PATH = "/zentail/v1/salesOrder"


@pytest.fixture
async def zentail() -> AsyncIterator[tuple[ZentailSimulator, str]]:
    """An empty simulator that never throttles, and its URL."""
    simulator = ZentailSimulator(token=TOKEN, requests_per_second=1000, burst=1000)
    async with simulator.serve() as url:
        yield simulator, url


async def test_each_poll_begins_a_minute_before_the_last_ones_first_request(
    zentail: Zentail,
) -> None:
    """Seed: "maybe one minute before it" and "the time you made the initial request"."""
    simulator, url = zentail
    simulator.put(order(1, at=stamp(ago_seconds=5)))
    before = datetime.now(UTC)
    async with running(url) as bench:
        await bench.polls("head", 3)
        cursors = bench.cursors("head")
    requests = list(simulator.requests)
    for cursor, request, following in zip(cursors, requests, requests[1:], strict=False):
        position = parse_instant(cursor.position or "")
        assert before < position <= parse_instant(request["at"])
        before = parse_instant(request["at"])
        since = parse_instant(following["query"]["lastUpdatedTs"])
        overlap = position - since
        assert timedelta(seconds=60) <= overlap < timedelta(seconds=60.001)


async def test_the_filter_asks_for_partial_shipments_too(zentail: Zentail) -> None:
    """Seed: "add the status filter"; "The order status is SHIPPED (or PARTIALLY_SHIPPED ...)"."""
    simulator, url = zentail
    simulator.put(order(1, status="PARTIALLY_SHIPPED"))
    simulator.put(order(2, status="SHIPPED"))
    simulator.put(order(3, status="PENDING"))
    async with running(url) as bench:
        await bench.polls("head", 1)
    assert bench.ids == ["1", "2"]
    assert simulator.requests[0]["query"]["status"] == "PARTIALLY_SHIPPED,SHIPPED"


async def test_the_timestamp_advances_only_when_all_of_the_results_are_processed(
    zentail: Zentail,
) -> None:
    """Seed: "when you successfully proccess the results of that call, advance"."""
    simulator, url = zentail
    for number in range(150):
        simulator.put(order(number, at=stamp(ago_seconds=40 - number / 10)))
    simulator.faults.add({"name": "status", "status": 401, "skip": 1, "count": 1})
    async with running(url, recheck_seconds=600) as bench:
        await bench.until(lambda: bench.streams["head"].state == "stopped", "stopped on page 2")
        cursor = bench.cursors("head")[-1]
        assert cursor.position is None
        assert cursor.sweep is not None
        began = cursor.sweep["started_at"]
        assert len(bench.ids) == 100
        await bench.stop()
        bench.start(("head",))
        await bench.until(lambda: bench.streams["head"].cursor.sweep is None, "the pass complete")
    complete = next(cursor for cursor in bench.cursors("head") if cursor.position)
    assert complete.position == began
    assert sorted(map(int, bench.ids)) == list(range(150))


async def test_each_change_of_a_partial_shipment_is_written(zentail: Zentail) -> None:
    """Seed: "the contents of the packages array may change as the remaining items are shipped"."""
    simulator, url = zentail
    simulator.put(order(1, status="PARTIALLY_SHIPPED"))
    async with running(url) as bench:
        await bench.polls("head", 1)
        two = [*order(1)["packages"], {"carrier": "USPS", "tracking": "94", "products": []}]
        simulator.put(order(1, status="PARTIALLY_SHIPPED", packages=two))
        await bench.until(lambda: len(bench.raw) == 2, "the second package")
        simulator.put(order(1, status="SHIPPED", packages=two))
        await bench.until(lambda: len(bench.raw) == 3, "the last state")
    assert [len(body["packages"]) for body in bench.bodies] == [1, 2, 2]
    observed = [provenance.observed_at for provenance, _ in bench.raw]
    assert observed == sorted(set(observed))


async def test_an_unchanged_order_is_written_once_though_polls_overlap(zentail: Zentail) -> None:
    """Head and settle both bring it again and again; restarts do too."""
    simulator, url = zentail
    simulator.put(order(1))
    keys = {"settle_interval_seconds": 0.2, **HISTORY}
    async with running(url, only=("head", "settle", "backfill"), **keys) as bench:
        await bench.polls("head", 3)
        await bench.stop()
        bench.start()
        await bench.polls("settle", 4)
    assert bench.ids == ["1"]


async def test_a_record_is_written_as_its_bytes_stood_in_the_page(zentail: Zentail) -> None:
    """Numbers go through no float, keys keep their order, unknown fields stay."""
    simulator, url = zentail
    odd = order(1, weight=0.1, big=12345678901234567890123, note="é\u2028/", z=1.0, a=None)
    simulator.put(odd)
    async with running(url) as bench:
        await bench.polls("head", 1)
    assert bench.raw[0][1] == json.dumps(odd, separators=(",", ":")).encode()


async def test_provenance_says_who_read_it_where_and_when(zentail: Zentail) -> None:
    """Key, headers and trace context of a raw record."""
    simulator, url = zentail
    simulator.put(order(42))
    async with running(url) as bench:
        await bench.polls("head", 1)
    ((provenance, _),) = bench.raw
    assert provenance.key == "zentail/acme/orders/42"
    assert (provenance.stream, provenance.resource) == ("head", "orders")
    assert provenance.traceparent.startswith("00-")
    assert len(provenance.traceparent) == 55
    assert bench.sink.transactions[0].records[0].key == provenance.key


async def test_an_order_that_left_the_filter_between_two_polls_is_found_by_the_settle_sweep(
    zentail: Zentail,
) -> None:
    """SHIPPED, then REFUNDED before the next poll: it never matches the filter of the head."""
    simulator, url = zentail
    simulator.put(order(1, status="REFUNDED"))
    keys = {"settle_interval_seconds": 0.2, **HISTORY}
    async with running(url, only=("head", "settle"), **keys) as bench:
        await bench.polls("settle", 1)
    assert [provenance.stream for provenance, _ in bench.raw] == ["settle"]


async def test_a_row_that_becomes_visible_late_is_found_by_the_settle_sweep(
    zentail: Zentail,
) -> None:
    """The head has passed its time stamp for good; the slower pass reads 48 h deep."""
    simulator, url = zentail
    simulator.put(order(1))
    keys = {"settle_interval_seconds": 0.3, "lookback_seconds": 0, **HISTORY}
    async with running(url, only=("head", "settle"), **keys) as bench:
        await bench.polls("head", 2)
        simulator.put(order(2, at=stamp(ago_seconds=7200)))
        await bench.until(lambda: "2" in bench.ids, "the late order")
    late = next(provenance for provenance, _ in bench.raw if provenance.upstream_id == "2")
    assert late.stream == "settle"


async def test_orders_of_one_instant_over_several_pages_are_all_read(zentail: Zentail) -> None:
    """A bulk update gives one time stamp to more orders than a page holds."""
    simulator, url = zentail
    tie = stamp(ago_seconds=10)
    for number in range(250):
        simulator.put(order(number, at=tie))
    simulator.put(order(900))
    async with running(url) as bench:
        await bench.polls("head", 4)
        await bench.until(lambda: bool(bench.streams["head"].cursor.position), "a whole pass")
    assert sorted(map(int, bench.ids)) == [*range(250), 900]


async def test_a_next_token_that_slides_loses_no_order(zentail: Zentail) -> None:
    """Orders touched between two pages move to the end; those behind them slide forward."""
    simulator, url = zentail
    tie = "2026-02-01T00:00:00.000Z"
    for number in range(350):
        simulator.put(order(number, at=tie))
    simulator.faults.add({"name": "shifting_page", "count": 4})
    async with running(url, only=("backfill",), **HISTORY) as bench:
        await bench.until(lambda: bench.streams["backfill"].state == "done", "done")
    assert set(map(int, bench.ids)) >= set(range(350))
    assert any("nextToken" in request["query"] for request in simulator.requests)


async def test_an_order_touched_in_mid_sweep_hides_no_other(zentail: Zentail) -> None:
    """Pages by keyset: each begins at the last row's own instant."""
    simulator, url = zentail
    for number in range(350):
        simulator.put(order(number, at=stamp(ago_seconds=50 - number / 10)))
    simulator.faults.add({"name": "shifting_page", "count": 5})
    async with running(url) as bench:
        await bench.until(lambda: bool(bench.streams["head"].cursor.position), "a whole pass")
    assert {int(number) for number in bench.ids} == set(range(350))
    assert not any("nextToken" in request["query"] for request in simulator.requests)


async def test_history_is_read_once_and_goes_on_where_a_crash_left_it(zentail: Zentail) -> None:
    """Its progress is in the cursor record: nothing is lost and nothing written twice."""
    simulator, url = zentail
    first = datetime(2026, 1, 5, tzinfo=UTC)
    for number in range(450):
        at = (first + timedelta(minutes=number // 3)).isoformat()
        simulator.put(order(number, at=at, status="REFUNDED" if number % 7 == 0 else "SHIPPED"))
    simulator.faults.add({"name": "hang", "skip": 2})
    async with running(url, only=("backfill",), **HISTORY) as bench:
        await bench.until(lambda: bool(simulator.faults.struck), "the third page hangs")
        await bench.stop()
        assert bench.cursors("backfill")[-1].sweep is not None
        bench.start(("backfill",))
        await bench.until(lambda: bench.streams["backfill"].state == "done", "done")
        await bench.stop()
        requests = len(simulator.requests)
        bench.start(("backfill",))
        await bench.until(lambda: bench.streams["backfill"].state == "done", "still done")
    assert sorted(map(int, bench.ids)) == list(range(450))
    assert len(simulator.requests) == requests


async def test_backfill_is_what_was_last_updated_before_the_connection(zentail: Zentail) -> None:
    """By lastUpdatedTs, whatever stream brings it; later changes are none, also after a rest."""
    simulator, url = zentail
    simulator.put(order(1, at=stamp(ago_seconds=3600)))
    simulator.put(order(2, at=stamp(ago_seconds=30)))
    async with running(url, only=("head", "backfill"), **HISTORY) as bench:
        await bench.until(lambda: {"1", "2"} <= set(bench.ids), "the history")
        simulator.put(order(4, status="REFUNDED"))  # for the settle sweep, not begun yet
        await bench.stop()
        simulator.put(order(3))
        bench.start(("head", "settle"))
        await bench.until(lambda: "3" in bench.ids, "the new order")
        await bench.until(lambda: "4" in bench.ids, "a settle sweep")
    flags = {provenance.upstream_id: provenance.backfill for provenance, _ in bench.raw}
    assert flags == {"1": True, "2": True, "3": False, "4": False}


async def test_single_orders_are_read_until_they_are_closed(zentail: Zentail) -> None:
    """Seed, "Polling individual orders": "check on each unshipped order one at a time"."""
    simulator, url = zentail
    simulator.put(order(1, status="PENDING", packages=[]))
    simulator.put(order(2, status="SHIPPED"))
    async with running(url, only=("listing", "orders"), mode="per_order") as bench:
        await bench.until(
            lambda: sum(r["path"].endswith("/1") for r in simulator.requests) >= 2, "two reads"
        )
        simulator.put(order(1, status="PARTIALLY_SHIPPED"))
        await bench.until(lambda: len(bench.raw) == 3, "the partial shipment")
        simulator.put(order(1, status="SHIPPED"))
        await bench.until(lambda: len(bench.raw) == 4, "the whole shipment")
        closed_at = len(simulator.requests)
        await bench.until(lambda: bench.streams["orders"].due_at > datetime.now(UTC), "idle")
    assert bench.ids == ["1", "2", "1", "1"]
    assert bench.bodies[-1]["status"] == "SHIPPED"
    assert [provenance.stream for provenance, _ in bench.raw[2:]] == ["orders", "orders"]
    assert not any(request["path"].endswith("/2") for request in simulator.requests)
    after = list(simulator.requests)[closed_at:]
    assert not any(request["path"].endswith("/1") for request in after)


async def test_per_order_the_open_orders_survive_a_restart(zentail: Zentail) -> None:
    """The list of orders to read is in the marks on Kafka."""
    simulator, url = zentail
    simulator.put(order(1, status="PENDING", packages=[]))
    async with running(url, only=("listing",), mode="per_order") as bench:
        await bench.polls("listing", 1)
        await bench.stop()
        simulator.put(order(1, status="SHIPPED"))
        bench.start(("orders",))
        await bench.until(lambda: len(bench.raw) == 2, "the shipment")
    assert simulator.requests[-1]["path"] == f"{LIST_PATH}/1"


async def test_the_vendors_throttle_is_respected() -> None:
    """Seed: "throttling can start to become an issue"; ten a second, all requests together."""
    simulator = ZentailSimulator(token=TOKEN)
    for number in range(30):
        simulator.put(order(number, status="PENDING", packages=[]))
    keys = {"mode": "per_order"}
    async with simulator.serve() as url, running(url, only=("listing", "orders"), **keys) as bench:
        await bench.until(lambda: len(simulator.requests) >= 24, "24 requests")
    assert [request["status"] for request in simulator.requests].count(429) == 0
    first, last = simulator.requests[0], simulator.requests[23]
    took = datetime.fromisoformat(last["at"]) - datetime.fromisoformat(first["at"])
    assert took >= timedelta(seconds=1.5)


async def test_the_token_goes_out_bare_and_cursors_are_per_token(zentail: Zentail) -> None:
    """Seed: "a timestamp internal to each token"; two accounts, two cursors."""
    simulator, url = zentail
    simulator.put(order(1))
    async with running(url, name="one") as one, running(url, name="two") as two:
        await one.polls("head", 1)
        await two.polls("head", 1)
    assert one.cursors("head")[0].key == "cursor/zentail/one/head"
    assert two.cursors("head")[0].key == "cursor/zentail/two/head"
    assert (one.ids, two.ids) == (["1"], ["1"])
