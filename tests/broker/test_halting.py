"""An order reaches streams that all stand still: the slot notices it by itself, on a real Kafka."""

from __future__ import annotations

from functools import partial
from typing import Any

from bus.settings import KafkaSettings
from services.poller.operating import change
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
