"""One fulfillment forgotten beside running services, on a real Kafka."""

from __future__ import annotations

import pytest

from bus import reading
from bus.clock import SystemClock
from bus.errors import Misuse
from bus.settings import Config, KafkaSettings
from console.forgetting import known, let_go
from console.refreshing import read_again
from schemas.fulfillment import Fulfillment
from schemas.topics import CURSORS, EVENTS, FULFILLMENTS
from testbed.simulators.zentail import ZentailSimulator
from tests.broker.normalizing import event_ids, normalizing, produce, raw, settled
from tests.broker.polling import TOKEN, account, polled, table
from tests.broker.reading import records, until
from tests.systems.orders import order, stamp

QUIET = {"poll_interval_seconds": 600, "poll_interval_seconds_max": 600}


async def test_a_forgotten_fulfillment_is_new_at_its_next_sight(topics: KafkaSettings) -> None:
    """The owner goes on beside it, without what it had in memory; its neighbors are known still."""
    orders = range(8)
    key = raw(3)[0]
    async with normalizing(topics):
        await produce(topics, [raw(number) for number in orders])
        await settled(topics)
        before = await known(topics, key)
        await let_go(topics, key)
        after = await known(topics, key)
        await produce(topics, [raw(number, 1) for number in orders])
        await settled(topics)
    events = [one for one in await records(topics, EVENTS) if one.key == key.encode()]
    state = Fulfillment.model_validate_json(
        await reading.value_of(topics, FULFILLMENTS, key) or b""
    )

    assert (before.status, before.revision, before.packages) == ("shipped", 1, 1)
    assert (after.status, after.announced) == ("", ())
    assert len(before.announced) == 1
    assert state.revision == 1
    assert len(event_ids(events, "package.shipped")) == 2
    assert len(event_ids(await records(topics, EVENTS), "package.shipped")) == len(orders) + 1
    changed = event_ids(await records(topics, EVENTS), "package.tracking_changed")
    assert len(changed) == len(orders) - 1


async def test_the_poller_forgets_it_too(topics: KafkaSettings) -> None:
    """So what is read of it next is written, although nothing of it has changed."""
    simulator = ZentailSimulator(token=TOKEN, requests_per_second=1000, burst=1000)
    simulator.put(order(1, at=stamp(ago_seconds=5)))
    key = "zentail/acme/orders/1"
    async with (
        simulator.serve() as url,
        polled(topics, account("zentail", url, **QUIET, start_from=stamp(ago_seconds=60))) as found,
        normalizing(topics),
    ):
        config = Config({"accounts": [table("zentail", url, **QUIET)]})
        await found.once_read(1)
        await settled(topics)
        assert (await read_again(topics, config, key, SystemClock())).came == "unchanged"
        await let_go(topics, key)
        marks = await reading.table(topics, CURSORS)
        assert not [one for one in marks if one.startswith("mark/")]
        assert (await read_again(topics, config, key, SystemClock())).came == "written"

        async def told_again() -> bool:
            return len(event_ids(await records(topics, EVENTS), "package.shipped")) == 2

        await until(told_again)


async def test_what_is_no_key_is_not_forgotten(topics: KafkaSettings) -> None:
    """Nor what belongs to no system: a slip of the finger removes nothing."""
    for key, words in (("zentail/acme/1", "no key"), ("netsuite/acme/orders/1", "no system")):
        with pytest.raises(Misuse, match=words):
            await known(topics, key)
