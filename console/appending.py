"""Records that a command appends to a topic: what comes of them is for its readers to judge."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bus.settings import KafkaSettings
from bus.transaction import Reach, Record, Transaction, Writer
from schemas.topics import RAW, Topic

RECORDS_MAX = 500  # in one transaction
BYTES_MAX = 4 * 1024 * 1024


class Appending:
    """Takes records in, commits them in transactions of bounded size."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._records: list[Record] = []
        self._bytes = 0

    async def add(self, record: Record) -> None:
        """Raises Fenced when the same command runs elsewhere, TransactionLost, SetAside."""
        self._records.append(record)
        self._bytes += record.bytes_on_wire
        if len(self._records) >= RECORDS_MAX or self._bytes >= BYTES_MAX:
            await self.flush()

    async def flush(self) -> None:
        """Returns when all that was added is durable.  Raises like `add`."""
        if self._records:
            await self._writer.commit(Transaction(self._records))
        self._records, self._bytes = [], 0


@asynccontextmanager
async def appending(
    kafka: KafkaSettings, work: str, topic: Topic = RAW
) -> AsyncIterator[Appending]:
    """A writer named for the work, for as long as the block; what is left is written at its end.

    Raises RetryLater.
    """
    count = kafka.partition_count(topic)
    reach = Reach(tuple((kafka.topic(topic), number) for number in range(count)))
    writer = Writer(kafka, f"{kafka.prefix}.{work}", reach)
    await writer.start()
    try:
        found = Appending(writer)
        yield found
        await found.flush()
    finally:
        await writer.close()
