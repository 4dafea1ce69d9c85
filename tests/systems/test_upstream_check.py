"""`accounts check`: whether an account is well, and what to do where it is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bus.clock import SystemClock
from bus.settings import checked
from services.poller.checking import Verdict, check
from services.poller.sources import sources
from testbed.http import Request, Response, json_response, serving
from testbed.simulators.zentail import ZentailSimulator
from tests.systems.bench import TOKEN, Zentail, nobody_listens
from tests.systems.orders import order, stamp


async def verdicts(url: str, **keys: object) -> dict[str, Verdict]:
    table = {
        "source": "zentail",
        "name": "acme",
        "base_url": url,
        "token": "env:SYSTEMS_TEST_TOKEN",
        **keys,
    }
    settings = checked(sources()["zentail"].settings, table, "[[accounts]]")
    found = await check(settings, SystemClock(), 30.0)
    return {one.check: one for one in found}


async def test_an_account_that_is_well_reads_one_page_of_each_stream(zentail: Zentail) -> None:
    """One request for each list, nothing more: no order waits for its ship time."""
    simulator, url = zentail
    found = await verdicts(url, start_from="2026-01-01T00:00:00Z")

    assert all(one.ok for one in found.values()), found
    assert list(found) == [
        "credential",
        *(f"stream {s}" for s in STREAMS),
        "stream planned",
        "clock",
    ]
    assert found["stream head"].says == "1 records on one page"
    assert len(simulator.requests) == len(STREAMS)


STREAMS = ("head", "settle", "backfill")


async def test_a_stream_that_reads_by_id_reads_what_a_list_has_just_found(
    zentail: Zentail,
) -> None:
    """So that its right is tried too; without anything to read it is said."""
    simulator, url = zentail
    assert "not tried" in (await verdicts(url, mode="per_order"))["stream orders"].says
    simulator.put(order(7, at=stamp(), status="PARTIALLY_SHIPPED"))
    found = await verdicts(url, mode="per_order")

    assert found["stream orders"] == Verdict("stream orders", True, "1 records on one page")
    assert simulator.requests[-1]["path"] == "/zentail/v1/salesOrder/7"


async def test_a_wrong_credential_is_told_from_a_missing_right() -> None:
    """401: nobody is known by it; 403: it is known, and lacks the right to this resource."""
    async with ZentailSimulator(token="another").serve() as url:
        refused = await verdicts(url)

    def forbidden(_: Request) -> Response:
        return json_response(403, {})

    async with serving(forbidden) as url:
        lacking = await verdicts(url)

    assert (refused["credential"].ok, lacking["credential"].ok) == (False, True)
    assert "the upstream answered 401; check the account's credential" in refused["credential"].says
    assert not lacking["stream head"].ok
    assert lacking["stream head"].says.endswith("it may not read orders")
    assert TOKEN not in f"{refused}{lacking}"


@pytest.mark.parametrize(("seconds", "word"), [(-300, "behind ours"), (300, "ahead of ours")])
async def test_a_clock_that_is_off_is_told_with_its_direction(seconds: float, word: str) -> None:
    """By the Date of an answer; an account is not well with it."""

    def clock() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=seconds)

    async with ZentailSimulator(token=TOKEN, clock=clock).serve() as url:
        found = (await verdicts(url))["clock"]

    assert not found.ok
    assert word in found.says


async def test_an_upstream_that_is_away_says_nothing_of_the_credential() -> None:
    """It is not called wrong, and not called right."""
    with nobody_listens() as url:
        found = await verdicts(url)

    assert found["credential"].says.startswith("not told")
    assert "check again later" in found["stream head"].says
    assert not found["credential"].ok


async def test_records_that_cannot_be_read_are_counted(zentail: Zentail) -> None:
    """One bad record among good ones is no illness of the account."""
    simulator, url = zentail
    simulator.put(order(1))
    simulator.put(order(2))
    simulator.faults.add({"name": "bad_record", "record": {"orderNumber": 3}})
    found = (await verdicts(url))["stream head"]

    assert found.ok
    assert found.says.startswith("2 records on one page; 1 cannot be read, the first at $")
