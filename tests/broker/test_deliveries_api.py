"""Recover, retry, redrive and explain over HTTP, asked of a copy that owns nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bus.settings import KafkaSettings
from schemas.message import iso
from schemas.topics import DEAD_LETTERS, EVENTS
from testbed.receiver import Receiver
from tests.broker.commanding import letters, receipts, targets
from tests.broker.idle_copy import Asking, idle_copy
from tests.broker.notifying import (
    PATIENT,
    SECRET,
    accepted,
    attempts,
    by_order,
    emit,
    notifying,
    webhook,
)
from tests.broker.reading import records, until

HOURS: dict[str, Any] = {"retry_schedule_seconds": [3600.0] * 5}
SINCE = {"since": "2020-01-01T00:00:00Z"}


async def test_a_dry_run_counts_what_recover_then_brings(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Matching events, and those that come again: not what is unfinished."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "status", "status": 500, "count": None, "match": "pkg_0_2"}])
    for revision in (1, 2):
        await emit(topics, range(10), revision)
    async with (
        receiver.serve() as url,
        notifying(topics, webhook("erp", url, tmp_path), **PATIENT) as service,
        idle_copy(topics) as api,
    ):
        await until(lambda: receipts(receiver).total() == 19)
        await until(lambda: service.health()["pending"] == 1)
        counted = await api.post("/recover", {**SINCE, "dry_run": True}, 200)
        assert (counted["matching"], counted["again"], counted["at_least"]) == (20, 19, False)
        asked = await api.post("/recover", SINCE)
        assert asked["from_offsets"] == counted["from_offsets"]
        await until(lambda: receipts(receiver).total() == 19 + counted["again"])
        receiver.behavior.clear()
        await until(lambda: service.health()["pending"] == 0)
        done = await api.get(f"/commands/{asked['command']}")

    assert sorted(receipts(receiver).values()) == [1] + [2] * 19
    assert (done["kind"], done["waiting"]) == ("recover", [])


async def test_any_instant_may_be_asked_from(topics: KafkaSettings, tmp_path: Path) -> None:
    """Before Kafka began to count is from the beginning; outside of the calendar is refused."""
    receiver = Receiver(SECRET)
    await emit(topics, range(3), 1)
    async with (
        receiver.serve() as url,
        notifying(topics, webhook("erp", url, tmp_path)) as service,
        idle_copy(topics) as api,
    ):
        await until(lambda: service.health()["ready"] is True)
        wish = {"since": "1960-01-01T00:00:00Z", "dry_run": True}
        assert (await api.post("/recover", wish, 200))["matching"] == 3
        await api.get("/attempts", since="0001-01-01T00:00:00Z")
        await api.post("/recover", {"since": "0001-01-01T00:00:00+05:00"}, 422)


async def test_recover_of_one_partition_leaves_the_others(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """From an offset, counted the same way."""
    receiver = Receiver(SECRET)
    await emit(topics, range(20), 1)
    place = (await records(topics, EVENTS))[5]
    wish = {"from_offsets": {str(place.partition): place.offset}}
    expected = [one.offset for one in await records(topics, EVENTS, place.partition)]
    expected = [offset for offset in expected if offset >= place.offset]
    async with (
        receiver.serve() as url,
        notifying(topics, webhook("erp", url, tmp_path)) as service,
        idle_copy(topics) as api,
    ):
        await until(lambda: receipts(receiver).total() == 20)
        await until(lambda: service.health()["pending"] == 0)
        counted = await api.post("/recover", {**wish, "dry_run": True}, 200)
        await api.post("/recover", wish)
        await until(lambda: receipts(receiver).total() == 20 + len(expected))
        await api.post("/recover", {"from_offsets": {"9": 1}}, 422)
        await api.post("/recover", {}, 422)

    assert (counted["matching"], counted["again"]) == (len(expected), len(expected))
    assert sorted(receipts(receiver).values()).count(2) == len(expected)


async def test_unfinished_deliveries_and_attempts_are_listed_page_by_page(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Each once, over any number of pages; a retry of all sends them."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "status", "status": 400, "count": None}])
    for revision in (1, 2):
        await emit(topics, range(8), revision)
    async with (
        receiver.serve() as url,
        notifying(topics, webhook("erp", url, tmp_path), **HOURS) as service,
        idle_copy(topics) as api,
    ):
        await until(lambda: service.health()["pending"] == 16)
        await until(lambda: receiver.stats()["requests"] == 8)

        async def tried() -> bool:
            return len(await api.pages("/attempts", "attempts", limit=3)) == 8

        await until(tried)
        unfinished = await api.pages("/deliveries", "deliveries", limit=3)
        later = iso(datetime.now(UTC) + timedelta(hours=1))
        assert await api.pages("/attempts", "attempts", since=later) == []
        receiver.behavior.clear()
        await api.post("/retry", {"all_unfinished": True})
        await until(lambda: service.health()["pending"] == 0)
        assert await api.pages("/deliveries", "deliveries") == []
        again = {"event_id": unfinished[0]["event_id"]}
        again |= {name: unfinished[0][name] for name in ("partition", "event_offset")}
        passed = await api.post("/retry", {"events": [again]})
        assert passed == {"command": None, "delivered": [again["event_id"]]}
        await api.post(f"/deliveries/{again['event_id']}/retry", status=409)
        await api.post("/retry", {"events": [again], "force": True})
        await until(lambda: receipts(receiver)[again["event_id"]] == 2)
        await api.get("/attempts", cursor="1.2", status=409)

    assert len({one["event_id"] for one in unfinished}) == 16
    assert sorted(one["attempts"] for one in unfinished) == [0] * 8 + [1] * 8
    assert by_order(accepted(receiver)) == {order: [1, 2] for order in range(8)}


async def test_dead_letters_are_counted_and_redriven(topics: KafkaSettings, tmp_path: Path) -> None:
    """Those of a reason, then one by its place; the bodies are the letters'."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "status", "status": 400, "count": None}])
    await emit(topics, range(6), 1)
    schedule: dict[str, Any] = {"retry_schedule_seconds": [0.1]}
    async with (
        receiver.serve() as url,
        notifying(topics, webhook("erp", url, tmp_path), **schedule) as service,
        idle_copy(topics) as api,
    ):
        await until(lambda: letters(topics, 6))
        listed = await api.pages("/dead-letters", "dead_letters", limit=2)
        receiver.behavior.clear()
        nothing = await api.post("/redrive", {"reason": "no such words"})
        counted = await api.post("/redrive", {"reason": "Exhausted", "dry_run": True})
        await api.post("/redrive", {"reason": "Exhausted"})
        await until(lambda: len(accepted(receiver)) == 6)
        await until(lambda: service.health()["pending"] == 0)
        repeated = await api.post("/redrive", {"reason": "Exhausted"})
        await api.post("/redrive", {"places": [listed[2]["place"]], "force": True})
        await until(lambda: receipts(receiver)[listed[2]["event_id"]] == 2)
        await api.post("/redrive", {"places": ["5/99999"]}, 404)

    assert len({one["event_id"] for one in listed}) == 6
    assert (counted["letters"], counted["command"], counted["next"]) == (6, None, None)
    assert (repeated["letters"], repeated["delivered"], repeated["command"]) == (0, 6, None)
    assert (nothing["letters"], nothing["command"]) == (0, None)
    assert sorted(receipts(receiver).values()) == [1] * 5 + [2]
    assert len(await records(topics, DEAD_LETTERS)) == 6


