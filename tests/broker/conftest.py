"""Settings of one test on the shared Kafka, and short ways to write and read topics."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from bus.admin import ensure_topics
from bus.clock import SystemClock
from bus.settings import KafkaSettings

SESSION_TIMEOUT_MS = 1500
TRANSACTION_TIMEOUT_MS = 3000


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
    return settings


@pytest.fixture
def sealing(tmp_path: Path) -> dict[str, Any]:
    """Settings with a master key."""
    path = tmp_path / "master"
    path.write_text(base64.b64encode(bytes(32)).decode())
    return {"master_key": f"file:{path}"}
