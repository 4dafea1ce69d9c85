"""What a transaction promises on a real broker, each fact of the client library included."""

from __future__ import annotations

import asyncio
import gc

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError

from bus.committer import Committer
from bus.errors import Fenced, RetryLater, SetAside, TransactionLost
from bus.settings import KafkaSettings
from bus.table import PROGRESS_RECORDS, Table, high_watermark
from bus.transaction import Record, Transaction, Writer
from schemas.topics import CURSORS, EVENTS, RAW, RECORD_BYTES_MAX
from tests.broker.reading import records


def raw(kafka: KafkaSettings, *values: bytes | None, partition: int = 0) -> list[Record]:
    """Records for the raw topic, keyed by their place in the list."""
    topic = kafka.topic(RAW)
    return [Record(topic, partition, str(n), value) for n, value in enumerate(values)]


async def values(kafka: KafkaSettings, partition: int = 0) -> list[bytes | None]:
    """What a read_committed reader finds on the raw topic."""
    return [record.value for record in await records(kafka, RAW, partition)]


async def crash(producer: AIOKafkaProducer) -> None:
    """Cut a producer off without ending its transaction, as a killed process would."""
    sending = producer._sender.sender_task
    sending.cancel()
    await asyncio.wait({sending})
    await producer.client.close()
    producer._closed = True


async def test_records_of_several_topics_appear_together_in_order(topics: KafkaSettings) -> None:
    """A page's records and the cursor that follows them are one transaction."""
    writer = Writer(topics, f"{topics.prefix}.w")
    await writer.start()
    cursor = Record(topics.topic(CURSORS), 3, "cursor", b"5")

    await writer.commit(Transaction([*raw(topics, b"a", b"b", b"c"), cursor]))

    assert [b"a", b"b", b"c"] == await values(topics)
    assert [b"5"] == [record.value for record in await records(topics, CURSORS, 3)]
    await writer.close()


async def test_more_than_one_batch_keeps_its_order(topics: KafkaSettings) -> None:
    """A transaction larger than the client's batch is sent whole and in order."""
    writer = Writer(topics, f"{topics.prefix}.w")
    await writer.start()
    large = [bytes([n]) * 400_000 for n in range(8)]

    await writer.commit(Transaction(raw(topics, *large)))

    assert large == await values(topics)
    await writer.close()


async def test_a_record_just_within_the_limit_is_written(topics: KafkaSettings) -> None:
    """The estimate of a record's size is on the safe side of the broker's own limit."""
    writer = Writer(topics, f"{topics.prefix}.w")
    await writer.start()
    value = b"x" * (RECORD_BYTES_MAX - 1024)

    await writer.commit(Transaction(raw(topics, value)))

    assert [len(value)] == [len(found or b"") for found in await values(topics)]
    await writer.close()


async def test_a_record_over_the_limit_is_refused_before_anything_is_sent(
    topics: KafkaSettings,
) -> None:
    """The writer lives on, and nothing of the transaction is visible."""
    writer = Writer(topics, f"{topics.prefix}.w")
    await writer.start()

    with pytest.raises(SetAside, match="the topic takes"):
        await writer.commit(Transaction(raw(topics, b"good", b"x" * RECORD_BYTES_MAX)))
    await writer.commit(Transaction(raw(topics, b"next")))

    assert [b"next"] == await values(topics)
    await writer.close()


async def test_a_refused_send_aborts_the_whole_transaction(topics: KafkaSettings) -> None:
    """aiokafka would commit the rest: every future is awaited, so nothing is visible."""
    writer = Writer(topics, f"{topics.prefix}.w")
    await writer.start()
    unknown = Record(topics.topic(RAW), 77, "k", b"no such partition")

    with pytest.raises((TransactionLost, AssertionError)):
        await writer.commit(Transaction([*raw(topics, b"lost?"), unknown]))
    again = Writer(topics, f"{topics.prefix}.w")
    await again.start()

    assert [] == await values(topics)
    await again.close()


async def test_the_library_does_commit_a_transaction_that_lost_a_record(
    topics: KafkaSettings,
) -> None:
    """The reason for awaiting each future; when this turns red the library has been mended."""
    producer = AIOKafkaProducer(
        **topics.client_args(),
        transactional_id=f"{topics.prefix}.naive",
        max_request_size=3 * RECORD_BYTES_MAX,
    )
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(topics.topic(CURSORS), b"cursor", key=b"k", partition=0)
    lost = await producer.send(topics.topic(RAW), b"x" * 2 * RECORD_BYTES_MAX, partition=0)
    await producer.commit_transaction()
    await producer.stop()

    assert isinstance(lost.exception(), MessageSizeTooLargeError)
    assert [] == await values(topics)
    assert [b"cursor"] == [record.value for record in await records(topics, CURSORS, 0)]


