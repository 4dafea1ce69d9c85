"""`shipfeed write-backs`: what stands on the topic is shown, and what is held is wanted again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bus.committer import Committer
from bus.errors import Blocked
from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction, Writer
from schemas.topics import WRITE_BACKS
from schemas.write_back import Call, CallItem, State, Wanted, WriteBack, is_wanted
from services.notifier.write_backs.ledger import Ledger
from tests.broker.command_line import Command, command, objects
from tests.broker.reading import records
from tests.broker.writing_back import left, partition_for, put, want, wanted_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def wanted(number: int, to: str = "river", **more: Any) -> Wanted:
    """Two mugs of the order 100 left; the event's id is `evt_<number>`."""
    named = {"event_id": f"evt_{number}", "target": to, "event_at": NOON}
    return wanted_of(left("100", str(number), mug=2), **{**named, **more})


def write_back(wish: Wanted, state: State, **more: Any) -> WriteBack:
    """The later the higher its number."""
    at = NOON + timedelta(minutes=int(wish.event_id.removeprefix("evt_")))
    return WriteBack(wanted=wish, place=0, state=state, due_at=at, updated_at=at, **more)


async def stand(kafka: KafkaSettings, *found: WriteBack) -> None:
    """As their owners write them."""
    topic = kafka.topic(WRITE_BACKS)
    await put(
        kafka,
        *(Record(topic, partition_for(kafka, o.wanted), o.key, o.to_json()) for o in found),
    )


@pytest.fixture
def shipfeed(topics: KafkaSettings, tmp_path: Path) -> Command:
    """`shipfeed write-backs ...`."""
    return command("write-backs", topics, tmp_path)


async def test_what_stands_on_the_topic_is_listed_and_told(
    topics: KafkaSettings, shipfeed: Command
) -> None:
    """By state, target and reason, the last that changed at the end; one of them at length."""
    call = Call(
        kind="fulfill", order_id="7", event_id="evt_3", items=(CallItem(line_id="l1", quantity=2),)
    )
    await want(topics, wanted(4))
    await stand(
        topics,
        write_back(wanted(3), "unknown", call=call, calls=1, sent_at=NOON),
        write_back(wanted(2), "held", reason="Two lines of mug", candidates=("l1", "l2")),
        write_back(wanted(1, "ocean"), "done", fulfillment_id="ful_1", found=True),
    )
    listed = objects(await shipfeed("list", "--json"))
    narrowed = await shipfeed(
        "list", "--state", "held", "--target", "river", "--reason", "two", "--json"
    )
    told = (await shipfeed("show", "evt_3")).out.splitlines()
    whole = objects(await shipfeed("show", "river/100/evt_3", "--json"))
    table = (await shipfeed("list")).out
    nothing = await shipfeed("show", "evt_9")

    assert [(one["event_id"], one["state"]) for one in listed] == [
        ("evt_4", "wanted"),
        ("evt_1", "done"),
        ("evt_2", "held"),
        ("evt_3", "unknown"),
    ]
    assert listed[1]["says"] == "ful_1, found there"
    assert [one["event_id"] for one in objects(narrowed)] == ["evt_2"]
    assert "key: river/100/evt_3" in told
    assert "items: 2 x mug" in told
    assert any(line.startswith("next: nothing: the target is read") for line in told)
    (call_line,) = [line for line in told if line.startswith("call: ")]
    assert json.loads(call_line.removeprefix("call: "))["order_id"] == "7"
    assert WriteBack.model_validate(whole[0]).call == call
    assert "unknown" in table
    assert (nothing.code, nothing.out) == (2, "")
    assert "nothing is written back for evt_9" in nothing.err


async def test_what_is_held_is_wanted_again_and_nothing_else(
    topics: KafkaSettings, shipfeed: Command
) -> None:
    """By key, by event, or all of a target; what cannot be is refused in words, and told by 1."""
    held = [write_back(wanted(number), "held", reason="order 100 is canceled") for number in (1, 2)]
    nowhere = wanted(3, order=None, problem="the event names no order")
    other = write_back(wanted(4, "ocean"), "held", reason="order 100 is canceled")
    await stand(
        topics,
        *held,
        write_back(nowhere, "held", reason="the event names no order"),
        other,
        write_back(wanted(5), "done", fulfillment_id="ful_5"),
    )
    named = await shipfeed("retry", "evt_1", held[1].key, "--json")
    again = await wanted_again(topics)
    refused = await shipfeed("retry", "evt_5", "evt_3")
    every = await shipfeed("retry", "--all-held", "--target", "ocean")

    assert (named.code, [one["refused"] for one in objects(named)]) == (0, ["", ""])
    assert again == {one.wanted.key: one.wanted for one in held}
    assert refused.code == 1
    assert "evt_5: refused: it is done" in refused.out
    assert "shipfeed write-backs send back --since 2026-03-01T12:00:00Z" in refused.out
    assert every.code == 0
    assert (await wanted_again(topics)).keys() == again.keys() | {other.wanted.key}


async def wanted_again(kafka: KafkaSettings) -> dict[str, Wanted]:
    """What lies before the owners, each where the owner of its order finds it."""
    found = {}
    for record in await records(kafka, WRITE_BACKS):
        if is_wanted(key := record.key.decode()):
            found[key] = Wanted.model_validate_json(record.value)
            assert record.partition == partition_for(kafka, found[key])
    return found


async def test_a_write_back_that_cannot_be_read_parks_its_partition(topics: KafkaSettings) -> None:
    """It may say that a call was made: nothing of the partition is sent until somebody knows."""
    writer = Writer(topics, f"{topics.prefix}.stranger")
    await writer.start()
    record = Record(topics.topic(WRITE_BACKS), 0, "river/1001/evt_1", b'{"state": "sending"}')
    await writer.commit(Transaction([record]))
    ledger = Ledger(topics, 0)
    with pytest.raises(Blocked, match="river/1001/evt_1"):
        await ledger.restore(Committer(writer, lambda _: None))
    await writer.close()

    assert ["river/1001/evt_1"] == [*ledger.table.unreadable]
