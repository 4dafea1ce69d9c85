"""An order reaches streams that all stand still: the slot notices it by itself, on a real Kafka."""

from __future__ import annotations

from functools import partial
from typing import Any

from bus import reading
from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction, Writer
from schemas.topics import CURSORS
from services.poller.operating import change
from services.poller.slot import home_of
from services.poller.steering import chosen, halted
from testbed.simulators.zentail import ZentailSimulator
from tests.broker.polling import TOKEN, Polled, account, polled
from tests.broker.reading import until
from tests.systems.orders import order, stamp

STREAMS = ("head", "settle")


def zentail() -> ZentailSimulator:
    """One order of a few seconds ago, on a server that never throttles."""
    orders = [order(1, at=stamp(ago_seconds=5))]
    return ZentailSimulator(orders=orders, token=TOKEN, requests_per_second=1000, burst=1000)


async def steer(found: Polled, become: Any) -> None:
    """What a command does to every stream of the account."""
    await change(found.kafka, chosen((await found.cursors()).values(), "acme"), become)


def all_are(found: Polled, state: str) -> bool:
    return all(found.state(stream) == state for stream in STREAMS)


async def test_a_pause_reaches_streams_that_are_refused(settings: KafkaSettings) -> None:
    """A stopped stream is tried again each quarter of an hour; the order does not wait for that."""
    simulator = zentail()
    async with simulator.serve() as url, polled(settings, account("zentail", url)) as found:
        await found.once_read(1)
        simulator.faults.add({"name": "unauthorized", "skip": 0, "count": None})
        await until(lambda: found.state("head") == "stopped")
        await steer(found, partial(halted, paused=True))

        await until(lambda: all_are(found, "paused"))


async def test_what_is_put_right_under_a_changed_meaning_lets_the_streams_go_on(
    settings: KafkaSettings,
) -> None:
    """Without a restart: the streams had ended, and the slot begins anew."""
    simulator = zentail()
    async with simulator.serve() as url, polled(settings, account("zentail", url)) as found:
        await found.once_read(1)
        before = await found.cursors()
        await steer(found, lambda cursor: cursor.model_copy(update={"fingerprint": "other"}))
        await until(lambda: all_are(found, "stopped"))

        await steer(
            found,
            lambda cursor: cursor.model_copy(
                update={"fingerprint": before[cursor.stream].fingerprint}
            ),
        )
        simulator.put(order(2))

        await found.once_read(2)
        await until(lambda: all_are(found, "running"))


async def put(found: Polled, key: str, value: bytes) -> None:
    """One record of the account's slot, whoever wrote it."""
    kafka = found.kafka
    writer = Writer(kafka, f"{kafka.prefix}.stranger")
    await writer.start()
    slot = home_of("zentail", "acme", kafka.slots)
    await writer.commit(Transaction([Record(kafka.topic(CURSORS), slot, key, value)]))
    await writer.close()


async def test_a_cursor_that_cannot_be_read_halts_its_stream_alone(
    settings: KafkaSettings,
) -> None:
    """It is not taken for a new account's, which would pass over all that changed meanwhile."""
    simulator, key = zentail(), "cursor/zentail/acme/head"
    async with simulator.serve() as url:
        async with polled(settings, account("zentail", url)) as found:
            await found.once_read(1)
            good = (await reading.table(settings, CURSORS))[key]
        await put(found, key, b'{"schema_version": "1.9"}')
        simulator.put(order(2))
        async with polled(settings, account("zentail", url)) as found:
            await until(lambda: (found.state("head"), found.state("settle")) != ("", ""))
            await until(lambda: found.state("head") == "stopped")
            health = found.poller.health()
            kept = (await reading.table(settings, CURSORS))[key]
        await put(found, key, good)
        async with polled(settings, account("zentail", url)) as found:
            await found.once_read(2)

    assert (True, b'{"schema_version": "1.9"}') == (health["ok"], kept)
    assert [key] == [one.partition(" ")[2] for one in health["unreadable"]]  # type: ignore[attr-defined]


async def test_a_mark_that_cannot_be_read_halts_the_streams_that_would_read_it(
    settings: KafkaSettings,
) -> None:
    """It may be the only place that says when a record is to be read again."""
    simulator = zentail()
    async with simulator.serve() as url:
        async with polled(settings, account("zentail", url)) as found:
            await found.once_read(1)
        marks = [key for key in await reading.table(settings, CURSORS) if key.startswith("mark/")]
        await put(found, marks[0], b"{}")
        async with polled(settings, account("zentail", url)) as found:
            await until(lambda: all_are(found, "stopped"))
            reasons = str(found.poller.health()["streams"])

    assert marks[0] in reasons
