"""Topics are made once, verified always."""

from __future__ import annotations

import asyncio

import pytest

from bus.admin import ensure_topics
from bus.clock import SystemClock
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
