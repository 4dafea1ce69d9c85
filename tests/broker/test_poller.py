"""The poller on a real Kafka: what it writes stays whole when its slots change hands."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bus.admin import ensure_topics
from bus.clock import SystemClock
from bus.errors import Stop
from bus.settings import KafkaSettings, checked
from bus.table import read_to_end
from bus.transaction import Record, Transaction, Writer
from schemas.cursor import Cursor, cursor_key
from schemas.keys import slot_of
from schemas.topics import CURSORS, EVENTS, RAW
from services.poller.app import Poller
from services.poller.settings import PollerSettings
from services.poller.source import AccountSettings
from services.poller.sources import sources
from testbed.simulators.zentail import ZentailSimulator
from tests.systems.bench import nobody_listens
from tests.systems.orders import order

TOKEN = "t0ken"
ORDERS = 1500
NAMES = ("acme", "globex")
os.environ["BROKER_TEST_TOKEN"] = TOKEN


def simulator() -> ZentailSimulator:
    """Orders of two months ago, 5 of one instant each, so that page borders cut through ties."""
    first = datetime(2026, 1, 5, tzinfo=UTC)
    orders = [
        order(number, at=(first + timedelta(minutes=number // 5)).isoformat())
        for number in range(ORDERS)
    ]
    return ZentailSimulator(orders=orders, token=TOKEN, requests_per_second=1000, burst=1000)


def account(base_url: str, name: str) -> AccountSettings:
    table: dict[str, Any] = {
        "source": "zentail",
        "name": name,
        "base_url": base_url,
        "token": "env:BROKER_TEST_TOKEN",
        "start_from": "2026-01-01T00:00:00Z",
        "poll_interval_seconds": 0.5,
    }
    return checked(sources()["zentail"].settings, table, "[[accounts]]")


class Copies:
    """Pollers of one group, in this process, each as its own process would build it."""

    def __init__(self, kafka: KafkaSettings, base_url: str) -> None:
        self.kafka = kafka
        self._accounts = [account(base_url, name) for name in NAMES]
        self._running: list[Poller] = []
        self.fatal: list[BaseException] = []

    async def start(self, **more: bool) -> Poller:
        """One more copy."""
        poller = Poller(
            self.kafka, PollerSettings(), self._accounts, SystemClock(), self.fatal.append, **more
        )
        await poller.start()
        self._running.append(poller)
        return poller

    async def stop(self, poller: Poller) -> None:
        """One copy less."""
        self._running.remove(poller)
        await poller.stop()

    async def stop_all(self) -> None:
        """The end."""
        for poller in list(self._running):
            await self.stop(poller)

    async def raw(self) -> Counter[str]:
        """How often each key stands on raw."""
        keys: Counter[str] = Counter()
        for partition in range(self.kafka.partitions):
            await read_to_end(
                self.kafka, self.kafka.topic(RAW), partition, lambda key, _: keys.update([key])
            )
        return keys

    async def cursor(self, name: str, stream: str) -> Cursor | None:
        """A stream's cursor, as a new owner would read it."""
        found: dict[str, bytes | None] = {}
        slot = slot_of("zentail", name, self.kafka.slots)
        await read_to_end(self.kafka, self.kafka.topic(CURSORS), slot, found.__setitem__)
        value = found.get(cursor_key("zentail", name, stream))
        return None if value is None else Cursor.model_validate_json(value)

    async def finished(self) -> bool:
        """Whether every account's history is read."""
        cursors = [await self.cursor(name, "backfill") for name in NAMES]
        return all(cursor is not None and cursor.done for cursor in cursors)


@pytest.fixture
def settings(kafka: str, prefix: str) -> KafkaSettings:
    """A small cluster layout with quick timers."""
    return KafkaSettings(
        bootstrap_servers=kafka,
        prefix=prefix,
        partitions=3,
        slots=4,
        session_timeout_ms=1500,
        transaction_timeout_ms=3000,
    )


