"""The same work on Quix Streams, exactly once: its state store with changelog, its producer.

The changelog is the state that is written, as `fulfillments` is ours; events go to the same topic
as ours.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from quixstreams import Application, message_context
from quixstreams.state import State

from benchmarks.peers.plain import observed
from bus.service import command_line
from bus.settings import Config, KafkaSettings
from schemas.topics import EVENTS, RAW

NAME = "quix"
# Tuned on two cores: transactions twice or half as long were no faster.
COMMIT_SECONDS = 1.0
FETCHED_KBYTES = 64 * 1024


def application(kafka: KafkaSettings, state: Path) -> Application:
    """It, ready to run."""
    group = f"{kafka.prefix}.{NAME}"
    app = Application(
        broker_address=kafka.bootstrap_servers,
        consumer_group=group,
        processing_guarantee="exactly-once",
        commit_interval=COMMIT_SECONDS,
        auto_offset_reset="earliest",
        state_dir=state,
        consumer_extra_config={"queued.max.messages.kbytes": FETCHED_KBYTES},
        producer_extra_config={"transactional.id": group, "linger.ms": 20},
        loglevel="WARNING",
    )
    raw = app.topic(kafka.topic(RAW), key_deserializer="str", value_deserializer="json")
    events = app.topic(kafka.topic(EVENTS), key_serializer="str", value_serializer="json")
    frame = app.dataframe(raw)
    frame = frame.apply(_told, stateful=True, expand=True, metadata=True)
    frame = frame.set_headers(lambda event, _key, _at, _headers: event[0])
    frame = frame.apply(lambda event: event[1])
    frame.to_topic(events)
    return app


def _told(
    order: dict[str, Any],
    key: str,
    _: int,
    headers: list[tuple[str, bytes]],
    state: State[str, Any],
) -> list[tuple[list[tuple[str, bytes]], dict[str, Any]]]:
    """The events of one record."""
    context = message_context()
    raw = {"topic": context.topic, "partition": context.partition, "offset": context.offset}
    changed, events = observed(order, key, dict(headers), raw, state.get("fulfillment"))
    if changed is not None:
        state.set("fulfillment", changed)
    return events


def main(config: Config) -> None:
    """Until a signal."""
    with TemporaryDirectory(prefix="shipfeed-quix-") as folder:
        application(config.section("kafka", KafkaSettings), Path(folder)).run()


if __name__ == "__main__":
    main(Config.read(command_line(NAME).parse_args().config))
