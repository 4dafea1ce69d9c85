"""Each row of the table of upstream answers (design 4), over real HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from services.poller.answers import DEGRADED_ATTEMPTS
from testbed.simulators.zentail import ZentailSimulator
from tests.systems.bench import Zentail, running
from tests.systems.orders import order


@pytest.mark.parametrize(
    "fault",
    [
        *({"name": "status", "status": status} for status in (408, 425, 429, 500, 502, 503, 504)),
        {"name": "stall", "seconds": 1.0},
        {"name": "reset"},
        {"name": "cut_body"},
        {"name": "broken_json"},
        {"name": "html_200"},
        {"name": "status", "status": 200, "body": "{}"},
        {"name": "status", "status": 200, "body": '{"results":null,"error":"timeout"}'},
        {"name": "status", "status": 202, "body": ""},
    ],
    ids=lambda fault: f"{fault['name']}-{fault.get('status', '')}{fault.get('body', '')[:12]}",
)
async def test_a_passing_trouble_is_retried_and_loses_nothing(
    zentail: Zentail, fault: dict[str, Any]
) -> None:
    """408, 425, 429, 5xx, timeout, reset, unreadable page, HTML with 200: the same again."""
    simulator, url = zentail
    simulator.faults.add({"count": 2, **fault})
    async with running(url, request_timeout_seconds=0.5) as bench:
        await bench.polls("head", 1)
        assert bench.ids == ["1"]
        assert bench.streams["head"].state == "running"
    assert len(simulator.requests) >= 3
    assert simulator.requests[0]["query"]["status"] == simulator.requests[2]["query"]["status"]


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_obeyed_in_full(zentail: Zentail, form: str) -> None:
    """In seconds or as a date; no request of the credential goes out before."""
    simulator, url = zentail
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    value = "1" if form == "seconds" else format_datetime(until, usegmt=True)
    headers = {"Retry-After": value}
    simulator.faults.add({"name": "status", "status": 429, "headers": headers})
    async with running(url, only=("head", "settle"), settle_interval_seconds=0.2) as bench:
        await bench.polls("head", 2)
        await bench.polls("settle", 2)
    parked = next(entry for entry in simulator.requests if entry["status"] == 429)
    asked_at = datetime.fromisoformat(parked["at"])
    earliest = asked_at + timedelta(seconds=1) if form == "seconds" else until
    asked = [datetime.fromisoformat(entry["at"]) for entry in simulator.requests]
    early = [at for at in asked if asked_at < at < earliest - timedelta(milliseconds=20)]
    assert len(early) <= 1  # the other stream's may have been sent before the answer came


async def test_a_long_silence_is_shown(zentail: Zentail) -> None:
    """By the stream that was told of it, and by all that wait with it."""
    simulator, url = zentail
    headers = {"Retry-After": "3600"}
    simulator.faults.add({"name": "status", "status": 429, "headers": headers})
    async with running(url) as bench:
        head = bench.streams["head"]
        await bench.until(lambda: head.state == "waiting", "waiting")
        assert head.reason == "the upstream answered 429; asked again in 3600 s"
        assert 3500 < float(str(bench.streams["settle"].health()["parked_seconds"])) <= 3600


@pytest.mark.parametrize("unit", [1, 1000])
async def test_a_time_to_wait_until_is_no_number_of_seconds(zentail: Zentail, unit: int) -> None:
    """Since 1970, in seconds or milliseconds: the account is asked again in a second, not a day."""
    simulator, url = zentail
    until = int(datetime.now(UTC).timestamp()) + 1
    headers = {"Retry-After": str(until * unit)}
    simulator.faults.add({"name": "status", "status": 429, "headers": headers})
    async with running(url) as bench:
        await bench.polls("head", 1)
        assert bench.ids == ["1"]
    asked = [datetime.fromisoformat(entry["at"]).timestamp() for entry in simulator.requests]
    assert asked[1] >= until - 0.1


async def test_ten_failures_in_a_row_make_a_stream_degraded(zentail: Zentail) -> None:
    """It is shown while it lasts, and over with the first success."""
    simulator, url = zentail
    simulator.faults.add({"name": "status", "status": 503, "count": None})
    async with running(url) as bench:
        head = bench.streams["head"]
        await bench.until(lambda: head.state == "degraded", "degraded")
        assert "503" in head.reason
        simulator.faults.clear()
        await bench.until(lambda: head.state == "running", "running again")
        assert bench.ids == ["1"]
    assert len(simulator.requests) > DEGRADED_ATTEMPTS


@pytest.mark.parametrize("status", [401, 403, 400, 404, 422, 405])
async def test_a_refusal_on_a_list_stops_the_stream_which_says_why(
    zentail: Zentail, status: int
) -> None:
    """401, 403, 400, 404, 422: stopped, then tried again from its unchanged cursor."""
    simulator, url = zentail
    name = "settle" if status in (400, 422) else "head"  # the head's filter is left out for those
    quick = {"recheck_seconds": 0.4, "settle_interval_seconds": 0.2}
    async with running(url, only=(name,), **quick) as bench:
        await bench.polls(name, 1)
        simulator.faults.add({"name": "status", "status": status})
        one = bench.streams[name]
        await bench.until(lambda: one.state == "stopped", "stopped")
        position = one.cursor.position
        assert str(status) in one.reason
        simulator.put(order(2))
        await bench.until(lambda: one.state == "running", "running again")
        assert bench.ids == ["1", "2"]
    at = [entry["status"] for entry in simulator.requests].index(status)
    requests = list(simulator.requests)
    waited = datetime.fromisoformat(requests[at + 1]["at"]) - datetime.fromisoformat(
        requests[at]["at"]
    )
    assert waited >= timedelta(seconds=0.38)
    assert requests[at]["query"] == requests[at + 1]["query"]
    assert position is not None


async def test_a_wrong_token_stops_one_account_and_no_other(zentail: Zentail) -> None:
    """One account's trouble never stops another's."""
    _, url = zentail
    other = ZentailSimulator(orders=[order(1)], token="another", requests_per_second=1000)
    async with (
        other.serve() as other_url,
        running(other_url, name="broken") as broken,
        running(url) as bench,
    ):
        await broken.until(lambda: broken.streams["head"].state == "stopped", "stopped")
        await bench.polls("head", 3)
        assert (bench.ids, broken.ids) == (["1"], [])


@pytest.mark.parametrize(
    ("record", "key", "path"),
    [
        ("not an object", "zentail/acme/orders/", "$"),
        ({"orderNumber": 7}, "zentail/acme/orders/7", "$"),
        ({"orderNumber": 7, "lastUpdatedTs": "yesterday"}, "zentail/acme/orders/7", "$.last"),
        ({"orderNumber": None, "lastUpdatedTs": "x"}, "zentail/acme/orders/", "$.orderNumber"),
    ],
)
async def test_one_bad_record_is_set_aside_and_the_rest_goes_on(
    zentail: Zentail, record: Any, key: str, path: str
) -> None:
    """With source, path and reason; and once, though every poll brings it again."""
    simulator, url = zentail
    simulator.put(order(2))
    simulator.faults.add({"name": "bad_record", "record": record, "count": 3})
    async with running(url) as bench:
        await bench.polls("head", 4)
    assert bench.ids == ["1", "2"]
    assert len(bench.letters) == 1
    letter, written = bench.letters[0]
    assert written.key == key
    assert letter.path.startswith(path)
    assert letter.reason
    assert json.loads(written.value or b"") == record


async def test_while_the_upstream_is_down_one_probe_asks_for_all_streams(
    zentail: Zentail,
) -> None:
    """The breaker opens over all streams of the account, and closes with the first success."""
    simulator, url = zentail
    simulator.faults.add({"name": "status", "status": 500, "count": 8})
    async with running(url, only=("head", "settle")) as bench:
        await bench.polls("head", 2)
        await bench.polls("settle", 1)
        assert bench.streams["head"].health()["breaker"] == "closed"
    assert bench.ids == ["1"]


@pytest.mark.parametrize("field", ["Ana \ud83d", "\ude00 Ana"])
async def test_half_an_emoji_in_one_order_stops_no_feed(zentail: Zentail, field: str) -> None:
    """A parser refuses the whole page for it; the order goes on raw as it came."""
    simulator, url = zentail
    simulator.put(order(2, shippingAddress={"name": field}))
    simulator.put(order(3))
    async with running(url) as bench:
        await bench.polls("head", 1)
        assert bench.streams["head"].state == "running"
    assert sorted(bench.ids) == ["1", "2", "3"]
    names = [body.get("shippingAddress", {}).get("name") for body in bench.bodies]
    assert field in names
    assert bench.letters == []
