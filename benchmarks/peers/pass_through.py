"""Raw copied to events by the machinery all services share: consumer, committer, transaction.

What any work on a record costs is what the normalizer needs beside this.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from aiokafka import ConsumerRecord, TopicPartition

from bus.clock import SystemClock
from bus.committer import Committer
from bus.consumer import PartitionConsumer
from bus.errors import RetryLater
from bus.service import HttpSettings, command_line, run
from bus.settings import Config, KafkaSettings
from bus.transaction import Record, Transaction, Writer
from schemas.topics import EVENTS, RAW

NAME = "pass-through"


class Copying:
    """One partition: every record of a batch, and the batch's offsets, in one transaction."""

    def __init__(
        self, kafka: KafkaSettings, partition: int, broken: Callable[[RetryLater], None]
    ) -> None:
        self._raw = TopicPartition(kafka.topic(RAW), partition)
        self._events = kafka.topic(EVENTS)
        self._group = f"{kafka.prefix}.{NAME}"
        self._writer = Writer(kafka, f"{self._group}.{self._raw.topic}.{partition}")
        self._broken = broken
        self._committer: Committer | None = None

    async def open(self) -> None:
        """There is no state to restore.  Raises RetryLater."""
        await self._writer.start()
        self._committer = Committer(self._writer, self._broken)

    async def handle(self, records: Sequence[ConsumerRecord]) -> None:
        """Copy a batch.  Raises RetryLater."""
        assert self._committer is not None, "open came first"
        copies = [
            Record(
                self._events,
                self._raw.partition,
                record.key.decode(),
                record.value,
                record.headers,
            )
            for record in records
        ]
        offsets = {self._raw: records[-1].offset + 1}
        await self._committer.commit(Transaction(copies, offsets, self._group))

    async def close(self) -> None:
        """Finish what is being committed."""
        closing = self._committer or self._writer
        await closing.close()


class PassThrough:
    """The service `bus.service.run` drives."""

    def __init__(self, kafka: KafkaSettings, end: Callable[[BaseException], None]) -> None:
        self._consumer = PartitionConsumer(
            kafka,
            RAW,
            f"{kafka.prefix}.{NAME}",
            lambda number, broken: Copying(kafka, number, broken),
            clock=SystemClock(),
            on_fatal=end,
        )

    async def start(self) -> None:
        """Join the group."""
        await self._consumer.start()

    async def stop(self) -> None:
        """Leave it."""
        await self._consumer.stop()

    def health(self) -> dict[str, object]:
        """Nobody watches it."""
        return {"ok": True, "ready": bool(self._consumer.owned)}


async def build(config: Config, end: Callable[[BaseException], None]) -> PassThrough:
    """It, as the configuration says.  Raises BadConfig."""
    return PassThrough(config.section("kafka", KafkaSettings), end)


if __name__ == "__main__":
    arguments = command_line(NAME).parse_args()
    sys.exit(run(NAME, HttpSettings, build, arguments.config))
