"""The embedded Kafka: it starts, keeps its data, and never outlives the process that started it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bus.embedded import BrokerFailed, EmbeddedKafka
from bus.jars import Jar, JarsUnavailable, default_cache_dir, locked_jars, verified_jars

DEADLINE_SECONDS = 60

PARENT = """
import asyncio, pathlib, sys
from bus.embedded import EmbeddedKafka

async def main():
    broker = EmbeddedKafka(pathlib.Path(sys.argv[1]))
    await broker.start()
    print(broker.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def write(broker: EmbeddedKafka, value: bytes) -> None:
    """Appends one record to topic `kept`."""
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    await producer.start()
    try:
        await producer.send_and_wait("kept", value, partition=0)
    finally:
        await producer.stop()


async def read(broker: EmbeddedKafka, count: int) -> list[bytes]:
    """The first records of topic `kept`."""
    partition = TopicPartition("kept", 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap_servers)
    consumer.assign([partition])
    await consumer.start()
    try:
        await consumer.seek_to_beginning(partition)
        async with asyncio.timeout(DEADLINE_SECONDS):
            return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


async def create_topic(broker: EmbeddedKafka) -> None:
    """Creates topic `kept`."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("kept", 1, 1)])
    finally:
        await admin.close()


async def is_gone(pid: int) -> bool:
    """Whether the process has ended by the deadline."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                os.kill(pid, 0)
                await asyncio.sleep(0.05)
    except ProcessLookupError:
        return True
    except TimeoutError:
        return False


async def test_data_outlives_a_stop_and_a_kill(tmp_path: Path) -> None:
    """Records written before a clean stop and before a SIGKILL are there at the same address."""
    async with EmbeddedKafka(tmp_path) as broker:
        address = broker.bootstrap_servers
        await create_topic(broker)
        await write(broker, b"first")
        await broker.stop()
        assert broker.pid is None

        await broker.start()
        await write(broker, b"second")
        await broker.kill()

        await broker.start()
        assert broker.bootstrap_servers == address
        assert await read(broker, 2) == [b"first", b"second"]


async def test_data_is_found_by_another_object_on_another_port(tmp_path: Path) -> None:
    """The folder is what counts: a later process may choose other ports."""
    async with EmbeddedKafka(tmp_path) as broker:
        first = broker.bootstrap_servers
        await create_topic(broker)
        await write(broker, b"kept")

    async with EmbeddedKafka(tmp_path) as broker:
        assert broker.bootstrap_servers != first
        assert await read(broker, 1) == [b"kept"]


async def test_it_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL of the process that started it ends the broker too."""
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, str(tmp_path)), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert parent.stdout
        async with asyncio.timeout(DEADLINE_SECONDS):
            broker_pid = int(await parent.stdout.readline())
    finally:
        parent.send_signal(signal.SIGKILL)
        await parent.wait()

    assert await is_gone(broker_pid)


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """A port somebody listens on is refused at once, by its number."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]

        with pytest.raises(BrokerFailed, match=f"port {port} on 127.0.0.1 cannot be used"):
            await EmbeddedKafka(tmp_path, port=port).start()


async def test_a_broker_that_dies_early_is_reported_with_its_log(tmp_path: Path) -> None:
    """A setting Kafka refuses comes back in its own words, and nothing keeps running."""
    broker = EmbeddedKafka(tmp_path, overrides={"num.io.threads": "none"})

    with pytest.raises(
        BrokerFailed, match=r"Invalid value none for configuration num\.io\.threads"
    ):
        await broker.start()

    assert broker.pid is None


def test_jars_that_cannot_be_fetched_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    """Without a way to Maven the first jar is named, and the two ways out."""

    def unreachable(jar: Jar, into: Path) -> Path:
        raise ConnectionError(jar.coordinate)

    with pytest.raises(JarsUnavailable, match=r"org\.|com\.|at\.") as caught:
        verified_jars(tmp_path / "cache", unreachable)

    assert "access to Maven" in str(caught.value)
    assert "[kafka] bootstrap_servers" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_jar_that_is_not_the_locked_one_is_refused_by_name(tmp_path: Path) -> None:
    """A jar with another sha256 is named and never reaches the cache."""

    def forged(jar: Jar, into: Path) -> Path:
        path = into / jar.file_name
        path.write_bytes(b"not a jar")
        return path

    with pytest.raises(JarsUnavailable, match="came from Maven with sha256"):
        verified_jars(tmp_path / "cache", forged)

    assert list((tmp_path / "cache").iterdir()) == []


def test_only_a_damaged_jar_is_fetched_again(kafka: str, tmp_path: Path) -> None:
    """One jar spoiled in the cache is replaced; the others are not asked for."""
    good, *others = locked_jars()
    for jar in (good, *others):
        (tmp_path / jar.file_name).hardlink_to(default_cache_dir() / jar.file_name)
    damaged = tmp_path / good.file_name
    damaged.unlink()
    damaged.write_bytes(b"damaged")
    asked = []

    def from_the_real_cache(jar: Jar, into: Path) -> Path:
        asked.append(jar)
        path = into / jar.file_name
        path.write_bytes((default_cache_dir() / jar.file_name).read_bytes())
        return path

    assert damaged in verified_jars(tmp_path, from_the_real_cache)
    assert asked == [good]
    assert damaged.stat().st_size > len(b"damaged")
