"""What is written back, on a real Kafka: once, in order, and in nobody's way."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from bus.clock import SystemClock
from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.dead_letter import DeadLetter
from schemas.topics import DEAD_LETTERS, WRITE_BACKS
from services.notifier.app import Notifier
from services.notifier.subscriptions import SubscriptionStore
from services.notifier.target import Unread
from services.notifier.write_backs.work import ORDERS_MAX
from tests.broker.leaping import A_MOMENT, LeapingClock
from tests.broker.reading import records, until
from tests.broker.shop import Shop
from tests.broker.writing_back import (
    back,
    become,
    emit,
    left,
    owning,
    partition_for,
    put,
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
    return told(service)["states"]


def partitions(service: Notifier) -> list[int]:
    """Those of write-backs that a copy owns."""
    return list(told(service)["partitions"])


def told(service: Notifier) -> dict[str, Any]:
    """What a copy says of its write-backs."""
    found = service.health()["write_backs"]
    assert isinstance(found, dict)
    return found


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


async def test_what_is_held_is_decided_anew_once_it_is_wanted_again(topics: KafkaSettings) -> None:
    """Held with what to do, and in nobody's way; what is done is not done again for the asking."""
    shop = Shop(SystemClock())
    shop.sell("1001", pot=1)
    unknown, fine = left("1001", "a", mug=1), left("1001", "b", pot=1)
    number = partition_for(topics, wanted_of(unknown))
    async with owning(topics, number, shop) as owner:
        await want(topics, wanted_of(unknown), wanted_of(fine))
        await take_in(topics, owner, number)
        await become(topics, {unknown.id: "held", fine.id: "done"})
        before = await written_back(topics)
        shop.sell("1001", mug=1)
        await want(topics, wanted_of(unknown), wanted_of(fine))
        await take_in(topics, owner, number)
        await become(topics, {unknown.id: "done", fine.id: "done"})

    assert "mug" in (before[unknown.id].reason or "")
    assert shop.pieces("1001") == {"mug": 1, "pot": 1}
    assert await still_wanted(topics) == []
    after = await written_back(topics)
    assert after[fine.id] == before[fine.id]
    assert after[unknown.id].place == before[unknown.id].place


async def test_a_subscription_that_is_disabled_waits_and_says_so(topics: KafkaSettings) -> None:
    """Of the same order another subscription's goes on; enabled again, it is written back."""
    shop, clock = Shop(SystemClock()), SystemClock()
    shop.sell("1001", mug=2)
    stopped, other = left("1001", "a", mug=1), left("1001", "b", mug=1)
    store = SubscriptionStore(topics, clock)
    entries = [back(), back("other")]
    await store.sync(entries)
    off, on = ({"disabled_reason": why} for why in ("by hand", None))
    await store.update("back", lambda found: found.model_copy(update=off))
    number = partition_for(topics, wanted_of(stopped))
    async with owning(topics, number, shop, entries=entries) as owner:
        await want(topics, wanted_of(stopped), wanted_of(other, subscription="other"))
        await take_in(topics, owner, number)
        await become(
            topics, {stopped.id: "waiting", other.id: "done"}, reason="by hand): enable it"
        )
        assert len(shop.calls) == 1
        await store.update("back", lambda found: found.model_copy(update=on))
        await become(topics, {stopped.id: "done", other.id: "done"})

    assert shop.pieces("1001") == {"mug": 2}


async def test_a_dead_target_holds_up_neither_events_nor_other_targets(
    topics: KafkaSettings,
) -> None:
    """However many orders wait for it; and the copy stops in time although it hangs."""
    dead, well = Shop(SystemClock()), Shop(SystemClock())
    dead.dead = True
    orders = [str(number) for number in range(300)]
    for order in orders:
        dead.sell(order, mug=1)
        well.sell(order, mug=1)
    entries = [back("one", "dead"), back("two", "well")]
    async with writing_back(topics, *entries, shops={"dead": dead, "well": well}) as service:
        await emit(topics, *(left(order, mug=1) for order in orders))
        expected = {"dead": {"waiting": 300}, "well": {"done": 300}}
        await until(lambda: counts(service) == expected)
        assert service.health()["ok"] is True

    assert (len(well.calls), dead.calls) == (300, [])
    assert len(dead.reads) <= 6 * ORDERS_MAX


