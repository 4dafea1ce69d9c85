"""What an upstream cannot do to us: too much, elsewhere, our credential (design 4)."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import UTC, datetime

from bus.table import Table
from bus.transaction import Transaction
from schemas.topics import CURSORS
from testbed.http import Request, Response, json_response, serving
from tests.systems.bench import KAFKA, TOKEN, Bench, Zentail, running
from tests.systems.orders import order


async def test_a_body_over_the_cap_is_asked_for_in_smaller_pages(zentail: Zentail) -> None:
    """Over 16 MiB: the limit is halved until the body fits."""
    simulator, url = zentail
    simulator.faults.add({"name": "oversized", "count": 2})
    async with running(url) as bench:
        await bench.polls("head", 2)
        assert bench.ids == ["1"]
    limits = [entry["query"]["limit"] for entry in list(simulator.requests)[:4]]
    assert limits == ["100", "50", "25", "100"]


async def test_a_next_token_is_left_when_its_page_is_too_large(zentail: Zentail) -> None:
    """Its size is fixed by the upstream; the instant is read again in smaller pages."""
    simulator, url = zentail
    for number in range(100, 330):
        simulator.put(order(number, at="2026-02-01T00:00:00.000Z"))
    simulator.faults.add({"name": "oversized", "match": "/zentail/v1/salesOrder?nextToken"})
    async with running(url, only=("backfill",), start_from="2026-01-01T00:00:00Z") as bench:
        await bench.until(lambda: bench.streams["backfill"].state == "done", "done")
    limits = [entry["query"].get("limit") for entry in list(simulator.requests)[:5]]
    assert limits == ["100", "100", None, "50", None]
    assert sorted(map(int, bench.ids)) == [1, *range(100, 330)]


async def test_a_single_record_over_the_cap_stops_the_stream(zentail: Zentail) -> None:
    """At limit 1 there is nothing left to halve."""
    simulator, url = zentail
    simulator.faults.add({"name": "oversized", "count": 7})
    async with running(url, recheck_seconds=600) as bench:
        head = bench.streams["head"]
        await bench.until(lambda: head.state == "stopped", "stopped")
        assert "16777216 bytes" in head.reason
    limits = [int(entry["query"]["limit"]) for entry in simulator.requests]
    assert limits == [100, 50, 25, 12, 6, 3, 1]


async def test_a_small_gzip_that_unfolds_beyond_the_cap_is_too_large() -> None:
    """The cap counts decompressed bytes; a gzip within it is read."""
    page = {"results": [order(1)], "pagination": {"hasNext": False}}
    small = gzip.compress(json.dumps(page).encode())
    bomb = gzip.compress(b" " * (64 * 1024 * 1024))
    answers = [bomb, small]

    def answer(request: Request) -> Response:
        body = answers.pop(0) if len(answers) > 1 else answers[0]
        assert request.headers["accept-encoding"] == "gzip"
        return Response(200, body, {"Content-Encoding": "gzip"})

    async with serving(answer) as url, running(url) as bench:
        await bench.polls("head", 1)
        assert bench.ids == ["1"]
        assert bench.streams["head"].state == "running"


async def test_a_record_over_the_topics_maximum_is_set_aside_with_its_head(
    zentail: Zentail,
) -> None:
    """Over 8 MiB: dead letter with head, hash and pointer; the page's others go on."""
    simulator, url = zentail
    simulator.put(order(2, note="x" * (8 * 1024 * 1024)))
    simulator.put(order(3))
    async with running(url) as bench:
        await bench.polls("head", 2)
    assert bench.ids == ["1", "3"]
    ((letter, record),) = bench.letters
    assert record.key == "zentail/acme/orders/2"
    assert letter.origin == f"{url}/salesOrder"
    summary = json.loads(record.value or b"")
    assert summary["head"].startswith('{"orderNumber":2')
    assert summary["size_bytes"] > 8 * 1024 * 1024
    assert len(summary["sha256"]) == 64


