"""What is taken in but not sent: what Kafka cannot take, what nobody asks for that way any more."""

from __future__ import annotations

from bus.clock import SystemClock
from bus.settings import KafkaSettings
from schemas.topics import RECORD_BYTES_MAX, WRITE_BACKS
from services.notifier.subscriptions import SubscriptionStore
from tests.broker.reading import records
from tests.broker.shop import Shop
from tests.broker.writing_back import (
    back,
    become,
    left,
    owning,
    partition_for,
    take_in,
    want,
    wanted_of,
)


async def test_what_is_too_large_to_be_noted_is_held_and_stops_nobody(
    topics: KafkaSettings,
) -> None:
    """The target's products would be the candidates, and are more than a record takes."""
    shop, event = Shop(SystemClock()), left("1001", mug=1)
    shop.sell("1001", **{f"{number}".ljust(RECORD_BYTES_MAX // 8, "x"): 1 for number in range(9)})
    wanted = wanted_of(event)
    other = next(
        one
        for one in (left(str(order), mug=1) for order in range(2000, 2100))
        if partition_for(topics, wanted_of(one)) == partition_for(topics, wanted)
    )
    shop.sell(wanted_of(other).order or "", mug=1)
    number = partition_for(topics, wanted)
    async with owning(topics, number, shop) as owner:
        await want(topics, wanted, wanted_of(other))
        await take_in(topics, owner, number)
        await become(topics, {event.id: "held", other.id: "done"}, reason="too large")

    assert [call.event_id for call in shop.calls] == [other.id]


async def test_an_order_that_is_found_another_way_by_now_is_not_sent(topics: KafkaSettings) -> None:
    """Under its new key it has another owner, who may be calling for it."""
    shop, event = Shop(SystemClock()), left("1001", mug=1)
    shop.sell("1001", mug=1)
    wanted = wanted_of(event, way="order_id")
    number = partition_for(topics, wanted)
    async with owning(topics, number, shop) as owner:
        await want(topics, wanted)
        await take_in(topics, owner, number)
        await become(topics, {event.id: "held"}, reason="by order_id any more")

    assert (shop.reads, shop.calls) == ([], [])


async def test_what_a_changed_subscription_wants_is_not_held_for_its_older_word(
    topics: KafkaSettings,
) -> None:
    """Its owner may not have heard of that: it reads what others wrote before it holds."""
    shop, event = Shop(SystemClock()), left("1001", mug=1)
    shop.sell("1001", mug=1)
    wanted = wanted_of(event)
    number = partition_for(topics, wanted)
    async with owning(topics, number, shop, entries=[back(to="elsewhere")]) as owner:
        await want(topics, wanted)
        found = await records(topics, WRITE_BACKS, number)
        await SubscriptionStore(topics, SystemClock()).sync([back()])
        await owner.handle(found)
        await become(topics, {event.id: "done"})

    assert len(shop.calls) == 1
