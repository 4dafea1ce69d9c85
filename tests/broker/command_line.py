"""`shipfeed` on the topics of a test."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from bus.settings import KafkaSettings
from tests.e2e.running import Ended, shipfeed

SECONDS_MAX = 60.0

Command = Callable[..., Awaitable[Ended]]


def command(noun: str, kafka: KafkaSettings, folder: Path, more: str = "") -> Command:
    """Runs a verb; `more` is what the configuration says beside where the topics are."""
    names = ("bootstrap_servers", "prefix")
    keys = (f"{name} = {json.dumps(getattr(kafka, name))}\n" for name in names)
    (folder / "shipfeed.toml").write_text("[kafka]\n" + "".join(keys) + more)
    return partial(shipfeed, noun, folder=folder, seconds=SECONDS_MAX)


def objects(ended: Ended) -> list[dict[str, Any]]:
    """What was printed with --json."""
    return [json.loads(line) for line in ended.out.splitlines()]
