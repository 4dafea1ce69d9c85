"""Pause, resume, rewind and refresh beside a running poller, on a real Kafka."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import pytest

from bus import reading
from bus.clock import SystemClock
from bus.errors import Misuse
from bus.settings import Config, KafkaSettings
from console.refreshing import read_again
from schemas.message import iso
from schemas.topics import FULFILLMENTS
from services.poller.operating import change
from services.poller.refreshing import NOT_COMPARED, Refreshed, Wanted, refresh
from services.poller.settings import PollerSettings
from services.poller.sources import sources
from services.poller.steering import chosen, halted, rewound
from testbed.simulators.digital_river import DigitalRiverSimulator
from testbed.simulators.panora import PanoraSimulator
from testbed.simulators.shoplazza import ShoplazzaSimulator
from testbed.simulators.tradecloud import TradecloudSimulator
from testbed.simulators.zentail import ZentailSimulator
from tests.broker.normalizing import normalizing
from tests.broker.polling import TOKEN, Polled, account, polled, table
from tests.broker.reading import until
from tests.systems import panora_records, river_records, shop_records, tradecloud_records
from tests.systems.orders import order, stamp

HISTORY = {"start_from": "2026-01-01T00:00:00Z"}


def zentail(*numbers: int) -> ZentailSimulator:
    """Orders of a few seconds ago, on a server that never throttles."""
    orders = [order(number, at=stamp(ago_seconds=5)) for number in numbers]
    return ZentailSimulator(orders=orders, token=TOKEN, requests_per_second=1000, burst=1000)


async def steer(found: Polled, stream: str | None, become: Any) -> None:
    """What the command does, from the cursors on the topic."""
    named = chosen((await found.cursors()).values(), "acme", stream)
    await change(found.kafka, named, become)


async def again(found: Polled, upstream_id: str, resource: str) -> Refreshed:
    """What `packages refresh` does."""
    (cursor, *_) = (await found.cursors()).values()
    wanted = Wanted(found.settings, cursor, resource, upstream_id)
    return await refresh(found.kafka, PollerSettings(), wanted, SystemClock())


async def test_a_paused_account_asks_nothing_until_it_is_resumed(settings: KafkaSettings) -> None:
    """The owner was fenced; it takes its slot over again and finds the order there."""
    simulator = zentail(1)
    async with simulator.serve() as url, polled(settings, account("zentail", url)) as found:
        await found.once_read(1)
        await steer(found, None, partial(halted, paused=True))
        await until(lambda: found.state("head") == found.state("settle") == "paused")
        asked = len(simulator.requests)
        simulator.put(order(2))
        await asyncio.sleep(1)
        assert len(simulator.requests) == asked
        assert (await found.cursors())["head"].paused
        await steer(found, None, partial(halted, paused=False))
        await found.once_read(2)

        assert await found.raw() == {"1": 1, "2": 1}


async def test_one_paused_stream_leaves_the_others_running(settings: KafkaSettings) -> None:
    """And its cursor stands where it stood."""
    simulator = zentail(1)
    async with simulator.serve() as url, polled(settings, account("zentail", url)) as found:
        await found.once_read(1)
        await steer(found, "settle", partial(halted, paused=True))
        await until(lambda: found.state("settle") == "paused")
        simulator.put(order(2))
        await found.once_read(2)

        assert found.state("head") == "running"


async def test_a_rewound_stream_reads_again_and_repeats_nothing(settings: KafkaSettings) -> None:
    """The poller asks from the new place by itself; seen marks keep what is unchanged silent."""
    simulator = zentail(1, 2, 3)
    async with (
        simulator.serve() as url,
        polled(settings, account("zentail", url, **HISTORY)) as found,
    ):
        await found.once_read(3)
        to = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
        (facts,) = (
            one.facts
            for one in sources()["zentail"].streams(found.settings)
            if one.facts.name == "head"
        )
        become = partial(rewound, facts=facts, settings=found.settings, to=to)
        await steer(found, "head", become)
        since = iso(to - timedelta(seconds=60)).replace("Z", ".000Z")

        def asked_from_there() -> bool:
            asked = [one["query"].get("lastUpdatedTs") for one in list(simulator.requests)]
            return since in asked

        await until(asked_from_there)

        async def read_up_to_now() -> bool:
            head = (await found.cursors())["head"]
            return head.proven_until is not None and head.proven_until > to + timedelta(days=1)

        await until(read_up_to_now)
        assert await found.raw() == {"1": 1, "2": 1, "3": 1}


async def test_an_order_of_an_account_elsewhere_is_refused_by_its_slot(
    settings: KafkaSettings,
) -> None:
    """Where the pollers have other slots than the operator's configuration says."""
    simulator = zentail(1)
    async with simulator.serve() as url, polled(settings, account("zentail", url)) as found:
        await found.once_read(1)
        named = chosen((await found.cursors()).values(), "acme", "head")
        wrong = settings.model_copy(update={"slots": 1})
        with pytest.raises(Misuse, match=r"\[kafka\] slots"):
            await change(wrong, named, partial(halted, paused=True))


