"""Settings of one test on the shared Kafka, and short ways to write and read topics."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from bus.admin import ensure_topics
from bus.clients import look_at
from bus.clock import SystemClock
from bus.settings import KafkaSettings
from schemas.topics import TOPICS

SESSION_TIMEOUT_MS = 1500
TRANSACTION_TIMEOUT_MS = 3000
LEADERS_SECONDS_MAX = 60.0


@pytest.fixture
def settings(kafka: str, prefix: str) -> KafkaSettings:
    """The shared broker under a prefix of this test's own, with short timeouts."""
    return KafkaSettings(
        bootstrap_servers=kafka,
        prefix=prefix,
        session_timeout_ms=SESSION_TIMEOUT_MS,
        transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
    )


@pytest.fixture
async def topics(settings: KafkaSettings) -> KafkaSettings:
    """The same settings with every catalogue topic made."""
    await ensure_topics(settings, SystemClock())
    await led(settings)
    return settings


async def led(kafka: KafkaSettings) -> None:
    """Wait until each partition has its leader, which a busy broker makes after the topic."""
    places = [
        TopicPartition(kafka.topic(topic), number)
        for topic in TOPICS
        for number in range(kafka.partition_count(topic))
    ]
    consumer = AIOKafkaConsumer(**kafka.client_args())
    await consumer.start()
    try:
        look_at(consumer, places)
        async with asyncio.timeout(LEADERS_SECONDS_MAX):
            await consumer.end_offsets(places)
    finally:
        await consumer.stop()


@pytest.fixture
def sealing(tmp_path: Path) -> dict[str, Any]:
    """Settings with a master key."""
    path = tmp_path / "master"
    path.write_text(base64.b64encode(bytes(32)).decode())
    return {"master_key": f"file:{path}"}
