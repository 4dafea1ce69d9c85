"""`shipfeed cursors`: where each stream's next poll starts."""

from __future__ import annotations

from typing import Any

from bus.settings import KafkaSettings
from console import reading
from console.commands.options import (
    ConfigOption,
    JsonOption,
    KafkaOption,
    kafka_settings,
    show,
    wait_for,
)
from schemas.cursor import Cursor
from schemas.topics import CURSORS

NAME = "cursors"
COLUMNS = ("source", "account", "stream", "position", "succeeded_at", "connected_at", "progress")


def run(config: ConfigOption = None, kafka: KafkaOption = "", json: JsonOption = False) -> None:
    """Show each stream's cursor, its last success, and how far an unfinished sweep has come."""
    settings = kafka_settings(config, kafka)
    show("cursors", COLUMNS, wait_for(_rows(settings)), as_json=json)


async def _rows(kafka: KafkaSettings) -> list[tuple[Any, ...]]:
    values = await reading.table(kafka, CURSORS)
    found = [
        Cursor.model_validate_json(value)
        for key, value in sorted(values.items())
        if key.startswith("cursor/")
    ]
    return [
        (
            cursor.source,
            cursor.account,
            cursor.stream,
            cursor.position,
            cursor.succeeded_at,
            cursor.connected_at,
            "done" if cursor.done else cursor.sweep,
        )
        for cursor in found
    ]
