"""The life of one subscription while copies come and go: every matching event, none twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bus.admin import ensure_topics
from bus.clock import SystemClock
from bus.settings import KafkaSettings
from schemas.topics import DEAD_LETTERS, EVENTS
from testbed.receiver import Receiver
from tests.broker.notifying import SECRET, attempts, emit, unfinished
from tests.broker.reading import records, until
from tests.e2e.copies import NOTIFIER_CONFIG, Copy, copies, nothing_pending, surroundings

ORDERS = 200
MATCHING = [order for order in range(ORDERS) if str(order).startswith("1")]
FILTERS = [{"prefix": {"subject": "pkg_1"}}, {"exact": {"data.fulfillment.account": "acme"}}]
WAIT_SECONDS_MAX = 120.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


async def test_every_matching_event_comes_and_none_twice_but_by_recover(
    kafka: str, prefix: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Created, disabled for a while, enabled, rewound; copies are killed, told to end, added."""
    settings = KafkaSettings(bootstrap_servers=kafka, prefix=prefix)
    await ensure_topics(settings, SystemClock())
    (tmp_path / "shipfeed.toml").write_text(NOTIFIER_CONFIG, encoding="utf-8")
    receiver = Receiver(SECRET)
    await emit(settings, range(ORDERS), 1)
    around = surroundings(kafka, prefix)
    async with receiver.serve() as url, copies("notifier", 3, tmp_path, around, started=2) as three:
        first, second, third = three
        name = await created(first, f"{url}/hooks")
        await first.kill()
        await emit(settings, range(ORDERS), 2)
        await until(lambda: came(receiver, 2), WAIT_SECONDS_MAX)

        await first.start()
        await asked(second, f"/subscriptions/{name}/disable", {"reason": "for a while"})
        await until(lambda: held_by(name, first, second), WAIT_SECONDS_MAX)
        await emit(settings, range(ORDERS), 3)
        await third.start()
        await until(lambda: held_by(name, third), WAIT_SECONDS_MAX)
        assert await second.stop() == 0
        await until(first.ready, WAIT_SECONDS_MAX)
        assert revisions(receiver) == {1, 2}

        await asked(third, f"/subscriptions/{name}/enable", {})
        await first.kill()
        await until(lambda: came(receiver, 3), WAIT_SECONDS_MAX)
        await until(lambda: nothing_pending([third]), WAIT_SECONDS_MAX)
        assert await deliveries(settings) == {1: 3 * len(MATCHING)}

        wish = {"from_offsets": {str(n): 0 for n in range(settings.partition_count(EVENTS))}}
        counted = await asked(third, f"/subscriptions/{name}/recover", {**wish, "dry_run": True})
        again = (counted["matching"], counted["again"], counted["at_least"])
        assert again == (3 * len(MATCHING), 3 * len(MATCHING), False)
        command = (await asked(third, f"/subscriptions/{name}/recover", wish))["command"]
        await second.start()
        await third.kill()
        done = f"/subscriptions/{name}/commands/{command}"
        await until(lambda: carried_out(second, done), WAIT_SECONDS_MAX)
        await until(lambda: nothing_pending([second]), WAIT_SECONDS_MAX)
        assert await second.stop() == 0

    assert await deliveries(settings) == {2: 3 * len(MATCHING)}
    assert await unfinished(settings) == set()
    assert await records(settings, DEAD_LETTERS) == []
    assert came(receiver, 3)
    assert {one["event"]["subject"].split("_")[1] for one in receiver.records} == set(
        map(str, MATCHING)
    )
    sent = len(receiver.records) - 6 * len(MATCHING)  # what a copy that went had in flight
    record_property("figures", ["life of a subscription", "sent again", "kills", f"{sent}"])


async def created(copy: Copy, url: str) -> str:
    """The id of a new one from the very first event on, with filters."""
    channel = {"type": "webhook", "url": url, "secret": SECRET}
    wish = {"types": ["package.*"], "filters": FILTERS, "channel": channel}
    made = await asked(copy, "/subscriptions", {**wish, "start_from": "earliest"})
    return str(made["id"])


async def asked(copy: Copy, path: str, wish: dict[str, Any]) -> Any:
    """The answer to a POST below /v1, which has to be a success."""
    async with httpx2.AsyncClient(trust_env=False, timeout=WAIT_SECONDS_MAX) as client:
        found = await client.post(f"{await copy.url()}/v1{path}", json=wish)
    assert found.is_success, found.text
    return found.json()


async def carried_out(copy: Copy, path: str) -> bool:
    """Whether every partition has, and every position stands at the end again.

    A command that is forgotten was carried out everywhere.
    """
    async with httpx2.AsyncClient(trust_env=False, timeout=WAIT_SECONDS_MAX) as client:
        found = await client.get(f"{await copy.url()}/v1{path}")
    view = found.json()
    return found.status_code == 200 and (view["waiting"], view["behind"]) == ([], 0)


async def held_by(name: str, *copies: Copy) -> bool:
    """Whether all of them hold the subscription's events."""
    found = [await one.health() for one in copies]
    return all(name in one.get("held", {}) for one in found)


def came(receiver: Receiver, revision: int) -> bool:
    """Whether every matching order's events up to this revision were accepted."""
    found = {one["event"]["subject"] for one in receiver.records if one["status"] == 200}
    due = {f"pkg_{order}_{n}" for order in MATCHING for n in range(1, revision + 1)}
    return found >= due


def revisions(receiver: Receiver) -> set[int]:
    """Of which there are events so far."""
    return {int(one["event"]["subject"].split("_")[2]) for one in receiver.records}


async def deliveries(settings: KafkaSettings) -> dict[int, int]:
    """How many events were delivered once, twice, ...: by what was committed."""
    tries = [one for one in await attempts(settings) if one.outcome == "delivered"]
    return dict(Counter(Counter(one.event_id for one in tries).values()))
