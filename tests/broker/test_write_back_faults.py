"""Digital River over real HTTP, its faults of writing, in virtual time: each package once."""

from __future__ import annotations

from collections import Counter
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


def order(number: str, **items: int) -> dict[str, Any]:
    """As the merchant sold it there, found by its number."""
    lines = [{"id": f"{number}-{sku}", "skuId": sku, "quantity": n} for sku, n in items.items()]
    return {"id": f"ord-{number}", "upstreamId": number, "items": lines}


def captured(river: DigitalRiverSimulator) -> dict[str, Counter[str]]:
    """How many of each line were paid for, by the tracking number of each fulfillment.

    Each fulfillment was paid for once.
    """
    written = river.written()
    numbers = {one["id"]: one["trackingNumber"] for one in written["fulfillments"]}
    paid = [numbers[one["fulfillmentId"]] for one in written["captures"]]
    assert sorted(paid) == sorted(numbers.values()), "a capture for each fulfillment"
    assert len(set(paid)) == len(paid), "a fulfillment for each package"
    return {
        numbers[one["fulfillmentId"]]: Counter(
            {item["itemId"]: item["quantity"] for item in one["items"]}
        )
        for one in written["captures"]
    }


@pytest.mark.slow
async def test_each_package_is_fulfilled_and_paid_for_once(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """With the right quantities, whatever becomes of a call and of its answer."""
    clock, key = LeapingClock(), tmp_path / "key"
    key.write_text(TOKEN_DEFAULT)
    river = DigitalRiverSimulator(clock=clock.now, requests_per_second=1000, burst=1000)
    for number in ORDERS:
        river.put_order(order(number, mug=3, pot=1))
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
    assert captured(river) == {
        **{f"1Z-{number}-a": {f"{number}-mug": 2} for number in ORDERS},
        **{f"1Z-{number}-b": {f"{number}-mug": 1, f"{number}-pot": 1} for number in ORDERS},
    }


async def all_known(kafka: KafkaSettings, count: int) -> bool:
    """Whether all were taken in."""
    return len(await written_back(kafka)) == count
