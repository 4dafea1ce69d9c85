"""What an operator does about single records: dead letters, forgetting, mapping again."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from testbed.rows import Row
from testbed.simulators.zentail import ZentailSimulator
from tests.e2e.running import running
from tests.e2e.test_operator import SECONDS_MAX, TOKEN, Desk
from tests.systems.orders import order, stamp

pytestmark = pytest.mark.timeout(480)
KEY = "zentail/acme/orders/{}"


async def rows(desk: Desk, count: int, *words: str) -> list[dict[str, object]]:
    """What a command lists, once there are so many."""
    async with asyncio.timeout(SECONDS_MAX):
        while len(found := await desk.rows(*words)) < count:
            pass
    return found


async def test_an_operator_looks_after_single_records_beside_running_services(
    tmp_path: Path,
) -> None:
    """A bad record is listed, shown and put on raw; an order is forgotten, and told again."""
    simulator = ZentailSimulator(orders=[order(7, at=stamp(ago_seconds=9))], token=TOKEN)
    odd = {**order(8), "lastUpdatedTs": "soon"}
    simulator.write(Row(8, datetime.now(UTC), odd))
    async with simulator.serve() as url:
        desk = Desk(tmp_path, url)
        up = ("console.cli", "up")
        async with running(*up, folder=tmp_path, extra=desk.environment) as process:
            assert process.stdout is not None
            told = (await asyncio.wait_for(process.stdout.readline(), SECONDS_MAX)).decode()
            desk.kafka = ("--kafka", told.split()[2].rstrip(";"))
            (letter,) = await rows(desk, 1, "dead-letters", "list", "--source", "zentail")
            place = str(letter["place"])
            shown = await desk.type("dead-letters", "show", place)
            (redriven,) = await desk.rows("dead-letters", "redrive", place)
            again = await rows(desk, 1, "dead-letters", "list", "--service", "normalizer")
            (package,) = await rows(desk, 1, "packages")
            await desk.rows("cursors", "pause", "acme")
            await desk.until_head("paused")
            (said,) = await desk.rows("packages", "forget", KEY.format(7))
            (done,) = await desk.rows("packages", "forget", KEY.format(7), "--yes")
            gone = await desk.type("packages", "forget", KEY.format(7))
            (refreshed,) = await desk.rows("packages", "refresh", KEY.format(7))
            (back,) = await rows(desk, 1, "packages")
            (remapped,) = await desk.rows("remap", "--source", "zentail")

    assert (KEY.format(8), "$.lastUpdatedTs") == (letter["key"], letter["path"])
    assert odd == json.loads(shown.out.partition("\n\n")[2])
    assert "shipfeed-stream: head" in shown.out
    assert str(redriven["to"]).endswith(f".raw/{place.partition('/')[0]}")
    assert [KEY.format(8)] == [row["key"] for row in again]
    assert (False, [package["package"]]) == (said["forgotten"], said["announced"])
    assert True is done["forgotten"]
    assert "no state is stored" in gone.out
    assert "written" == refreshed["came"]
    assert package["package"] == back["package"]
    assert (1, 1, 0) == (remapped["fulfillments"], remapped["unchanged"], remapped["changed"])
