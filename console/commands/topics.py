"""`shipfeed topics`: the catalogue and what is on the cluster."""

from __future__ import annotations

from typing import Any

from bus import reading
from bus.settings import KafkaSettings
from console.commands.options import (
    ConfigOption,
    JsonOption,
    KafkaOption,
    kafka_settings,
    show,
    wait_for,
)
from schemas.topics import TOPICS

NAME = "topics"
COLUMNS = ("topic", "partitions", "policy", "end_offsets", "key", "record")


def run(config: ConfigOption = None, kafka: KafkaOption = "", json: JsonOption = False) -> None:
    """Show every topic: partitions, cleanup policy, end offsets (commit markers included)."""
    settings = kafka_settings(config, kafka)
    show("topics", COLUMNS, wait_for(_rows(settings)), as_json=json)


async def _rows(kafka: KafkaSettings) -> list[tuple[Any, ...]]:
    rows = []
    for topic in TOPICS:
        ends = await reading.ends(kafka, topic)
        settings = kafka.topic_config(topic)
        rows.append(
            (
                kafka.topic(topic),
                len(ends),
                settings["cleanup.policy"],
                sum(ends.values()),
                topic.key,
                topic.record,
            )
        )
    return rows
