"""Dead letters of deliveries go to their subscription again by the command line's own way."""

from __future__ import annotations

from pathlib import Path

from aiokafka import ConsumerRecord

from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction, Writer
from console.letters import Filter
from console.redriving import redrive
from schemas.topics import DEAD_LETTERS, RAW
from testbed.receiver import Receiver
from tests.broker.commanding import letters, receipts
from tests.broker.notifying import SECRET, accepted, emit, notifying, webhook
from tests.broker.reading import records, until


async def test_letters_of_deliveries_are_delivered_and_not_put_on_raw(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Those of a filter by one command, the next time none; one by its place, when forced."""
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "status", "status": 400, "count": None}])
    await emit(topics, range(4), 1)
    async with receiver.serve() as url:
        entry = webhook("erp", url, tmp_path)
        async with notifying(topics, entry, retry_schedule_seconds=[0.1]) as service:
            await until(lambda: letters(topics, 4))
            receiver.behavior.clear()
            came = await redrive(topics, (), Filter(reason="exhausted"))
            await until(lambda: len(accepted(receiver)) == 4)
            await until(lambda: service.health()["pending"] == 0)
            again = await redrive(topics, (), Filter(reason="exhausted"))
            assert ["delivered" in one.passed_over for one in again] == [True] * 4
            assert {one.to for one in again} == {""}
            (one,) = await redrive(topics, [came[0].place], Filter(), force=True)
            await until(lambda: receipts(receiver).total() == 5)

    assert len({one.place for one in came}) == 4
    assert len({one.to for one in came}) == 1
    assert "command" in one.to
    assert one.to != came[0].to
    assert await records(topics, RAW) == []


async def test_a_letter_of_nobody_or_of_no_event_is_refused(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Its subscription is gone; it never was an event: each is told, nothing is written."""
    await emit(topics, [0], 1)
    receiver = Receiver(SECRET)
    receiver.behavior.add([{"name": "status", "status": 400, "count": None}])
    async with (
        receiver.serve() as url,
        notifying(topics, webhook("erp", url, tmp_path), retry_schedule_seconds=[0.1]),
    ):
        await until(lambda: letters(topics, 1))
    (letter,) = await records(topics, DEAD_LETTERS)
    headers = [*letter.headers]
    nobody = [(n, b"nobody" if n == "shipfeed-subscription" else v) for n, v in headers]
    no_event = [(n, v) for n, v in headers if not n.startswith("ce_")]
    await _write(topics, letter, nobody)
    await _write(topics, letter, no_event)
    _, *places = [f"{one.partition}/{one.offset}" for one in await records(topics, DEAD_LETTERS)]
    came = await redrive(topics, places, Filter())

    refused = {one.place: one.refused for one in came}
    assert "nobody" in refused[places[0]]
    assert "cannot be delivered" in refused[places[1]]
    assert [one.to for one in came] == ["", ""]


async def _write(
    kafka: KafkaSettings, letter: ConsumerRecord, headers: list[tuple[str, bytes]]
) -> None:
    """The same letter with other headers."""
    key = letter.key.decode()
    writer = Writer(kafka, f"{kafka.prefix}.test")
    await writer.start()
    record = Record(letter.topic, letter.partition, key, letter.value, headers)
    await writer.commit(Transaction([record]))
    await writer.close()
