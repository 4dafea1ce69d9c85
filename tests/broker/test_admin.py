"""Topics are made once, verified always."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from bus.admin import ensure_topics
from bus.clock import SystemClock
from bus.embedded import EmbeddedKafka
from bus.errors import BadConfig, Stop
from bus.settings import KafkaSettings


async def test_two_services_may_create_the_topics_at_once(settings: KafkaSettings) -> None:
    """Both return; whoever was second finds the topics as it wants them."""
    await asyncio.gather(*(ensure_topics(settings, SystemClock()) for _ in range(3)))


async def test_another_partition_count_stops_the_service(topics: KafkaSettings) -> None:
    """The line names the topic, what is there, and the setting to change."""
    other = topics.model_copy(update={"partitions": 3})

    with pytest.raises(BadConfig, match=r"topic \S+ has 6 partitions, expected 3: set \[kafka\]"):
        await ensure_topics(other, SystemClock())


async def test_another_retention_stops_the_service(topics: KafkaSettings) -> None:
    """A topic that forgets too early is a loss waiting to happen."""
    other = topics.model_copy(update={"retention_days": {"events": 90}})

    with pytest.raises(BadConfig, match=r"\.events has retention\.ms="):
        await ensure_topics(other, SystemClock())


async def test_no_broker_is_one_line_within_the_limit() -> None:
    """The line says which setting to check."""
    nowhere = KafkaSettings(
        bootstrap_servers="127.0.0.1:1", start_timeout_seconds=0.5, request_timeout_ms=1000
    )

    with pytest.raises(Stop, match=r"no Kafka at 127\.0\.0\.1:1 .* check \[kafka\]"):
        await ensure_topics(nowhere, SystemClock())


async def test_a_wrong_password_is_told_at_once(tmp_path: Path) -> None:
    """Not after the minute that is allowed for a broker to come up; the right one is let in."""
    port, sasl_port, controller = free_ports(3)
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    open_to = f"PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl_port}"
    overrides = {
        "listeners": f"{open_to},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": open_to,
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT"
        ),
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": f'{login} user_feed="right";',
    }
    password = tmp_path / "password"
    kafka = KafkaSettings(
        bootstrap_servers=f"127.0.0.1:{sasl_port}",
        security_protocol="SASL_PLAINTEXT",
        sasl_username="feed",
        sasl_password=f"file:{password}",
    )
    async with EmbeddedKafka(tmp_path / "kafka", port=port, overrides=overrides):
        password.write_text("wrong")
        with pytest.raises(BadConfig, match=r"refuses the user 'feed' with PLAIN: .*check sasl_"):
            await ensure_topics(kafka, SystemClock())
        other = kafka.model_copy(update={"sasl_mechanism": "SCRAM-SHA-256"})
        with pytest.raises(BadConfig, match="SCRAM-SHA-256"):
            await ensure_topics(other, SystemClock())
        password.write_text("right")
        await ensure_topics(kafka, SystemClock())


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports
