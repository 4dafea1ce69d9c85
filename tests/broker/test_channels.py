"""What the contract of channels says, asked of every channel there is."""

from __future__ import annotations

import asyncio
import pkgutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter
from structlog.testing import capture_logs

from bus.clock import SystemClock
from bus.errors import BadConfig
from bus.settings import KafkaSettings
from schemas.events import Envelope
from schemas.subscription import Channel as ChannelRecord
from schemas.subscription import Subscription
from schemas.topics import EVENTS
from services.notifier import channels
from services.notifier.channel import (
    Surroundings,
    Way,
    open_channel,
    open_sink,
    refuse_other_way,
    way_of,
)
from services.notifier.events import Event, events_of
from services.notifier.outlets import Outlets
from testbed.receiver import Receiver
from tests.broker.notifying import SECRET, emit
from tests.broker.reading import records

NAMES = sorted(module.name for module in pkgutil.iter_modules(channels.__path__))
EXAMPLES: dict[str, dict[str, Any]] = {
    "log": {},
    "stream": {},
    "topic": {"topic": "for-erp"},
    "webhook": {"url": "http://127.0.0.1:9/", "secrets": []},
    "write_back": {"target": "shop"},
}
WAYS: dict[str, Way] = {
    "log": "delivered",
    "stream": "served",
    "topic": "written",
    "webhook": "delivered",
    "write_back": "written",
}
DELIVERED = [name for name, way in WAYS.items() if way == "delivered"]
WRITTEN = [name for name, way in WAYS.items() if way == "written"]
ENVELOPE = Envelope(
    attributes={
        "specversion": "1.0",
        "id": "evt_1",
        "source": "/zentail/acme",
        "type": "package.shipped",
        "subject": "pkg_1",
        "partitionkey": "zentail/acme/order/1",
        "time": "2026-01-01T00:00:00Z",
    },
    data=b'{"a":1}',
)


