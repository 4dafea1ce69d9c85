"""What is written back, on a real Kafka: once, in order, whoever dies where."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from bus.clock import SystemClock
from bus.settings import KafkaSettings
from services.notifier.app import Notifier
from services.notifier.write_backs.owner import Owner
from tests.broker.leaping import A_MOMENT, LeapingClock
from tests.broker.reading import until
from tests.broker.shop import Fault, Shop
from tests.broker.writing_back import (
    back,
    emit,
    left,
    owning,
    partition_for,
    still_wanted,
    take_in,
    want,
    wanted_of,
    writing_back,
    written_back,
)

UNKNOWN_WAIT = timedelta(seconds=900)


def counts(service: Notifier) -> object:
    """WriteBacks by target and state, as the copy tells them."""
    found = service.health()["write_backs"]
    assert isinstance(found, dict)
    return found["states"]


async def test_a_package_that_left_is_fulfilled_once(topics: KafkaSettings) -> None:
    """From its event to one call; what was wanted is gone from the topic, what came of it stays."""
    shop = Shop(SystemClock())
    for order in ("1001", "1002"):
        shop.sell(order, mug=2, pot=1)
    events = [left("1001", mug=2, pot=1), left("1002", mug=1)]
    async with writing_back(topics, back(), shops={"shop": shop}) as service:
        await emit(topics, *events)
        await until(lambda: len(shop.calls) == 2)
        await emit(topics, *events)  # told again, as after a recover
        await until(lambda: counts(service) == {"shop": {"done": 2}})
        await until(lambda: nothing_wanted(topics))
    found = await written_back(topics)

    assert {name: one.state for name, one in found.items()} == {one.id: "done" for one in events}
    assert [shop.pieces(order) for order in ("1001", "1002")] == [{"mug": 2, "pot": 1}, {"mug": 1}]
    [call] = [one for one in shop.calls if one.order_id == "1001"]
    assert (call.tracking_number, call.shipment_id, call.event_id) == (
        "1Z-1001-a",
        "shp-1001-a",
        events[0].id,
    )
    assert len(shop.calls) == 2


async def nothing_wanted(kafka: KafkaSettings) -> bool:
    """Whether all that was wanted is taken in."""
    return not await still_wanted(kafka)


async def test_an_order_is_written_one_call_at_a_time_in_the_order_of_its_events(
    topics: KafkaSettings,
) -> None:
    """Its packages come from fulfillments in other partitions of events; other orders go beside."""
    shop = Shop(SystemClock())
    names = "abcdef"
    for order in ("1001", "1002"):
        shop.sell(order, mug=6)
    async with writing_back(topics, back(), shops={"shop": shop}) as service:
        for name in names:
            await emit(
                topics,
                *(
                    left(order, name, fulfillment=f"{order}-{name}", mug=1)
                    for order in ("1001", "1002")
                ),
            )
        await until(lambda: counts(service) == {"shop": {"done": 12}})

    assert shop.at_once_max == 1
    for order in ("1001", "1002"):
        made = [one.tracking_number for one in shop.fulfilled(order)]
        assert set(made) == {f"1Z-{order}-{name}" for name in names}
        assert shop.pieces(order) == {"mug": 6}


async def test_a_tracking_number_that_changed_follows_its_package(topics: KafkaSettings) -> None:
    """The package is fulfilled first, and then the same fulfillment is updated."""
    shop = Shop(SystemClock())
    shop.sell("1001", mug=1)
    shop.faults.extend(["busy"])
    first = left("1001", mug=1)
    changed = wanted_of(
        first,
        event_id="evt_changed",
        event_type="package.tracking_changed",
        tracking_number="1Z-new",
    )
    number = partition_for(topics, changed)
    async with owning(topics, number, shop) as owner:
        await want(topics, wanted_of(first), changed)
        await take_in(topics, owner, number)
        await until(lambda: owner.ledger.counts["shop", "done"] == 2)

    assert [(one.kind, one.tracking_number) for one in shop.calls] == [
        ("fulfill", "1Z-1001-a"),
        ("fulfill", "1Z-1001-a"),
        ("update", "1Z-new"),
    ]
    [made] = shop.fulfilled("1001")
    assert (made.tracking_number, shop.pieces("1001")) == ("1Z-new", {"mug": 1})


@pytest.mark.parametrize("fault", ["hangs", "answer hangs"])
async def test_whoever_takes_over_while_a_call_is_on_its_way_looks_first(
    topics: KafkaSettings, fault: Fault
) -> None:
    """Carried out or not: fulfilled once; the older owner comes back and writes nothing."""
    clock = LeapingClock()
    shop, event = Shop(clock), left("1001", mug=1)
    shop.sell("1001", mug=1)
    shop.faults.append(fault)
    number, broken = partition_for(topics, wanted_of(event)), asyncio.Event()
    await want(topics, wanted_of(event))
    async with owning(topics, number, shop, clock=clock, broken=lambda _: broken.set()) as older:
        await take_in(topics, older, number)
        await shop.hanging.wait()
        async with owning(topics, number, shop, clock=clock) as newer:
            if fault == "hangs":
                await until(lambda: newer.ledger.counts["shop", "unknown"] == 1)
                await until(lambda: len(shop.reads) >= 2)
                assert len(shop.calls) == 1
                await leap_until_done(clock, newer, shop)
                assert clock.passed > UNKNOWN_WAIT
            else:
                await until(lambda: newer.ledger.counts["shop", "done"] == 1)
                assert clock.passed < UNKNOWN_WAIT
                shop.let_go()
                await broken.wait()
    found = (await written_back(topics))[event.id]

    assert (found.state, found.found) == ("done", fault == "answer hangs")
    assert len(shop.calls) == (2 if fault == "hangs" else 1)
    assert shop.pieces("1001") == {"mug": 1}


async def leap_until_done(clock: LeapingClock, owner: Owner, shop: Shop) -> None:
    """Time stands until the order was read, and then leaps to when it is read again."""

    async def done() -> bool:
        one = next(iter(owner.ledger.all_unfinished()), None)
        if one is not None and one.state == "unknown" and one.due_at > clock.now():
            clock.leap_to(one.due_at + A_MOMENT)
        return one is None

    await until(done)


@pytest.mark.parametrize("fault", ["lost", "answer lost", "lands later"])
async def test_a_call_without_an_answer_is_looked_for_before_it_is_made_again(
    topics: KafkaSettings, fault: Fault
) -> None:
    """What was carried out, at once or within the wait, is found; what was not is sent again."""
    clock = LeapingClock()
    shop, event = Shop(clock, lands_after_seconds=890), left("1001", mug=1)
    shop.sell("1001", mug=1)
    shop.faults.append(fault)
    number = partition_for(topics, wanted_of(event))
    await want(topics, wanted_of(event))
    async with owning(topics, number, shop, clock=clock) as owner:
        await take_in(topics, owner, number)
        await until(lambda: len(shop.calls) == 1)
        await leap_until_done(clock, owner, shop)
    found = (await written_back(topics))[event.id]

    assert (found.state, found.found) == ("done", fault != "lost")
    assert len(shop.calls) == (2 if fault == "lost" else 1)
    assert shop.pieces("1001") == {"mug": 1}
    assert len(shop.reads) < 30  # no busy loop, however long it waits
