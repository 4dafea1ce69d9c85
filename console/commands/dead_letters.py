"""`shipfeed dead-letters`: what was set aside, and why."""

from __future__ import annotations

from typing import Any

from bus.settings import KafkaSettings
from console import reading
from console.commands.options import (
    ConfigOption,
    CountOption,
    JsonOption,
    KafkaOption,
    kafka_settings,
    show,
    wait_for,
)
from schemas.dead_letter import DeadLetter
from schemas.topics import DEAD_LETTERS

NAME = "dead-letters"
COLUMNS = ("at", "service", "key", "reason", "path", "origin", "place", "size_bytes")


def run(
    config: ConfigOption = None,
    kafka: KafkaOption = "",
    count: CountOption = 50,
    json: JsonOption = False,
) -> None:
    """Show the newest records that could not go on; the record itself is on the topic, whole."""
    settings = kafka_settings(config, kafka)
    show("dead letters", COLUMNS, wait_for(_rows(settings, count)), as_json=json)


async def _rows(kafka: KafkaSettings, count: int) -> list[tuple[Any, ...]]:
    rows = []
    for record in await reading.newest(kafka, DEAD_LETTERS, count):
        letter = DeadLetter.read(dict(record.headers))
        key, place = (record.key or b"").decode(), f"{record.partition}/{record.offset}"
        size = len(record.value or b"")
        rows.append(
            (letter.at, letter.service, key, letter.reason, letter.path, letter.origin, place, size)
        )
    return rows