def subscription(name: str, **channel: Any) -> Subscription:
    """To a channel of that type."""
    return Subscription.model_validate(
        {
            "id": "erp",
            "types": ("*",),
            "channel": {"type": name, **EXAMPLES[name], **channel},
            "start_offsets": {},
            "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
    )


def surroundings() -> Surroundings:
    """A machine that may speak to itself."""
    return Surroundings(
        clock=SystemClock(),
        allow_networks=[ip_network("127.0.0.0/8")],
        connect_timeout_seconds=30,
        total_timeout_seconds=60,
        connections_max=4,
    )


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Somebody at the other end, and the ids of the events that came there."""

    subscription: Subscription
    ids: Callable[[], list[str]]


@asynccontextmanager
async def subscriber(name: str, folder: Path) -> AsyncIterator[Subscriber]:
    """A working one for each channel that delivers."""
    async with AsyncExitStack() as stack:
        if name == "log":
            lines = stack.enter_context(capture_logs())
            yield Subscriber(subscription(name), lambda: [str(line["id"]) for line in lines])
            return
        receiver = Receiver(SECRET)
        url = await stack.enter_async_context(receiver.serve())
        path = folder / "secret"
        path.write_text(SECRET)
        wish = subscription(name, url=url, secrets=[{"reference": f"file:{path}"}])
        yield Subscriber(wish, lambda: [one["event"]["id"] for one in receiver.records])


def test_every_module_is_a_channel_type_and_every_type_has_its_module() -> None:
    """The folder is the registry; each says which way it works."""
    union, *_ = get_args(ChannelRecord)
    types = [kind.model_fields["type"].default for kind in get_args(union)]

    assert sorted(types) == NAMES
    assert {name: way_of(subscription(name)) for name in NAMES} == WAYS


@pytest.mark.parametrize("name", NAMES)
def test_a_channel_survives_its_record(name: str) -> None:
    """As it is on Kafka, it is read."""
    channel = subscription(name).channel
    adapter: TypeAdapter[Any] = TypeAdapter(ChannelRecord)

    assert adapter.validate_json(channel.to_json()) == channel


@pytest.mark.parametrize("name", DELIVERED)
async def test_an_event_sent_again_carries_the_same_id(name: str, tmp_path: Path) -> None:
    """Each try says what came of it; closing twice does no harm."""
    async with subscriber(name, tmp_path) as other:
        channel = open_channel(other.subscription, surroundings())
        results = [await channel.send(ENVELOPE, attempt) for attempt in (1, 2)]
        await channel.close()
        await channel.close()

        assert [result.outcome for result in results] == ["delivered", "delivered"]
        assert other.ids() == ["evt_1", "evt_1"]


@pytest.mark.parametrize("name", DELIVERED)
async def test_events_go_out_beside_each_other(name: str, tmp_path: Path) -> None:
    """One channel serves all lanes of its subscription."""
    envelopes = [
        Envelope(attributes={**ENVELOPE.attributes, "id": f"evt_{n}"}, data=b"{}") for n in range(8)
    ]
    async with subscriber(name, tmp_path) as other:
        channel = open_channel(other.subscription, surroundings())
        results = await asyncio.gather(*(channel.send(one, 1) for one in envelopes))
        await channel.close()

        assert {result.outcome for result in results} == {"delivered"}
        assert sorted(other.ids()) == sorted(one.id for one in envelopes)


@pytest.mark.parametrize("name", [name for name in NAMES if WAYS[name] != "delivered"])
def test_what_is_not_delivered_cannot_be_sent(name: str) -> None:
    """A delivery that was begun for another channel is told so."""
    with pytest.raises(BadConfig, match="not delivered"):
        open_channel(subscription(name), surroundings())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("other", NAMES)
def test_a_subscription_stays_with_its_way(name: str, other: str) -> None:
    """What it has seen is kept in another way: it would start over, or wait for ever."""
    before, after = subscription(name), subscription(other)
    if WAYS[name] == WAYS[other]:
        refuse_other_way(before, after)
        assert way_of(before) == way_of(after)
    else:
        with pytest.raises(BadConfig, match="under another name"):
            refuse_other_way(before, after)


async def events(kafka: KafkaSettings) -> list[Event]:
    """Some of one partition."""
    await emit(kafka, range(30), 1)
    return events_of(await records(kafka, EVENTS, 5))[0]


@pytest.mark.parametrize("name", WRITTEN)
async def test_events_of_a_partition_are_written_where_it_was_told(
    name: str, topics: KafkaSettings
) -> None:
    """The same record at the same place for every owner, so that order holds."""
    more = {"topic": f"{topics.prefix}.for-erp"} if name == "topic" else {}
    sinks = [
        await open_sink(subscription(name, **more), topics, 5, SystemClock()) for _ in range(2)
    ]
    found, at = await events(topics), datetime(2026, 1, 1, tzinfo=UTC)

    first, again = ([sink.record(event, at) for event in found] for sink in sinks)

    assert found
    assert first == again
    for record in first:
        assert record is not None
        assert (record.topic, record.partition) in sinks[0].places


@pytest.mark.parametrize("name", NAMES)
async def test_only_what_is_fanned_out_has_an_outlet(name: str, topics: KafkaSettings) -> None:
    """What is served has none, so it gets no delivery, no record and no position."""
    channel = {"topic": f"{topics.prefix}.for-erp"} if name == "topic" else {}
    wish, woken = subscription(name, **channel), asyncio.Event()
    outlets = Outlets(topics, 0, SystemClock(), woken.set)
    await outlets.open([wish])
    outlet = outlets.ready(wish)

    assert outlets.refused == {}
    assert (outlet is None) == (WAYS[name] == "served")
    assert (outlet is not None and outlet.sink is not None) == (WAYS[name] == "written")
    assert bool(outlets.places) == (WAYS[name] == "written")