async def test_a_redirect_is_refused(zentail: Zentail) -> None:
    """The stream stops; the credential is not carried anywhere."""
    simulator, url = zentail
    heard: list[Request] = []

    def listen(request: Request) -> Response:
        heard.append(request)
        return json_response(200, {})

    async with serving(listen) as other:
        simulator.faults.add({"name": "redirect", "host": other})
        async with running(url, recheck_seconds=600) as bench:
            await bench.until(lambda: bench.streams["head"].state == "stopped", "stopped")
            assert "redirect" in bench.streams["head"].reason
    assert heard == []


async def test_a_next_token_to_another_host_is_refused(zentail: Zentail) -> None:
    """The stream stops before the page's rows are taken, followed or not; later it has them."""
    simulator, url = zentail
    heard: list[Request] = []

    def listen(request: Request) -> Response:
        heard.append(request)
        return json_response(200, {})

    tie = "2026-02-01T00:00:00.000Z"
    for number in range(100, 250):
        simulator.put(order(number, at=tie))
    async with serving(listen) as other:
        simulator.faults.add({"name": "next_token_host", "host": other})
        keys = {"start_from": "2026-01-01T00:00:00Z", "recheck_seconds": 0.3}
        async with running(url, only=("backfill",), **keys) as bench:
            backfill = bench.streams["backfill"]
            await bench.until(lambda: backfill.state == "stopped", "stopped")
            assert "another host" in backfill.reason
            assert bench.ids == []
            await bench.until(lambda: backfill.state == "done", "done")
            assert sorted(map(int, bench.ids)) == [1, *range(100, 250)]
    assert heard == []


async def test_the_credential_is_never_shown(zentail: Zentail) -> None:
    """Not in a request's text, not in the settings', not in health."""
    _, url = zentail
    bench = Bench(url)
    bench.start(("head",))
    try:
        await bench.polls("head", 1)
        head = bench.streams["head"]
        request = head._stream.request(head._stream.begin(head.cursor, datetime.now(UTC), []), 10)
        assert request.headers["Authorization"] == TOKEN
        shown = f"{request!r} {bench.settings!r} {head.health()}"
        assert TOKEN not in shown
    finally:
        await bench.stop()
    await asyncio.sleep(0)


async def test_unchanged_settings_go_on_and_a_changed_address_asks_for_a_choice(
    zentail: Zentail,
) -> None:
    """The line says what to do; accepted, the stream starts over and repeats nothing it knows."""
    _, url = zentail
    async with running(url) as bench:
        await bench.polls("head", 1)
        await bench.stop()
        bench.start(("head",))
        await bench.polls("head", 3)
        await bench.stop()
        went_on = [cursor.position or "" for cursor in bench.cursors("head")]
        assert went_on == sorted(set(went_on))
        moved = Bench(url.replace("127.0.0.1", "localhost"))
        moved.sink = bench.sink
        moved.start(("head",))
        await moved.until(lambda: moved.streams["head"].state == "stopped", "stopped")
        assert "accept_new_cursor = true" in moved.streams["head"].reason
        await moved.stop()
        assert len(bench.cursors("head")) == len(went_on), "a stopped stream moves nothing"
        accepted = Bench(url.replace("127.0.0.1", "localhost"), accept_new_cursor=True)
        accepted.sink = bench.sink
        accepted.start(("head",))
        assert accepted.streams["head"].cursor.position is None
        await accepted.polls("head", len(went_on) + 1)
        await accepted.stop()
    assert bench.ids == ["1"]


async def test_a_pause_outlives_the_choice_to_start_over(zentail: Zentail) -> None:
    """Who paused a stream did not mean its settings."""
    _, url = zentail
    async with running(url) as bench:
        await bench.polls("head", 1)
        await bench.stop()
        paused = bench.cursors("head")[-1].model_copy(update={"paused": True})
        record = Table(KAFKA, CURSORS, 0).put(paused.key, paused.to_json())
        await bench.sink.submit(Transaction([record]))
        accepted = Bench(url.replace("127.0.0.1", "localhost"), accept_new_cursor=True)
        accepted.sink = bench.sink
        accepted.start(("head",))
        await accepted.until(lambda: accepted.streams["head"].state == "paused", "paused")
        await accepted.stop()