async def test_copies_share_the_partitions_and_one_goes_on_for_the_other(
    topics: KafkaSettings,
) -> None:
    """Each package once, whichever copy has its order."""
    shop = Shop(SystemClock())
    orders = [str(number) for number in range(40)]
    for order in orders:
        shop.sell(order, mug=2)
    async with writing_back(topics, back(), shops={"shop": shop}) as staying:
        async with writing_back(topics, back(), shops={"shop": shop}) as leaving:
            await until(lambda: len(partitions(staying)) == len(partitions(leaving)) == 3)
            await emit(topics, *(left(order, "a", mug=1) for order in orders))
            await until(lambda: len(shop.calls) >= 10)
        await emit(topics, *(left(order, "b", mug=1) for order in orders))
        await until(lambda: counts(staying) == {"shop": {"done": 80}})

    assert len(shop.calls) == 80
    assert all(shop.pieces(order) == {"mug": 2} for order in orders)


async def test_what_is_no_wanted_is_set_aside_with_what_is_wrong(topics: KafkaSettings) -> None:
    """Whole, and gone from the topic; those around it are taken in."""
    shop, event = Shop(SystemClock()), left("1001", mug=1)
    shop.sell("1001", mug=1)
    good = wanted_of(event)
    number, topic = partition_for(topics, good), topics.topic(WRITE_BACKS)
    elsewhere = next(
        one
        for one in (wanted_of(left(str(order), mug=1)) for order in range(2000, 2100))
        if partition_for(topics, one) != number
    )
    bad = [
        Record(topic, number, "shop/1001/evt_1/wanted", b'{"subscription": "back"}'),
        Record(topic, number, "shop/1001/evt_2/wanted", good.to_json()),
        Record(topic, number, elsewhere.key, elsewhere.to_json()),
    ]
    async with owning(topics, number, shop) as owner:
        await put(topics, *bad)
        await want(topics, good)
        await take_in(topics, owner, number)
        await become(topics, {event.id: "done"})
    letters = await records(topics, DEAD_LETTERS)

    assert [(one.key.decode(), one.value) for one in letters] == [
        (one.key, one.value) for one in bad
    ]
    reasons = [DeadLetter.read(dict(one.headers)).reason for one in letters]
    told = ["it is no Wanted: target", f"belongs under the key {good.key}", "belongs to partition"]
    assert all(part in reason for part, reason in zip(told, reasons, strict=True))
    assert await still_wanted(topics) == []
    assert len(await written_back(topics)) == 1


async def test_orders_go_by_a_map_that_may_change(topics: KafkaSettings, tmp_path: Path) -> None:
    """An order it does not name is held; told again once it does, it is written back by its id."""
    shop, path = Shop(SystemClock()), tmp_path / "orders.json"
    shop.sell("ord-7", mug=1)
    shop.sell("ord-8", mug=1)
    path.write_text('{"1001": "ord-7"}')
    events = [left("1001", mug=1), left("1002", mug=1)]
    entry = back(order=f"file:{path}")
    async with writing_back(topics, entry, shops={"shop": shop}) as service:
        await emit(topics, *events)
        await until(lambda: counts(service) == {"shop": {"done": 1, "held": 1}})
        path.write_text('{"1001": "ord-7", "1002": "ord-8"}')
        await emit(topics, *events)
        await until(lambda: counts(service) == {"shop": {"done": 2, "held": 1}})

    assert [shop.pieces(order) for order in ("ord-7", "ord-8")] == [{"mug": 1}, {"mug": 1}]
    assert len(shop.calls) == 2


async def test_an_order_that_cannot_be_read_is_read_later(topics: KafkaSettings) -> None:
    """Whatever the target breaks: words of its own, or an error nobody thought of."""
    clock = LeapingClock()
    shop, event = Shop(clock), left("1001", mug=1)
    shop.sell("1001", mug=1)
    shop.unread.extend([Unread("401", "unauthorized"), KeyError("id")])
    number = partition_for(topics, wanted_of(event))
    async with owning(topics, number, shop, clock=clock) as owner:
        await want(topics, wanted_of(event))
        await take_in(topics, owner, number)
        await become(topics, {event.id: "waiting"}, reason="401")
        assert len(shop.reads) == 1
        clock.leap_to(clock.now() + UNKNOWN_WAIT + A_MOMENT)
        await until(lambda: owner.ledger.counts["shop", "done"] == 1)

    assert (len(shop.reads), len(shop.calls)) == (3, 1)
