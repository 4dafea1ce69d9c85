"""Dead letters on a real Kafka: listed, shown, and their records put on raw again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bus.dead_letters import set_aside
from bus.errors import Misuse
from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction, Writer
from console.appending import appending
from console.letters import Filter
from console.redriving import newest, one, redrive
from schemas.dead_letter import DeadLetter, originals
from schemas.topics import DEAD_LETTERS, EVENTS, RAW
from testbed.rows import Row
from testbed.simulators.zentail import ZentailSimulator
from tests.broker.normalizing import event_ids, normalizing, produce, raw, settled
from tests.broker.polling import TOKEN, account, polled
from tests.broker.reading import records, until
from tests.systems.orders import order, stamp

ALL = Filter()


async def test_a_record_goes_its_way_again_and_is_set_aside_again_while_it_fails(
    topics: KafkaSettings,
) -> None:
    """Once its mapper is there it is told once, however often it is put there."""
    orders = range(12)
    async with normalizing(topics, mappers={}):
        await produce(topics, [raw(number) for number in orders])
        await settled(topics)
        first = await redrive(topics, (), Filter(reason="no mapper", source="zentail"))
        await settled(topics)
    letters = await records(topics, DEAD_LETTERS)
    came = {record.partition for record in letters}

    assert [bool(one.to) for one in first] == [True] * len(orders)
    assert len(letters) == 2 * len(orders)
    assert len(came) > 1
    keys = {key: (value, headers) for key, value, headers in map(raw, orders)}
    for record in letters:
        value, headers = keys[record.key.decode()]
        own = [pair for pair in originals(record.headers) if pair[0] != "shipfeed-redrive"]
        assert (record.value, own) == (value, headers)
    for record in await records(topics, RAW):
        assert record.partition == next(x.partition for x in letters if x.key == record.key)

    async with normalizing(topics):
        await redrive(topics, (), ALL)
        await settled(topics)
        told = event_ids(await records(topics, EVENTS))
        await redrive(topics, (), ALL)
        await settled(topics)

    assert len(event_ids(await records(topics, EVENTS), "package.shipped")) == len(orders)
    assert event_ids(await records(topics, EVENTS)) == told
    assert len(await records(topics, DEAD_LETTERS)) == 2 * len(orders)


async def test_what_an_upstream_refused_is_asked_for_again(topics: KafkaSettings) -> None:
    """By the stream that the letter names, whatever is still remembered of the record."""
    key = "zentail/acme/orders/1"
    why = DeadLetter(
        service="poller",
        reason="the upstream answered 404, 8 times in 1.2 h",
        source="zentail",
        account="acme",
        at=datetime.now(UTC),
        stream="orders",
    )
    simulator = ZentailSimulator(token=TOKEN, requests_per_second=1000, burst=1000)
    simulator.put(order(1, at=stamp(ago_seconds=10 * 86_400)))  # which no list shows any more
    async with appending(topics, "test", DEAD_LETTERS) as letters:
        await letters.add(set_aside(topics, why, key, b"gone"))
    async with simulator.serve() as url:
        settings = account("zentail", url, mode="per_order")
        async with polled(topics, settings) as found:
            (came,) = await redrive(topics, (), Filter(reason="404"))

            async def read() -> bool:
                return await found.raw() == {"1": 1}

            await until(read)
    assert (came.key, came.refused) == (key, "")
    assert came.to.endswith("to be asked for again")


async def test_letters_are_found_again_by_their_place(topics: KafkaSettings) -> None:
    """The newest last, no more than asked for; a place without a letter is refused."""
    async with normalizing(topics, mappers={}):
        for number in range(3):
            await produce(topics, [raw(number)])
            await settled(topics)
    rows = await newest(topics, ALL, 2)
    letter = await one(topics, rows[-1].place)

    assert [row.key for row in rows] == [raw(number)[0] for number in (1, 2)]
    assert letter.record.value == raw(2)[1]
    assert await newest(topics, Filter(until=datetime(2020, 1, 1, tzinfo=UTC)), 9) == []
    assert [row.key for row in await newest(topics, Filter(since=rows[-1].at), 9)] == [rows[-1].key]
    for place in (f"{rows[-1].place}9", f"{topics.partitions}/0"):
        with pytest.raises(Misuse, match=f"no dead letter at {place}"):
            await redrive(topics, [place], ALL)


async def test_what_the_poller_rejected_is_put_on_raw_with_where_it_came_from(
    topics: KafkaSettings,
) -> None:
    """Then the normalizer says what is wrong with it; without an id there is nothing to put."""
    simulator = ZentailSimulator(token=TOKEN, requests_per_second=1000, burst=1000)
    simulator.put(order(2))
    for key, number in ((3, 1), (4, "")):
        odd = {**order(1), "orderNumber": number, "lastUpdatedTs": "soon"}
        simulator.write(Row(key, datetime.now(UTC), odd))
    async with simulator.serve() as url, polled(topics, account("zentail", url)) as found:
        await found.once_read(1)

        async def both_set_aside() -> bool:
            return len(await records(topics, DEAD_LETTERS)) == 2

        await until(both_set_aside)
        came = {one.key: one for one in await redrive(topics, (), Filter(service="poller"))}
        async with normalizing(topics):
            await settled(topics)
    letters = [row for row in await newest(topics, ALL, 9) if row.service == "normalizer"]

    assert came["zentail/acme/orders/1"].to
    assert "no id" in came["zentail/acme/orders/"].refused
    assert [(row.key, row.path) for row in letters] == [
        ("zentail/acme/orders/1", "$.lastUpdatedTs")
    ]


async def test_foreign_record_is_reported_and_hides_no_letter(
    topics: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """A record that another program wrote among the letters is named, and the others are shown."""
    topic = topics.topic(DEAD_LETTERS)
    why = DeadLetter(at=datetime.now(UTC), service="normalizer", reason="no mapper", origin="raw")
    writer = Writer(topics, f"{topics.prefix}.test")
    await writer.start()
    foreign = Record(topic, 0, "\u00e9", b"\xff", [("trace", b"\xfe")])
    await writer.commit(Transaction([foreign, Record(topic, 0, "k", b"v", why.headers())]))
    await writer.close()

    assert [row.place for row in await newest(topics, ALL, 10)] == ["0/1"]
    assert "dead-letters: the record at 0/0 is left out" in capsys.readouterr().err
    with pytest.raises(Misuse, match="0/0: the record there is no dead letter"):
        await one(topics, "0/0")
    assert [one.place for one in await redrive(topics, (), ALL)] == ["0/1"]