async def test_a_fenced_writer_leaves_nothing_that_nobody_looked_at(topics: KafkaSettings) -> None:
    """What aiokafka had still to send fails silently: its owner has heard of it."""
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    zombie = Writer(topics, f"{topics.prefix}.poll.1")
    await zombie.start()
    await (owner := Writer(topics, zombie.transactional_id)).start()
    with pytest.raises(Fenced):
        await zombie.commit(Transaction(raw(topics, b"after")))
    await owner.close()
    gc.collect()
    assert complaints == []


async def test_a_zombie_cannot_write(topics: KafkaSettings) -> None:
    """A second writer with the same id fences the first, whose records stay invisible."""
    zombie = Writer(topics, f"{topics.prefix}.poll.1")
    await zombie.start()
    await zombie.commit(Transaction(raw(topics, b"before")))
    owner = Writer(topics, f"{topics.prefix}.poll.1")
    await owner.start()

    with pytest.raises(Fenced):
        await zombie.commit(Transaction(raw(topics, b"zombie")))
    with pytest.raises(TransactionLost, match="closed"):
        await zombie.commit(Transaction(raw(topics, b"zombie again")))
    await owner.commit(Transaction(raw(topics, b"after")))

    assert [b"before", b"after"] == await values(topics)
    await owner.close()


async def test_a_dead_owners_open_transaction_is_aborted_by_the_next(
    topics: KafkaSettings,
) -> None:
    """Starting a writer ends what the older one left open, so readers are not held up."""
    producer = AIOKafkaProducer(**topics.client_args(), transactional_id=f"{topics.prefix}.w")
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(topics.topic(RAW), b"never committed", partition=0)
    await crash(producer)
    writer = Writer(topics, f"{topics.prefix}.w")

    await writer.start()
    await writer.commit(Transaction(raw(topics, b"mine")))

    assert [b"mine"] == await values(topics)
    await writer.close()


async def test_input_offsets_move_with_the_records(topics: KafkaSettings) -> None:
    """The group's committed offset is part of the transaction."""
    place = TopicPartition(topics.topic(RAW), 2)
    writer = Writer(topics, f"{topics.prefix}.w")
    await writer.start()
    await writer.commit(
        Transaction(raw(topics, b"out"), offsets={place: 7}, group=f"{topics.prefix}.g")
    )
    await writer.close()
    consumer = AIOKafkaConsumer(**topics.client_args(), group_id=f"{topics.prefix}.g")
    await consumer.start()

    assert 7 == await consumer.committed(place)
    await consumer.stop()


async def test_a_transaction_that_outlived_its_timeout_is_lost_and_a_new_writer_recovers(
    topics: KafkaSettings,
) -> None:
    """The client ends with errors of many kinds, AssertionError too; ours is always one kind."""
    writer = Writer(topics, f"{topics.prefix}.w")
    await writer.start()
    stealing = Writer(topics, f"{topics.prefix}.w")
    producer = writer._producer
    assert producer is not None
    await producer.begin_transaction()  # left open: the next begin is an AssertionError-like state

    with pytest.raises(RetryLater):
        await writer.commit(Transaction(raw(topics, b"late")))
    await stealing.start()
    await stealing.commit(Transaction(raw(topics, b"fresh")))

    assert [b"fresh"] == await values(topics)
    await stealing.close()


async def test_concurrent_writes_share_transactions_and_all_arrive(topics: KafkaSettings) -> None:
    """Group commit: a hundred callers, each told only when its own write is durable."""
    writer = Writer(topics, f"{topics.prefix}.w")
    await writer.start()
    broken: list[RetryLater] = []
    committer = Committer(writer, broken.append)
    topic = topics.topic(RAW)

    await asyncio.gather(
        *(committer.commit(Transaction([Record(topic, 0, str(n), b"v")])) for n in range(100))
    )
    end = await high_watermark(topics, TopicPartition(topic, 0))

    assert sorted(map(str, range(100))) == sorted(
        record.key.decode() for record in await records(topics, RAW, 0)
    )
    assert end < 150, "a commit marker for each record would make 200 offsets"
    assert [] == broken
    await committer.close()


async def test_a_fenced_committer_fails_every_waiter_and_says_so(topics: KafkaSettings) -> None:
    """Nobody is left waiting, and the owner hears that it has to rebuild."""
    writer = Writer(topics, f"{topics.prefix}.w")
    await writer.start()
    broken: list[RetryLater] = []
    committer = Committer(writer, broken.append)
    owner = Writer(topics, f"{topics.prefix}.w")
    await owner.start()

    outcomes = await asyncio.gather(
        *(committer.commit(Transaction(raw(topics, b"z"))) for _ in range(5)),
        return_exceptions=True,
    )

    assert all(isinstance(outcome, Fenced) for outcome in outcomes)
    assert isinstance(broken[0], Fenced)
    assert [] == await values(topics)
    await committer.close()
    await owner.close()


