"""What the loop does for every source: whose clock counts, what halts it, what it survives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from prometheus_client import REGISTRY

from bus.table import Table
from bus.transaction import Transaction
from schemas.cursor import mark_key
from schemas.message import iso, parse_instant
from schemas.topics import CURSORS
from services.poller.breaker import FAILURES_MAX
from services.poller.parents import UNREAD_MAX
from services.poller.source import Page, Response, Sweep
from services.poller.sources.zentail import Listing, Settings
from services.poller.stream import StreamTask
from testbed.simulators.zentail import ZentailSimulator
from tests.contract.fast_clock import FastClock
from tests.systems.bench import KAFKA, TOKEN, Bench, Zentail, running
from tests.systems.orders import order
from tests.systems.shop_records import HISTORY, ago, order_id, unthrottled

APART = timedelta(minutes=5)


def simulator(skew: timedelta) -> ZentailSimulator:
    """A Zentail whose clock differs from ours."""
    return ZentailSimulator(
        token=TOKEN,
        requests_per_second=1000,
        burst=1000,
        clock=lambda: datetime.now(UTC) + skew,
    )


@pytest.fixture(params=[-APART, APART], ids=["behind", "ahead"])
async def skewed(
    request: pytest.FixtureRequest,
) -> AsyncIterator[tuple[ZentailSimulator, str]]:
    """An upstream five minutes away, and its URL."""
    upstream = simulator(request.param)
    async with upstream.serve() as url:
        yield upstream, url


async def test_what_is_written_by_another_clock_is_neither_missed_nor_history(
    skewed: tuple[ZentailSimulator, str],
) -> None:
    """The head finds it alone, at once and later; it is no backfill."""
    upstream, url = skewed
    async with running(url, lookback_seconds=1) as bench:
        await bench.polls("head", 1)
        upstream.put(order(1, at=iso(upstream.clock())))
        await bench.until(lambda: "1" in bench.ids, "the first order")
        await bench.stop()
        bench.start(("head",))
        await bench.polls("head", len(bench.cursors("head")) + 2)
        upstream.put(order(2, at=iso(upstream.clock())))
        await bench.until(lambda: "2" in bench.ids, "one after a restart")
        position = parse_instant(bench.cursors("head")[-1].position or "")
        assert abs(position - upstream.clock()) < timedelta(seconds=10)
    assert [provenance.backfill for provenance, _ in bench.raw] == [False, False]


@pytest.mark.parametrize("apart", [timedelta(days=-365), timedelta(days=365)])
@pytest.mark.parametrize("skip", [0, 1], ids=["first", "later"])
async def test_a_strange_date_in_one_answer_moves_no_position(
    zentail: Zentail, apart: timedelta, skip: int
) -> None:
    """By a cache or a wrong server: no history becomes news, and what is written then is read."""
    simulator, url = zentail
    clock = FastClock(5)
    simulator.right_clock = clock.now
    simulator.put(order(3, at=iso(clock.now() - timedelta(days=5))))
    strange = format_datetime(clock.now() + apart, usegmt=True)
    headers = {"Date": strange}
    body = '{"results":[],"pagination":{"hasNext":false}}'
    fault = {"name": "status", "status": 200, "headers": headers, "body": body, "skip": skip}
    simulator.faults.add(fault)
    async with running(url, lookback_seconds=1, clock=clock) as bench:
        await bench.polls("head", 2)
        simulator.put(order(2, at=iso(simulator.clock())))
        await bench.until(lambda: "2" in bench.ids, "what was written after it")
        connected_at = bench.streams["head"].cursor.connected_at
        positions = [parse_instant(one.position or "") for one in bench.cursors("head")]
        now = clock.now()
    assert max(abs(at - now) for at in [connected_at, *positions]) < timedelta(minutes=1)
    assert "3" not in bench.ids
    assert simulator.faults.struck["status"] == 1


async def test_a_clock_of_ours_that_is_days_ahead_is_found_out() -> None:
    """Answer after answer tells so, before the first page is written."""
    upstream = simulator(timedelta(days=-3))
    async with upstream.serve() as url, running(url, lookback_seconds=1) as bench:
        await bench.polls("head", 1)
        upstream.put(order(1, at=iso(upstream.clock())))
        await bench.until(lambda: "1" in bench.ids, "the first order")
        cursor = bench.streams["head"].cursor
        assert abs(cursor.connected_at - upstream.clock()) < timedelta(minutes=1)
    assert [provenance.backfill for provenance, _ in bench.raw] == [False]


async def test_paused_streams_ask_and_write_nothing() -> None:
    """Not even those that have no interval of their own; the slot hears of a resume."""
    upstream, only = simulator(timedelta()), ("head", "settle", "planned", "backfill")
    upstream.faults.add({"name": "unavailable", "count": None})
    async with (
        upstream.serve() as url,
        running(url, only=only, start_from="2026-01-01T00:00:00Z") as bench,
    ):
        await bench.until(lambda: len(upstream.requests) > 0, "asked")
        await bench.stop()
        table = Table(KAFKA, CURSORS, 0)
        paused = [
            stream.cursor.model_copy(update={"paused": True}) for stream in bench.streams.values()
        ]
        await bench.sink.submit(Transaction([table.put(one.key, one.to_json()) for one in paused]))
        asked, commits = len(upstream.requests), len(bench.sink.transactions)
        bench.start(only)
        await bench.until(lambda: bench.alive == 0, "nothing is left to do")
        assert {stream.state for stream in bench.streams.values()} == {"paused"}
        assert (len(upstream.requests), len(bench.sink.transactions)) == (asked, commits)


async def test_an_upstream_that_is_away_shows_as_a_gap() -> None:
    """In health and as a metric, up to the last complete pass; both go on when it is back."""
    upstream = simulator(timedelta())
    async with upstream.serve() as url, running(url, name="gaps") as bench:
        head = bench.streams["head"]
        labels = {"source": "zentail", "account": "gaps", "stream": "head"}

        def measured() -> float | None:
            return REGISTRY.get_sample_value("shipfeed_stream_proven_until_seconds", labels)

        await bench.polls("head", 2)
        upstream.faults.add({"name": "status", "status": 503, "count": None})
        await bench.until(lambda: float(str(head.health()["gap_seconds"])) > 1, "a gap")
        stood_at = head.proven_until
        assert stood_at == bench.cursors("head")[-1].succeeded_at
        upstream.faults.clear()
        await bench.until(lambda: head.proven_until != stood_at, "reading again")
        await bench.until(
            lambda: head.proven_until is not None and measured() == head.proven_until.timestamp(),
            "the metric",
        )
        await bench.stop()
        head.leave()
        assert measured() is None


async def test_a_mark_that_cannot_be_read_stops_its_stream_for_all_to_see() -> None:
    """The stream names it and polls nothing."""
    upstream = simulator(timedelta())
    bench = Bench("http://127.0.0.1:1", mode="per_order")
    broken = mark_key("zentail", "acme", "orders", "7")
    await bench.sink.submit(Transaction([Table(KAFKA, CURSORS, 0).put(broken, b"{}")]))
    bench.start(("orders",))
    orders = bench.streams["orders"]
    try:
        await bench.until(lambda: orders.state == "stopped", "stopped")
        assert "cannot be read, such as mark/zentail/acme/orders/7" in orders.reason
    finally:
        await bench.stop()
    assert len(upstream.requests) == 0


class Torn(Listing):
    """A source that fails over every page."""

    def read(self, sweep: Sweep, response: Response) -> Page:
        raise LookupError("torn")


async def test_an_error_over_an_answer_gives_the_probe_back() -> None:
    """While the upstream was away one stream asks for all: an error of ours holds up no other."""
    upstream = simulator(timedelta())
    upstream.faults.add({"name": "unavailable", "count": FAILURES_MAX})
    async with upstream.serve() as url, running(url, only=("none",)) as bench:
        settings = bench.settings
        assert isinstance(settings, Settings)
        torn = Torn(settings, "head", 8, 0.2, timedelta(0))
        known = {"fingerprint": torn.facts.fingerprint}
        cursor = bench.streams["head"].cursor.model_copy(update=known)
        task = StreamTask(bench.account, torn, cursor)
        running_ = asyncio.create_task(task.run())
        await bench.until(lambda: task.state == "stopped", "stopped")
        assert task.reason == "an error of ours: LookupError: torn"
        assert bench.account.breaker.state == "closed"
        running_.cancel()
        await asyncio.gather(running_, return_exceptions=True)


async def test_an_answer_that_tells_of_a_slow_clock_is_heard_all_the_same() -> None:
    """The pass begins again by the upstream's clock, but not before the Retry-After is over."""
    upstream = simulator(-APART)
    upstream.faults.add({"name": "rate_limited"})
    async with upstream.serve() as url, running(url) as bench:
        await bench.polls("head", 1)
    first, second = (parse_instant(one["at"]) for one in list(upstream.requests)[:2])
    assert second - first >= timedelta(seconds=0.98)


async def test_a_pass_that_waited_while_a_slow_clock_became_known_begins_again() -> None:
    """Else its end lies in the upstream's future, and the next pass skips what is written now."""
    upstream = unthrottled()
    for number in range(UNREAD_MAX):
        upstream.put(order_id(number), at=ago(3600 + number))
    async with upstream.serve() as url, running(url, only=("settle",), **HISTORY) as bench:
        marks = bench.account.marks("orders")
        await bench.until(lambda: len(marks) >= UNREAD_MAX, "all that is to be read")
        await bench.stop()
        upstream.right_clock = lambda: datetime.now(UTC) - APART
        bench.start(("head",))
        head = bench.streams["head"]
        await bench.until(lambda: head.state == "waiting", "waiting")
        reading = asyncio.create_task(bench.streams["touched"].run())
        await bench.until(lambda: head.cursor.position is not None, "a pass of the head")
        assert parse_instant(head.cursor.position or "") <= upstream.clock()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