async def until(true: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for an awaited condition, within a minute and a half."""
    try:
        async with asyncio.timeout(90):
            while not await true():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"never: {what}") from None


def assert_each_order_once(keys: Counter[str]) -> None:
    wanted = {f"zentail/{name}/orders/{number}" for name in NAMES for number in range(ORDERS)}
    assert wanted - set(keys) == set(), "lost"
    assert {key: count for key, count in keys.items() if count > 1} == {}, "doubled"


async def test_a_writer_lost_in_mid_sweep_loses_and_doubles_nothing(
    settings: KafkaSettings,
) -> None:
    """A fenced slot is rebuilt from Kafka and goes on in the middle of its sweep."""
    async with simulator().serve() as url:
        copies = Copies(settings, url)
        await copies.start()
        rebuilt = 0
        try:
            for fencing in range(1, 5):
                goal = fencing * 500

                async def enough(goal: int = goal) -> bool:
                    return (await copies.raw()).total() >= goal

                await until(enough, "pages on raw")
                for slot in {slot_of("zentail", name, settings.slots) for name in NAMES}:
                    intruder = Writer(settings, f"{settings.prefix}.poll.{slot}")
                    await intruder.start()
                    await intruder.close()
                    rebuilt += 1
            await until(copies.finished, "history read")
        finally:
            await copies.stop_all()
        assert_each_order_once(await copies.raw())
        assert rebuilt >= 4
        assert copies.fatal == []


async def test_slots_that_move_between_copies_lose_and_double_nothing(
    settings: KafkaSettings,
) -> None:
    """A second copy comes, the first leaves in mid-sweep, the second has it all."""
    async with simulator().serve() as url:
        copies = Copies(settings, url)
        first = await copies.start()
        try:

            async def begun() -> bool:
                return (await copies.raw()).total() >= 300

            await until(begun, "pages on raw")
            second = await copies.start()

            async def shared() -> bool:
                return bool(second.health()["ready"]) and bool(second.health()["partitions"])

            await until(shared, "the second copy owns slots")
            await copies.stop(first)
            await until(copies.finished, "history read")
            slots = list(range(settings.slots))

            async def all_slots() -> bool:
                return second.health()["partitions"] == slots

            await until(all_slots, "the second has all slots")
        finally:
            await copies.stop_all()
        assert_each_order_once(await copies.raw())
        assert copies.fatal == []


async def test_without_accounts_it_idles_healthy_and_says_what_to_add(
    settings: KafkaSettings,
) -> None:
    """Nothing to do is no illness."""
    poller = Poller(settings, PollerSettings(), [], SystemClock(), lambda _: None)
    await poller.start()
    try:

        async def ready() -> bool:
            return bool(poller.health()["ready"]) and len(poller.health()["partitions"]) == 4  # type: ignore[arg-type]

        await until(ready, "every slot owned")
        health = poller.health()
        assert health["ok"]
        assert "[[accounts]]" in str(health["advice"])
    finally:
        await poller.stop()


async def test_an_account_stays_connected_when_it_was_though_nothing_was_read_since(
    settings: KafkaSettings,
) -> None:
    """The upstream is away at the first start; a restart must not move where the head begins."""
    connected: list[list[datetime | None]] = []
    with nobody_listens() as url:
        copies = Copies(settings, url)
        try:
            for _ in range(2):
                poller = await copies.start()

                async def owned(poller: Poller = poller) -> bool:
                    return poller.health()["partitions"] == list(range(settings.slots))

                await until(owned, "every slot owned")
                await copies.stop(poller)
                cursors = [await copies.cursor(n, s) for n in NAMES for s in ("head", "settle")]
                connected.append([cursor.connected_at if cursor else None for cursor in cursors])
        finally:
            await copies.stop_all()

    assert None not in connected[0]
    assert connected[0] == connected[1]
    assert copies.fatal == []


async def test_lost_cursors_beside_events_stop_the_start_until_it_is_accepted(
    settings: KafkaSettings,
) -> None:
    """The line names the topic and the flag; once cursors are there the flag is not needed."""
    await ensure_topics(settings, SystemClock())
    writer = Writer(settings, f"{settings.prefix}.test")
    await writer.start()
    await writer.commit(Transaction([Record(settings.topic(EVENTS), 1, "k", b"{}")]))
    await writer.close()
    copies = Copies(settings, "http://127.0.0.1:1")

    with pytest.raises(Stop, match=r"cursors is empty .* --accept-new-baseline"):
        await copies.start()
    for accepted in (True, False):
        poller = await copies.start(accept_new_baseline=accepted)

        async def owned(poller: Poller = poller) -> bool:
            return poller.health()["partitions"] == list(range(settings.slots))

        await until(owned, "every slot owned")
        await copies.stop(poller)
    assert copies.fatal == []