async def test_a_table_is_restored_past_commit_markers_and_aborted_records(
    topics: KafkaSettings,
) -> None:
    """The end is found by position, though the last offsets hold no record at all."""
    writer = Writer(topics, f"{topics.prefix}.w")
    await writer.start()
    table = Table(topics, EVENTS, 1)
    await writer.commit(Transaction([table.put("a", b"1"), table.put("b", b"2")]))
    await writer.commit(Transaction([table.put("a", b"3")]))
    await writer.commit(Transaction([table.put("b", None)]))
    producer = writer._producer
    assert producer is not None
    await producer.begin_transaction()
    await producer.send_and_wait(table.topic, b"aborted", key=b"a", partition=1)
    await producer.abort_transaction()

    await table.restore()

    assert {"a": b"3"} == dict(table.items())
    await writer.close()


async def test_a_restore_sees_what_another_open_transaction_would_hide(
    topics: KafkaSettings,
) -> None:
    """A read_committed end stops before a stranger's open transaction; ours waits for its end."""
    writer = Writer(topics, f"{topics.prefix}.w")
    await writer.start()
    table = Table(topics, EVENTS, 0)
    stranger = AIOKafkaProducer(
        **topics.client_args(),
        transactional_id=f"{topics.prefix}.stranger",
        transaction_timeout_ms=3000,
    )
    await stranger.start()
    await stranger.begin_transaction()
    await stranger.send_and_wait(table.topic, b"open", key=b"s", partition=0)
    await writer.commit(Transaction([table.put("mine", b"1")]))

    await table.restore()

    assert {"mine": b"1"} == dict(table.items())
    await crash(stranger)
    await writer.close()


async def restored(topics: KafkaSettings, before: Table) -> Table:
    """A new table that begins with what `before` was settled with."""
    after = Table(topics, EVENTS, 0)
    if before.settled:
        after.inherit(before)
    await after.restore()
    return after


async def test_a_table_that_is_handed_on_misses_nothing_that_was_not_taken_in(
    topics: KafkaSettings,
) -> None:
    """A commit whose caller was canceled stands on the topic and not in memory: it is read."""
    writer = Writer(topics, f"{topics.prefix}.w")
    await writer.start()
    table = Table(topics, EVENTS, 0)
    await table.restore()
    for key in "abc":
        records = [table.put(key, b"1")]
        await writer.commit(Transaction(records))
        if key != "b":
            table.apply(records)
    table.settle(writer)
    behind = await restored(topics, table)
    behind.apply([behind.put("never committed", b"1")])
    behind.settle(writer := Writer(topics, f"{topics.prefix}.w"))
    await writer.close()

    assert {"a": b"1", "b": b"1", "c": b"1"} == dict(
        item for item in behind.items() if item[0] != "never committed"
    )
    assert (table.settled, behind.settled) == (False, False), "one is used up, one is ahead"


async def test_a_checkpoint_outside_of_its_topic_is_not_believed(topics: KafkaSettings) -> None:
    """A topic made anew is read whole, and what the old one held is forgotten."""
    writer = Writer(topics, f"{topics.prefix}.w")
    await writer.start()
    table = Table(topics, EVENTS, 0)
    await table.restore()
    for number in range(3):
        records = [table.put("old", b"%d" % number)]
        await writer.commit(Transaction(records))
        table.apply(records)
    table.settle(writer)
    made_anew = Table(topics, EVENTS, 1)
    table.partition = 1  # which is as empty as a topic that was deleted and created
    made_anew.inherit(table)
    await made_anew.restore()
    await writer.close()

    assert {} == dict(made_anew.items())


async def test_a_restore_tells_that_it_goes_on(topics: KafkaSettings) -> None:
    """Once for so many records, so that a long one can be told from a stuck one."""
    writer = Writer(topics, f"{topics.prefix}.w")
    await writer.start()
    table, told = Table(topics, EVENTS, 0), list[int]()
    table.on_progress = told.append
    records = [table.put(str(number), b"1") for number in range(2 * PROGRESS_RECORDS + 1)]
    await writer.commit(Transaction(records))
    await table.restore()
    await writer.close()

    assert [PROGRESS_RECORDS, 2 * PROGRESS_RECORDS] == told
    assert 2 * PROGRESS_RECORDS + 1 == table.restored_count