def river() -> DigitalRiverSimulator:
    return DigitalRiverSimulator(token=TOKEN, requests_per_second=1000, burst=1000)


def panora() -> PanoraSimulator:
    return panora_records.unthrottled(api_key=TOKEN, connection_token=TOKEN)


def tradecloud() -> TradecloudSimulator:
    return TradecloudSimulator(username="me", password=TOKEN, requests_per_second=1000, burst=1000)


RECENT = stamp(ago_seconds=3600)
SHIPMENT = tradecloud_records.shipment(1, at=RECENT)


class Case(NamedTuple):
    """A record, the same corrected without a word of it in any list, and an id that is not there.

    `where` is what the simulator's `put` takes before a record, `head` the stream that lists it.
    """

    simulator: Callable[[], Any]
    resource: str
    before: dict[str, Any]
    corrected: dict[str, Any]
    absent: str
    keys: Mapping[str, Any] = {}
    where: Sequence[str] = ()
    head: str = "head"


SYSTEMS = {
    "zentail": Case(zentail, "orders", order(1, at=RECENT), {"note": "corrected"}, "99"),
    "digital_river": Case(
        river,
        "fulfillments",
        river_records.fulfillment(1, tracking="T1"),
        {"trackingNumber": "corrected"},
        "ful_99",
    ),
    "panora": Case(
        panora,
        "fulfillments",
        panora_records.fulfillment(1),
        {"tracking_numbers": ["corrected"]},
        panora_records.uuid(99),
    ),
    "tradecloud": Case(
        tradecloud,
        "shipments",
        SHIPMENT,
        {"identifiers": {"trackingNumber": "corrected"}},
        "supplier-SN0099",
        {"username": "me", "role": "buyer", "streams": ["shipments"]},
        ("shipments",),
        "shipments",
    ),
}


@pytest.mark.parametrize("source", SYSTEMS)
async def test_one_record_is_read_again_out_of_turn(source: str, settings: KafkaSettings) -> None:
    """Unchanged it stays silent; changed it is on raw at once, and only once; absent it is said."""
    case = SYSTEMS[source]
    simulator = case.simulator()
    simulator.put(*case.where, case.before)
    upstream_id = str(case.before.get("id") or case.before["orderNumber"])
    quiet = {"poll_interval_seconds": 600, "poll_interval_seconds_max": 600, **HISTORY}
    keys = {name: value for name, value in quiet.items() if sources()[source].settings.takes(name)}
    keys |= case.keys
    async with simulator.serve() as url, polled(settings, account(source, url, **keys)) as found:
        await found.once_read(1, case.head)
        await found.idle()
        cursors = await found.cursors()
        came = [await again(found, upstream_id, case.resource)]
        simulator.put(*case.where, {**case.before, **case.corrected})
        came += [await again(found, upstream_id, case.resource) for _ in range(2)]
        came.append(await again(found, case.absent, case.resource))

        assert [one.came for one in came] == ["unchanged", "written", "unchanged", "not there"]
        assert await found.raw() == Counter({upstream_id: 2})
        assert await found.cursors() == cursors