async def test_a_delivery_is_explained_from_its_poll_to_its_next_try(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Unfinished, delivered, set aside, not wanted: what happened, and why."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "status", "status": 400, "count": None, "match": "pkg_0_1"}])
    await emit(topics, [0, 1], 1)
    (failing,), (fine,) = await targets(topics, "pkg_0_1"), await targets(topics, "pkg_1_1")
    async with receiver.serve() as url, idle_copy(topics) as api:
        entry = webhook("erp", url, tmp_path)
        async with notifying(topics, entry, **HOURS) as service:
            await until(lambda: len(receiver.records) == 2)
            await until(lambda: service.health()["pending"] == 1)

            async def settled() -> bool:
                found = await api.get(f"/deliveries/{failing.event_id}")
                return len(found["attempts"]) == 1

            await until(settled)
            waiting = await api.get(f"/deliveries/{failing.event_id}")
            delivered = await api.get(
                f"/deliveries/{fine.event_id}", partition=fine.partition, offset=fine.event_offset
            )
            await api.get("/deliveries/evt_nobody", status=404)
        async with notifying(topics, entry, retry_schedule_seconds=[0.1]) as service:
            await api.post(f"/deliveries/{failing.event_id}/retry")
            await until(lambda: letters(topics, 1))
            await until(lambda: service.health()["pending"] == 0)
        aside = await api.get(f"/deliveries/{failing.event_id}")
        other = webhook("erp", url, tmp_path, types=["fulfillment.shipped"])
        async with notifying(topics, other):
            await emit(topics, [2], 1)
            (unwanted,) = await targets(topics, "pkg_2_1")
            refused = await api.get(f"/deliveries/{unwanted.event_id}")
            await api.post(f"/deliveries/{unwanted.event_id}/retry", status=409)
            named = {"event_id": unwanted.event_id, "partition": unwanted.partition}
            named["event_offset"] = unwanted.event_offset
            asked = await api.post("/retry", {"events": [named]})
            await until(lambda: _carried_out(api, asked["command"]))
            assert receipts(receiver)[unwanted.event_id] == 0
            await api.post(f"/deliveries/{unwanted.event_id}/retry?force=true")
            await until(lambda: receipts(receiver)[unwanted.event_id] == 1)

    assert (waiting["state"], waiting["attempts"][0]["outcome"]) == ("unfinished", "rejected")
    assert waiting["next_at"] == waiting["attempts"][0]["next_at"]
    assert (waiting["event"]["type"], waiting["why_not"]) == ("package.shipped", [])
    assert waiting["upstream"]["offset"] == 0
    assert (delivered["state"], delivered["next_at"]) == ("delivered", None)
    assert aside["state"] == "set aside"
    assert "exhausted" in aside["dead_letters"][0]["reason"]
    assert refused["state"] == "not wanted"
    assert "package.shipped" in refused["why_not"][0]


async def _carried_out(api: Asking, command: int) -> bool:
    return not (await api.get(f"/commands/{command}"))["waiting"]


async def test_a_try_in_flight_ends_before_a_retry_begins(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Its failure does not write over the fresh tries: the retry of all is the next thing seen."""
    arrived, answer = asyncio.Event(), asyncio.Event()
    requests = list[str]()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        requests.append(head.partition("webhook-id: ")[2].partition("\r\n")[0])
        first = len(requests) == 1
        if first:
            arrived.set()
            await answer.wait()
        status = b"500 Failed" if first else b"200 OK"
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
        await writer.drain()
        writer.close()

    await emit(topics, [0], 1)
    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with (
        server,
        notifying(topics, webhook("erp", url, tmp_path), **HOURS, total_timeout_seconds=120),
        idle_copy(topics) as api,
    ):
        await asyncio.wait_for(arrived.wait(), 60)
        asked = await api.post("/retry", {"all_unfinished": True})
        (target,) = await targets(topics, "pkg_0_1")

        async def waiting() -> bool:
            found = await api.get(f"/commands/{asked['command']}")
            return bool(found["waiting"] == [target.partition])

        await until(waiting)  # all others are done, this one's try is still out
        answer.set()
        await until(lambda: len(requests) == 2)

    assert requests == [target.event_id] * 2
    tried = [(one.outcome, one.number) for one in await attempts(topics)]
    assert tried == [("transient", 1), ("delivered", 1)]
