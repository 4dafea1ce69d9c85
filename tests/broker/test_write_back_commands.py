"""`shipfeed write-backs`: what stands on the topic is shown, and what is held is wanted again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bus.errors import Misuse
from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction, Writer
from console.commands.write_backs import app
from schemas.topics import WRITE_BACKS
from schemas.write_back import Call, CallItem, State, Wanted, WantedItem, WriteBack, is_wanted
from tests.broker.reading import records

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Shipfeed = Callable[..., Any]


def wanted(number: int, target: str = "river", **more: Any) -> Wanted:
    """Two mugs of the order 100."""
    values: dict[str, Any] = {
        "order": "100",
        "items": [WantedItem(sku="mug", quantity="2")],
        "tracking_number": "1Z9",
    }
    return Wanted(
        subscription="dr",
        target=target,
        way="order_number",
        event_id=f"evt_{number}",
        event_type="package.shipped",
        event_at=NOON,
        fulfillment=f"zentail/acme/orders/{number}",
        **{**values, **more},
    )


def write_back(wish: Wanted, state: State, **more: Any) -> WriteBack:
    """The later the higher its number."""
    at = NOON + timedelta(minutes=int(wish.event_id.removeprefix("evt_")))
    return WriteBack(wanted=wish, place=0, state=state, due_at=at, updated_at=at, **more)


async def put(kafka: KafkaSettings, *found: Wanted | WriteBack) -> None:
    """As the fan-out and the owners write them."""
    topic, count = kafka.topic(WRITE_BACKS), kafka.partition_count(WRITE_BACKS)
    made = []
    for one in found:
        folder = one.folder if isinstance(one, Wanted) else one.wanted.folder
        made.append(Record(topic, partition_of(folder, count), one.key, one.to_json()))
    writer = Writer(kafka, f"{kafka.prefix}.test")
    await writer.start()
    await writer.commit(Transaction(made))
    await writer.close()


@pytest.fixture
def shipfeed(topics: KafkaSettings, tmp_path: Path) -> Shipfeed:
    """`shipfeed write-backs ...` on the topics of this test, from beside the loop that it runs."""
    config = tmp_path / "shipfeed.toml"
    names = ("bootstrap_servers", "prefix")
    keys = (f"{name} = {json.dumps(getattr(topics, name))}\n" for name in names)
    config.write_text("[kafka]\n" + "".join(keys))

    async def run(*arguments: str) -> Result:
        command = [*arguments, "--config", str(config)]
        return await asyncio.to_thread(CliRunner().invoke, app, command)

    return run


def objects(result: Result) -> list[dict[str, Any]]:
    """What was printed with --json."""
    return [json.loads(line) for line in result.stdout.splitlines()]


async def test_what_stands_on_the_topic_is_listed_and_told(
    topics: KafkaSettings, shipfeed: Shipfeed
) -> None:
    """By state, target and reason, the last that changed at the end; one of them at length."""
    call = Call(
        kind="fulfill", order_id="7", event_id="evt_3", items=(CallItem(line_id="l1", quantity=2),)
    )
    await put(
        topics,
        write_back(wanted(3), "unknown", call=call, calls=1, sent_at=NOON),
        write_back(wanted(2), "held", reason="Two lines of mug", candidates=("l1", "l2")),
        write_back(wanted(1, "ocean"), "done", fulfillment_id="ful_1", found=True),
        wanted(4),
    )
    listed = [objects(await shipfeed("list", "--json", *narrowed)) for narrowed in NARROWED]
    rows = [[one["event_id"] for one in found] for found in listed]
    told = (await shipfeed("show", "evt_3")).stdout.splitlines()
    whole = objects(await shipfeed("show", "river/100/evt_3", "--json"))
    table = (await shipfeed("list")).stdout

    assert rows == [
        ["evt_4", "evt_1", "evt_2", "evt_3"],
        ["evt_2"],
        ["evt_1"],
        ["evt_2"],
        ["evt_4"],
    ]
    assert [one["state"] for one in listed[0]] == ["wanted", "done", "held", "unknown"]
    assert listed[2][0]["says"] == "ful_1, found there"
    assert "key: river/100/evt_3" in told
    assert "items: 2 x mug" in told
    assert any(line.startswith("next: nothing: the target is read") for line in told)
    (call_line,) = [line for line in told if line.startswith("call: ")]
    assert json.loads(call_line.removeprefix("call: "))["order_id"] == "7"
    assert WriteBack.model_validate(whole[0]).call == call
    assert "unknown" in table


NARROWED = (
    (),
    ("--state", "held"),
    ("--target", "ocean"),
    ("--reason", "two lines"),
    ("--state", "wanted"),
)


async def test_what_is_held_is_wanted_again_and_nothing_else(
    topics: KafkaSettings, shipfeed: Shipfeed
) -> None:
    """By key, by event, or all of a target; what cannot be is refused in words, and told by 1."""
    held = [write_back(wanted(number), "held", reason="order 100 is canceled") for number in (1, 2)]
    nowhere = wanted(3, order=None, problem="the event names no order")
    other = write_back(wanted(4, "ocean"), "held", reason="order 100 is canceled")
    await put(
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

    assert (named.exit_code, [one["refused"] for one in objects(named)]) == (0, ["", ""])
    assert again == {one.wanted.key: one.wanted for one in held}
    assert refused.exit_code == 1
    assert "evt_5: refused: it is done" in refused.stdout
    assert "shipfeed write-backs send dr --since 2026-03-01T12:00:00Z" in refused.stdout
    assert every.exit_code == 0
    assert (await wanted_again(topics)).keys() == again.keys() | {other.wanted.key}


async def wanted_again(kafka: KafkaSettings) -> dict[str, Wanted]:
    """What lies before the owners, each where the owner of its order finds it."""
    found = {}
    for record in await records(kafka, WRITE_BACKS):
        if is_wanted(key := record.key.decode()):
            found[key] = Wanted.model_validate_json(record.value)
            count = kafka.partition_count(WRITE_BACKS)
            assert record.partition == partition_of(found[key].folder, count)
    return found


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("retry",), "--all-held"),
        (("retry", "evt_1", "--all-held"), "--all-held"),
        (("retry", "evt_1", "--target", "river"), "--all-held"),
        (("retry", "evt_9"), "nothing is written back for evt_9"),
        (("show", "evt_9"), "nothing is written back for evt_9"),
        (("list", "--state", "lost"), "there is no state 'lost'; there are: wanted, waiting"),
    ],
    ids=str,
)
async def test_a_slip_is_told_in_words(
    shipfeed: Shipfeed, arguments: tuple[str, ...], says: str
) -> None:
    """And nothing is written."""
    result = await shipfeed(*arguments)

    assert isinstance(result.exception, Misuse)
    assert says in str(result.exception)
