"""What the loop does for every source: whose clock counts, and standing by while paused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY

from bus.table import Table
from bus.transaction import Transaction
from schemas.message import iso, parse_instant
from schemas.topics import CURSORS
from testbed.simulators.zentail import ZentailSimulator
from tests.systems.bench import KAFKA, TOKEN, running
from tests.systems.orders import order

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


async def test_a_paused_stream_asks_nothing_and_goes_on_keeping_its_cursor() -> None:
    """Or whoever has lost the slot to an operator would never learn of a resume."""
    upstream = simulator(timedelta())
    async with upstream.serve() as url, running(url) as bench:
        await bench.polls("head", 1)
        await bench.stop()
        paused = bench.cursors("head")[-1].model_copy(update={"paused": True})
        await bench.sink.submit(
            Transaction([Table(KAFKA, CURSORS, 0).put(paused.key, paused.to_json())])
        )
        asked = len(upstream.requests)
        commits = len(bench.sink.transactions)
        bench.start(("head",))
        await bench.until(lambda: len(bench.sink.transactions) > commits + 2, "kept")
        assert bench.streams["head"].state == "paused"
        assert len(upstream.requests) == asked
        assert bench.cursors("head")[-1] == paused


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
