"""Digital River over real HTTP, its faults of writing, in virtual time: each package once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bus.settings import KafkaSettings
from testbed.simulators.digital_river import TOKEN_DEFAULT, DigitalRiverSimulator
from tests.broker.leaping import LeapingClock
from tests.broker.reading import until
from tests.broker.writing_back import (
    back,
    emit,
    leap_until_done,
    left,
    paid_for,
    sold,
    target,
    writing_back,
    written_back,
)

FAULTS: Sequence[dict[str, Any]] = (
    {"name": "commit_then_reset"},
    {"name": "commit_then_error"},
    {"name": "rate_limited"},
    {"name": "status"},
    {"name": "reset"},
    {"name": "late_commit", "seconds": 800},
    {"name": "slow_commit", "seconds": 800},
    {"name": "cut_body"},
)
PLACE = "/digital-river/fulfillments"
ORDERS = [str(number) for number in range(1001, 1003 + len(FAULTS))]


@pytest.mark.slow
async def test_each_package_is_fulfilled_and_paid_for_once(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """With the right quantities, whatever becomes of a call and of its answer."""
    clock, key = LeapingClock(), tmp_path / "key"
    key.write_text(TOKEN_DEFAULT)
    river = DigitalRiverSimulator(clock=clock.now, requests_per_second=1000, burst=1000)
    for number in ORDERS:
        river.put_order(sold(number, mug=3, pot=1))
    river.faults.add([{"match": PLACE, "method": "POST", **fault} for fault in FAULTS])
    async with river.serve() as url:
        entry = target(
            "river", system="digital_river", secret=f"file:{key}", base_url=url, timeout_seconds=2
        )
        async with writing_back(topics, back(to="river"), targets=[entry], clock=clock):
            await emit(topics, *(left(number, "a", mug=2) for number in ORDERS))
            await emit(topics, *(left(number, "b", mug=1, pot=1) for number in ORDERS))
            await until(lambda: all_known(topics, 2 * len(ORDERS)))
            await leap_until_done(topics, clock)
    found = await written_back(topics)

    assert sum(river.faults.struck.values()) == len(FAULTS)
    assert [one.state for one in found.values()] == ["done"] * 2 * len(ORDERS)
    assert paid_for(river.written()) == {
        **{f"1Z-{number}-a": {f"{number}-mug": 2} for number in ORDERS},
        **{f"1Z-{number}-b": {f"{number}-mug": 1, f"{number}-pot": 1} for number in ORDERS},
    }


async def all_known(kafka: KafkaSettings, count: int) -> bool:
    """Whether all were taken in."""
    return len(await written_back(kafka)) == count
