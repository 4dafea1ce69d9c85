"""The raw records of one page: the upstream's bytes under their fulfillment key.  Pure.

What the records of a page have in common is put together once: most of their headers, and the
beginning of their keys.
"""

from __future__ import annotations

from datetime import datetime

from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.cursor import Cursor
from schemas.keys import fulfillment_key, quoted
from schemas.raw import Heading, Provenance
from schemas.topics import RAW
from services.poller.source import Facts, Found


class Raws:
    """Makes them for the stream with these facts, standing at this cursor."""

    def __init__(self, cursor: Cursor, facts: Facts, kafka: KafkaSettings) -> None:
        self.kafka = kafka
        self._cursor = cursor
        self._facts = facts
        self._topic = kafka.topic(RAW)
        self._prefix = fulfillment_key(cursor.source, cursor.account, facts.resource, "")
        self._partition_count = kafka.partition_count(RAW)
        # Most records of a page share one, so it is at hand without hashing what it depends on.
        self._shared: tuple[datetime, bool, frozenset[str]] | None = None
        self._heading: tuple[str, Heading] = ("", Heading((), (), ()))

    def of(self, found: Found, content: str, observed_at: datetime) -> Record:
        """The raw record of an observation; `content` is the digest of what was observed."""
        key = self._prefix + quoted(found.upstream_id)
        backfill = found.history or (
            found.updated_at is not None and found.updated_at < self._cursor.connected_at
        )
        shared = (observed_at, backfill, found.options)
        if shared != self._shared:
            self._shared, self._heading = shared, self._head(*shared)
        moment, heading = self._heading
        headers = heading.headers(found.upstream_id, _traceparent(content, moment))
        partition = partition_of(key, self._partition_count)
        return Record(self._topic, partition, key, found.body, headers)

    def _head(
        self, observed_at: datetime, backfill: bool, options: frozenset[str]
    ) -> tuple[str, Heading]:
        provenance = Provenance(
            source=self._cursor.source,
            account=self._cursor.account,
            resource=self._facts.resource,
            stream=self._facts.name,
            upstream_id="",
            observed_at=observed_at,
            backfill=backfill,
            connected_at=self._cursor.connected_at,
            options=self._facts.options | options,
        )
        return f"{round(observed_at.timestamp() * 1e6):016x}", provenance.heading


def _traceparent(content: str, moment: str) -> str:
    """W3C trace context: the same content observed at the same moment, the same trace."""
    return f"00-{content[:16]}{moment}-{content[16:32]}-01"