async def test_what_is_too_old_to_be_remembered_is_written_without_comparing(
    settings: KafkaSettings,
) -> None:
    """The normalizer, which forgets nothing, is the one that stays silent then."""
    simulator = zentail()
    simulator.put(order(1, at="2026-02-01T00:00:00.000Z"))
    quiet = {**HISTORY, "poll_interval_seconds": 600, "poll_interval_seconds_max": 600}
    async with (
        simulator.serve() as url,
        polled(settings, account("zentail", url, **quiet)) as found,
    ):
        await found.once_read(1)
        await found.idle()
        came = await again(found, "1", "orders")

        assert (came.came, came.detail) == ("written", NOT_COMPARED)
        assert await found.raw() == {"1": 2}


async def test_a_record_of_an_order_is_read_with_all_of_its_order(
    settings: KafkaSettings,
) -> None:
    """Which order that is stands in the stored state; without it nobody knows what to ask for."""
    simulator = ShoplazzaSimulator(token=TOKEN, requests_per_second=1000, burst=1000)
    one, other = (shop_records.fulfillment(number) for number in (1, 2))
    simulator.put(shop_records.order_id(1), one, other)
    quiet = {"poll_interval_seconds": 600, "poll_interval_seconds_max": 600, "shop": "acme"}
    key = "shoplazza/acme/fulfillments/ful-{}"
    async with (
        simulator.serve() as url,
        polled(settings, account("shoplazza", url, **quiet)) as found,
        normalizing(settings),
    ):
        config = Config({"accounts": [table("shoplazza", url, **quiet)]})

        async def came(number: int) -> Refreshed:
            return await read_again(settings, config, key.format(number), SystemClock())

        async def normalized() -> bool:
            return len(await reading.table(settings, FULFILLMENTS)) == 2

        await until(normalized)
        assert await came(1) == Refreshed("unchanged")
        changed = [{**body, "tracking_number": "corrected"} for body in (one, other)]
        simulator.put(shop_records.order_id(1), *changed)
        assert await came(1) == Refreshed("written", others=1)
        assert await came(2) == Refreshed("unchanged")
        with pytest.raises(Misuse, match="ful-9: not known; it is read by its order"):
            await came(9)

        assert await found.raw() == {"ful-1": 2, "ful-2": 2}


async def test_a_poller_goes_on_after_a_refresh_and_repeats_nothing(
    settings: KafkaSettings,
) -> None:
    """It finds the mark that was written beside it."""
    simulator = zentail(1)
    async with simulator.serve() as url, polled(settings, account("zentail", url)) as found:
        await found.once_read(1)
        await steer(found, None, partial(halted, paused=True))
        await until(lambda: found.state("head") == "paused")
        simulator.put(order(1, at=stamp(), note="corrected"))
        assert (await again(found, "1", "orders")).came == "written"
        await steer(found, None, partial(halted, paused=False))
        simulator.put(order(2))
        await found.once_read(3)

        assert await found.raw() == {"1": 2, "2": 1}


async def test_a_refresh_that_the_upstream_refuses_writes_nothing(settings: KafkaSettings) -> None:
    """It says what was answered."""
    simulator = zentail(1)
    async with simulator.serve() as url, polled(settings, account("zentail", url)) as found:
        await found.once_read(1)
        simulator.faults.add({"name": "status", "status": 503, "match": "/zentail/v1/salesOrder/1"})
        came = await again(found, "1", "orders")

        assert (came.came, came.detail) == ("failed", "the upstream answered 503")
        assert await found.raw() == {"1": 1}
