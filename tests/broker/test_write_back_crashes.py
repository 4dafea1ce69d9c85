"""What is written back once, whoever dies, sleeps or hears no answer."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from bus.clock import SystemClock
from bus.settings import KafkaSettings
from services.notifier.subscriptions import SubscriptionStore
from services.notifier.target import Unread
from services.notifier.write_backs.steps import INTENT_SECONDS_MAX
from tests.broker.leaping import LeapingClock
from tests.broker.reading import until
from tests.broker.shop import Fault, Shop
from tests.broker.writing_back import (
    become,
    leap_until_done,
    left,
    owning,
    partition_for,
    take_in,
    want,
    wanted_of,
    written_back,
)

UNKNOWN_WAIT = timedelta(seconds=900)


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
                await leap_until_done(topics, clock)
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
        await leap_until_done(topics, clock)
    found = (await written_back(topics))[event.id]

    assert (found.state, found.found) == ("done", fault != "lost")
    assert len(shop.calls) == (2 if fault == "lost" else 1)
    assert shop.pieces("1001") == {"mug": 1}
    assert len(shop.reads) < 30  # no busy loop, however long it waits


async def test_who_was_fenced_between_its_read_and_its_intent_makes_no_call(
    topics: KafkaSettings,
) -> None:
    """It still sees an order without the fulfillment; the newer owner has made it meanwhile."""
    shop, event = Shop(SystemClock()), left("1001", mug=1)
    shop.sell("1001", mug=2)
    shop.dead = True
    number, broken = partition_for(topics, wanted_of(event)), asyncio.Event()
    await want(topics, wanted_of(event))
    async with owning(topics, number, shop, broken=lambda _: broken.set()) as older:
        await take_in(topics, older, number)
        await shop.hanging.wait()
        shop.dead = False
        async with owning(topics, number, shop) as newer:
            await until(lambda: newer.ledger.counts["shop", "done"] == 1)
            shop.let_go()
            await broken.wait()

    assert [len(shop.reads), len(shop.calls)] == [2, 1]
    assert shop.pieces("1001") == {"mug": 1}


class Dozing(LeapingClock):
    """On a machine that sleeps for a while whenever somebody asks for the time, while `dozing`."""

    dozing = False

    def now(self) -> datetime:
        if self.dozing:
            self._leapt += timedelta(seconds=INTENT_SECONDS_MAX + 1)
        return super().now()


async def test_who_slept_between_its_intent_and_its_call_does_not_call(
    topics: KafkaSettings,
) -> None:
    """Another could own the order by then; awake again it decides anew, and calls once."""
    clock = Dozing()
    shop, event = Shop(clock), left("1001", mug=1)
    shop.sell("1001", mug=2)
    clock.dozing = True
    number = partition_for(topics, wanted_of(event))
    await want(topics, wanted_of(event))
    async with owning(topics, number, shop, clock=clock) as owner:
        await take_in(topics, owner, number)
        await become(topics, {event.id: "waiting"}, reason="not called")
        assert shop.calls == []
        clock.dozing = False
        await leap_until_done(topics, clock)

    assert (len(shop.calls), shop.pieces("1001")) == (1, {"mug": 1})


async def test_nothing_is_sent_for_a_subscription_that_was_deleted(topics: KafkaSettings) -> None:
    """What waits is held; what is unknown is looked for all the same, and not sent again."""
    clock = LeapingClock()
    shop, store = Shop(clock), SubscriptionStore(topics, clock)
    shop.sell("1001", mug=2)
    shop.faults.append("lost")
    lost, waiting = left("1001", "a", mug=1), left("1001", "b", mug=1)
    number = partition_for(topics, wanted_of(lost))
    async with owning(topics, number, shop, clock=clock) as owner:
        await want(topics, wanted_of(lost))
        await take_in(topics, owner, number)
        await become(topics, {lost.id: "unknown"})
        await want(topics, wanted_of(waiting))
        await take_in(topics, owner, number)
        await store.delete("back", lambda _: None)
        await become(topics, {lost.id: "unknown", waiting.id: "held"})
        await leap_until_done(topics, clock)
        await want(topics, wanted_of(waiting))
        await take_in(topics, owner, number)
        found = await written_back(topics)

    assert [len(shop.calls), shop.fulfilled("1001")] == [1, []]
    for event in (lost, waiting):
        assert found[event.id].state == "held"
        assert "subscription back was deleted" in (found[event.id].reason or "")


async def test_a_call_on_its_way_ends_as_it_ends_though_its_subscription_is_deleted(
    topics: KafkaSettings,
) -> None:
    """What only waits is held meanwhile; nothing is written over what the call came to."""
    kafka = topics.model_copy(update={"partitions": 1})
    shop, store = Shop(SystemClock()), SubscriptionStore(kafka, SystemClock())
    shop.sell("1001", mug=2)
    shop.faults.append("answer hangs")
    called, behind, beside = (left("1001", "a", mug=1), left("1001", "b", mug=1), left("1002"))
    async with owning(kafka, 0, shop) as owner:
        await want(kafka, wanted_of(called), wanted_of(behind))
        await take_in(kafka, owner, 0)
        await shop.hanging.wait()
        shop.unread.append(Unread("401", "unauthorized"))
        await want(kafka, wanted_of(beside))
        await take_in(kafka, owner, 0)
        await become(
            kafka, {called.id: "sending", behind.id: "waiting", beside.id: "waiting"}, reason="401"
        )
        await store.delete("back", lambda _: None)
        await become(
            kafka, {called.id: "sending", behind.id: "waiting", beside.id: "held"}, reason="deleted"
        )
        shop.let_go()
        await become(kafka, {called.id: "done", behind.id: "held", beside.id: "held"})

    assert (len(shop.calls), shop.pieces("1001")) == (1, {"mug": 1})
