"""Notifiers killed wherever it matters, beside a Digital River that counts what it was paid."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bus.admin import ensure_topics
from bus.clock import SystemClock
from bus.crash import VARIABLE
from bus.settings import KafkaSettings
from testbed.simulators.digital_river import TOKEN_DEFAULT, DigitalRiverSimulator
from tests.broker.reading import until
from tests.broker.writing_back import emit, left, paid_for, sold, written_back
from tests.e2e.copies import Copy, surroundings
from tests.e2e.running import ROOT

POINTS = (
    "write_back.taking_in",
    "write_back.taken_in",
    "write_back.read",
    "write_back.intending",
    "write_back.intended",
    "write_back.answered",
    "write_back.settled",
)
ORDERS = ("1001", "1002")
WAIT_SECONDS_MAX = 240.0
CONFIG = """\
[kafka]
session_timeout_ms = 1500
transaction_timeout_ms = 3000

[notifier]
allow_networks = ["127.0.0.0/8"]

[[targets]]
name = "river"
system = "digital_river"
secret = "env:RIVER_KEY"
base_url = "{url}"
requests_per_second = 1000
timeout_seconds = 2
unknown_wait_seconds = 12

[[subscriptions]]
name = "back"
types = ["package.shipped"]
start_from = "earliest"
channel = {{ type = "write_back", target = "river" }}
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True, slots=True)
class Scene:
    """A Digital River with orders, packages of them on the topic of events, and copies."""

    kafka: KafkaSettings
    river: DigitalRiverSimulator
    folder: Path
    around: dict[str, str]

    def copy(self, number: int, **extra: str) -> Copy:
        """One that does not run yet."""
        return Copy("notifier", number, self.folder, {**self.around, **extra})

    async def all_done(self) -> bool:
        """Whether both packages of each order are written back."""
        found = await written_back(self.kafka)
        return [one.state for one in found.values()] == ["done"] * 2 * len(ORDERS)


@asynccontextmanager
async def playing(kafka: str, prefix: str, folder: Path) -> AsyncIterator[Scene]:
    """Until the block is left."""
    settings = KafkaSettings(bootstrap_servers=kafka, prefix=prefix)
    await ensure_topics(settings, SystemClock())
    river = DigitalRiverSimulator(requests_per_second=1000, burst=1000)
    for number in ORDERS:
        river.put_order(sold(number, mug=3, pot=1))
    around = {**surroundings(kafka, prefix), "RIVER_KEY": TOKEN_DEFAULT}
    async with river.serve() as url:
        (folder / "shipfeed.toml").write_text(CONFIG.format(url=url), encoding="utf-8")
        await emit(settings, *(left(number, "a", mug=2) for number in ORDERS))
        await emit(settings, *(left(number, "b", mug=1, pot=1) for number in ORDERS))
        yield Scene(settings, river, folder, around)


def expected() -> dict[str, Counter[str]]:
    """What is paid for: each package once, with what is in it."""
    first = {f"1Z-{one}-a": Counter({f"{one}-mug": 2}) for one in ORDERS}
    return first | {f"1Z-{one}-b": Counter({f"{one}-mug": 1, f"{one}-pot": 1}) for one in ORDERS}


def test_every_point_is_tried() -> None:
    """One that is added in the code is added here."""
    code = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("services/**/*.py"))

    assert sorted(re.findall(r'crash_point\("([^"]+)"\)', code)) == sorted(POINTS)


@pytest.mark.parametrize("point", POINTS)
async def test_whoever_dies_at_a_point_leaves_each_package_to_be_written_once(
    point: str, kafka: str, prefix: str, tmp_path: Path
) -> None:
    """One copy dies there by SIGKILL, whatever else it was about to do; another goes on."""
    async with playing(kafka, prefix, tmp_path) as scene:
        dying, last = scene.copy(1, **{VARIABLE: point}), scene.copy(2)
        await dying.start()
        assert await dying.died() == -signal.SIGKILL
        await last.start()
        try:
            await until(scene.all_done, WAIT_SECONDS_MAX)
        finally:
            assert await last.stop() == 0

        assert paid_for(scene.river.written()) == expected()


@pytest.mark.parametrize("fault", [{"name": "hang"}, {"name": "slow_commit", "seconds": 5}])
async def test_whoever_is_killed_while_it_waits_for_an_answer_has_called_once(
    fault: dict[str, Any], kafka: str, prefix: str, tmp_path: Path
) -> None:
    """Carried out before the kill or after it: whoever goes on sees it there."""
    async with playing(kafka, prefix, tmp_path) as scene:
        posts = {"match": "/digital-river/fulfillments", "method": "POST", "count": 2}
        scene.river.faults.add([{**posts, **fault}])
        killed, last = scene.copy(1), scene.copy(2)
        await killed.start()
        await until(lambda: calls(scene.river) >= 2, WAIT_SECONDS_MAX)
        await killed.kill()
        await last.start()
        try:
            await until(scene.all_done, WAIT_SECONDS_MAX)
        finally:
            assert await last.stop() == 0

        assert paid_for(scene.river.written()) == expected()
        assert calls(scene.river) == 2 * len(ORDERS)


def calls(river: DigitalRiverSimulator) -> int:
    """How often it was written to."""
    return sum(one["method"] == "POST" for one in river.requests)
