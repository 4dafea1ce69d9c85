"""Tradecloud's own claims, one for each line of the documents the source was built from.

"Seed" is the vendor's page "Polling usage".
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from testbed.audit import audit
from testbed.simulators.tradecloud import simulate
from testbed.world import World
from tests.systems.bench import TOKEN, running
from tests.systems.tradecloud_records import (
    HISTORY,
    KEYS,
    QUICK,
    TIE,
    UNBOUNDED,
    Cloud,
    Told,
    advice_line,
    given,
    order,
    order_line,
    paths,
    polled_after,
    shipment,
    stamp,
    told,
    unthrottled,
    whole_polls,
)

SHIPMENTS = ("shipments",)
STREAMS = ("orders", "shipments", "orders-settle", "shipments-settle")


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    """An empty simulator that never throttles, and its URL."""
    simulator = unthrottled()
    async with simulator.serve() as url:
        yield simulator, url


async def test_polls_without_changes_are_one_request_each_and_one_login(cloud: Cloud) -> None:
    """Seed: "Every polling period, fetch all orders or shipments which are new or changed"."""
    simulator, url = cloud
    simulator.inclusive = True  # so that each poll shows the last one again
    given(simulator, 100)
    simulator.put("orders", order(1, at=TIE))
    async with running(url, only=("orders", "shipments"), **HISTORY, **QUICK) as bench:
        await bench.until(lambda: len(bench.ids) == 101, "all of it")
        await whole_polls(bench, "shipments", 1)
        simulator.requests.clear()
        await whole_polls(bench, "orders", 3)
        await whole_polls(bench, "shipments", 3)
        commits = len(bench.cursors("orders")) + len(bench.cursors("shipments"))
    assert set(paths(simulator)) == {"/order-search/poll", "/shipment/poll"}
    assert len(simulator.polls) - commits in (0, 1, 2)  # the last ones may not be written yet


@pytest.mark.parametrize("written", [TIE, "2026-01-05T10:00:00.12+00:00", "2026-01-05T10:00:00Z"])
async def test_what_is_sent_is_the_string_received_and_an_empty_page_keeps_it(
    cloud: Cloud, written: str
) -> None:
    """Seed: "just store it as a `String`"; "use the same `lastUpdatedAfter` again"."""
    simulator, url = cloud
    simulator.put("shipments", shipment(1, at=written))
    async with running(url, only=SHIPMENTS, **HISTORY, **QUICK) as bench:
        await bench.polls("shipments", 4)
    first, *later = polled_after(simulator, "shipments")
    assert first == "2026-01-01T00:00:00.000Z"
    assert set(later) == {written}
    assert {cursor.position for cursor in bench.cursors("shipments")} == {written}


async def test_nothing_but_empty_pages_leaves_the_beginning_where_it_was(cloud: Cloud) -> None:
    """Seed: "If there is no data in the response body, use the same `lastUpdatedAfter` again"."""
    simulator, url = cloud
    async with running(url, only=("orders",), **HISTORY, **QUICK) as bench:
        await bench.polls("orders", 3)
    assert set(polled_after(simulator, "orders")) == {"2026-01-01T00:00:00.000Z"}
    assert {cursor.position for cursor in bench.cursors("orders")} == {None}


async def test_the_streams_of_an_account_keep_cursors_of_their_own(cloud: Cloud) -> None:
    """Orders and shipments are separate; an account that names one asks for no other."""
    simulator, url = cloud
    simulator.put("orders", order(1, at=TIE))
    async with running(url, only=STREAMS, **HISTORY, **QUICK, streams=["orders"]) as bench:
        await bench.polls("orders", 2)
        assert set(bench.streams) == {"orders", "orders-settle"}
    assert {resource for resource, _ in simulator.polls} == {"orders"}
    assert {query["limit"] for _, query in simulator.polls} == {100}
    assert all(source.backfill for source, _ in bench.raw)


@pytest.mark.parametrize("inclusive", [False, True])
async def test_350_of_one_instant_are_all_read_once(cloud: Cloud, inclusive: bool) -> None:
    """Seed: "Use `offset` for paging"; whether "after" takes in the instant does not matter."""
    simulator, url = cloud
    simulator.inclusive = inclusive
    early = shipment(900, at="2026-01-05T09:00:00.000Z")
    late = shipment(901, at="2026-01-05T11:00:00.000Z")
    simulator.put("shipments", early)
    ids = given(simulator, 350, tie=True)
    simulator.put("shipments", late)
    async with running(url, only=SHIPMENTS, **HISTORY, **QUICK) as bench:
        await whole_polls(bench, "shipments", 2)
    assert sorted(bench.ids) == sorted([*ids, early["id"], late["id"]])


@pytest.mark.parametrize("inclusive", [False, True])
async def test_an_old_last_shipment_is_not_written_again_at_each_poll(
    cloud: Cloud, inclusive: bool
) -> None:
    """With an inclusive filter each poll shows it, long after its mark would have gone."""
    simulator, url = cloud
    simulator.inclusive = inclusive
    (upstream_id,) = given(simulator, 1)
    async with running(url, only=SHIPMENTS, **HISTORY, **QUICK) as bench:
        await bench.polls("shipments", 4)
    assert bench.ids == [upstream_id]


@pytest.mark.parametrize("tie", [False, True])
async def test_one_that_is_bumped_while_paging_hides_no_other(cloud: Cloud, tie: bool) -> None:
    """By plain offset the rest slides up and one at the border of the pages is missed."""
    simulator, url = cloud
    ids = given(simulator, 350, tie=tie)
    simulator.faults.add({"name": "shifting_page", "count": 3})
    async with running(url, only=SHIPMENTS, **HISTORY, **QUICK) as bench:
        await whole_polls(bench, "shipments", 1)
    assert set(bench.ids) == set(ids)
    assert len(bench.ids) <= len(ids) + 3  # the bumped ones are other versions


async def test_a_total_that_shrinks_while_paging_ends_no_pass(cloud: Cloud) -> None:
    """A full page may have another behind it, whatever the total says."""
    simulator, url = cloud
    ids = given(simulator, 350)
    simulator.faults.add({"name": "shrinking_total", "count": 3})
    async with running(url, only=SHIPMENTS, **HISTORY, **QUICK) as bench:
        await whole_polls(bench, "shipments", 1)
    assert sorted(bench.ids) == sorted(ids)


@pytest.mark.parametrize("tie", [False, True])
async def test_a_crash_while_paging_goes_on_where_it_stood(cloud: Cloud, tie: bool) -> None:
    """Seed: "When your integration is restarted or crashes" it "should still be available"."""
    simulator, url = cloud
    ids = given(simulator, 450, tie=tie)
    simulator.faults.add({"name": "hang", "match": f"{simulator.base_path}/sh", "skip": 2})
    async with running(url, only=SHIPMENTS, **HISTORY) as bench:
        await bench.until(lambda: bool(simulator.faults.struck), "the third page hangs")
        await bench.stop()
        asked = len(simulator.polls)
        bench.start(SHIPMENTS)
        await whole_polls(bench, "shipments", 1)
    assert sorted(bench.ids) == sorted(ids)
    assert simulator.polls[asked][1] != simulator.polls[0][1]


@pytest.mark.parametrize("refresh_is_void", [False, True])
async def test_a_token_that_runs_out_in_mid_sweep_is_renewed(
    cloud: Cloud, refresh_is_void: bool
) -> None:
    """Public: 401 after an hour; a refresh gives a new pair, a void one asks for a new login."""
    simulator, url = cloud
    ids = given(simulator, 450)
    async with running(url, only=SHIPMENTS, **HISTORY) as bench:
        await bench.until(lambda: len(bench.sink.transactions) >= 2, "two pages")
        simulator.expire()
        if refresh_is_void:
            simulator._refresh = ""
        await whole_polls(bench, "shipments", 1)
    logins = [path for path in paths(simulator) if path.startswith("/authentication")]
    login, refresh = "/authentication/login", "/authentication/refresh"
    assert logins == [login, refresh, *([login] if refresh_is_void else [])]
    assert sorted(bench.ids) == sorted(ids)
    assert TOKEN not in repr(simulator.polls)


async def test_what_becomes_visible_late_is_found_by_the_settle_sweep(cloud: Cloud) -> None:
    """Public: the poll of orders reads a search index; the cursor has passed it by then."""
    simulator, url = cloud
    keys = {**HISTORY, **QUICK, "settle_interval_seconds": 0.3}
    async with running(url, only=("orders", "orders-settle"), **keys) as bench:
        simulator.put("orders", order(1))
        await bench.until(lambda: "buyer-0001" in bench.ids, "the first")
        simulator.put("orders", order(2, at=stamp(ago_seconds=7200)))
        await bench.until(lambda: "buyer-0002" in bench.ids, "the late one")
    late = next(source for source, _ in bench.raw if source.upstream_id == "buyer-0002")
    assert late.stream == "orders-settle"


async def test_an_issued_advice_is_no_departure_and_a_rejected_one_never_ships(
    cloud: Cloud,
) -> None:
    """Shipped is: atdDate is there, a line has some quantity, and it is not Rejected."""
    found = await told(
        cloud,
        "shipments",
        shipment(1, at="2026-01-05T10:00:00.000Z", departed=False),
        shipment(1, advice_line(1, count=0), at="2026-01-05T10:01:00.000Z"),
        shipment(1, at="2026-01-05T10:02:00.000Z", word="Rejected"),
    )
    assert "package.shipped" not in found.types
    assert found.types[-1] == "fulfillment.canceled"


async def test_a_tracking_number_corrected_later_is_told_as_a_correction(cloud: Cloud) -> None:
    """Its lastUpdatedAt moves it to the end of the list; it stays the same package."""
    found = await told(
        cloud,
        "shipments",
        shipment(1, at="2026-01-05T10:00:00.000Z"),
        shipment(1, at="2026-01-09T10:00:00.000Z", tracking="T2"),
    )
    shipped = ["package.created", "package.shipped", "fulfillment.shipped"]
    assert found.types == [*shipped, "package.tracking_changed"]


async def test_how_far_an_order_is_follows_its_lines(cloud: Cloud) -> None:
    """Seed: "filter the order lines on ... `logisticsStatus`"; an order has no packages."""
    open_, sent, canceled = (order_line(2, word) for word in ("Open", "Shipped", "Cancelled"))
    rows = [
        (order_line(1), open_),
        (order_line(1), sent),
        (order_line(1, "Cancelled"), sent),
        (order_line(1, "Cancelled"), open_),
        (order_line(1, "Cancelled"), canceled),
    ]
    days = [f"2026-01-{day:02d}T10:00:00.000Z" for day in range(5, 10)]
    versions = [order(1, *lines, at=at) for lines, at in zip(rows, days, strict=True)]
    found = await told(cloud, "orders", *versions)
    assert [one.removeprefix("fulfillment.") for one in found.types] == [
        "partially_shipped",
        "items_canceled",
        "shipped",
        "reopened",
        "items_canceled",
        "canceled",
    ]
    assert {event.data.fulfillment.scope for event in found.events} == {"order"}


async def test_only_changes_of_the_lines_that_were_asked_for_are_told(cloud: Cloud) -> None:
    """Seed: "Only consider lines where `lines.lastUpdatedAt` is after the filter value."."""
    old, new = "2026-01-05T10:00:00.000Z", "2026-01-06T10:00:00.000Z"
    first = shipment(1, advice_line(1, at=old), advice_line(2, at=old), at=old)
    second = shipment(1, advice_line(1, count=2, at=old), advice_line(2, at=old), at=new)
    third = shipment(1, advice_line(1, count=2, at=old), advice_line(2, count=9, at=stamp()))
    versions = [first, second, third]
    found = await told(cloud, "shipments", *versions, announce_lines=["changed"])
    assert found.types.count("package.contents_changed") == 1
    (stored,) = found.stored.values()
    assert [item.quantity for item in stored.line_items] == ["2", "9"]


@pytest.mark.parametrize(
    ("asked", "echo"), [("OpenBuyerReopenRequest", True), ("OpenSupplierProposal", False)]
)
async def test_an_open_request_of_ours_is_an_echo_and_hides_no_shipment(
    cloud: Cloud, asked: str, echo: bool
) -> None:
    """Seed: "including echoed changes from your ERP system".  The line alone is marked."""
    line = order_line(1, "Shipped", asked=asked)
    found = await told(cloud, "orders", order(1, line, at=TIE))
    assert [(event.type, event.data.echo) for event in found.events] == [
        ("fulfillment.shipped", False)
    ]
    (stored,) = found.stored.values()
    assert [(item.quantity, item.echo) for item in stored.line_items] == [("5", echo)]


@pytest.mark.parametrize("inclusive", [False, True])
async def test_a_small_world_is_told_without_a_gap(inclusive: bool) -> None:
    """Polled through every fault of a listing and a lost token, judged by who knows: 0 / 0 / 0."""
    world = World(5, start=datetime.now(UTC), orders=60, duration_seconds=3, source="tradecloud")
    simulator = simulate(world, token=TOKEN, requests_per_second=UNBOUNDED, page_size_max=7)
    simulator.inclusive = inclusive
    for name in ("shifting_page", "shrinking_total", "late_write", "status"):
        simulator.faults.add({"name": name, "count": 5, "skip": 9, "seconds": 0.5, "status": 401})
    keys = {**KEYS, **QUICK, "settle_interval_seconds": 0.5}
    async with simulator.serve() as url, running(url, only=STREAMS, **keys) as bench:
        await bench.until(lambda: simulator.finished(simulator.clock()), "its end")
        for stream in STREAMS:
            await whole_polls(bench, stream, 2)
        found = Told(bench)
    report = audit(world.truth(simulator.clock()), found.received, found.fulfillments)
    assert report.findings == []
    assert report.shipped_in_world > 50
    assert bench.letters == []
