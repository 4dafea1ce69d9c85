"""The raw records of one page: the upstream's bytes under their fulfillment key.  Pure.

What the records of a page have in common is put together once: their headers, and the beginning of
their keys.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from bus.partitioning import Partitioner
from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.cursor import Cursor
from schemas.keys import fulfillment_key, quoted
from schemas.message import iso
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
        self._partitions = Partitioner(self._prefix, kafka.partition_count(RAW))
        self._headings: dict[tuple[datetime, bool, frozenset[str]], tuple[str, Heading]] = {}

    def of(self, found: Found, observed_at: datetime) -> Record:
        """The raw record of an observation."""
        place = quoted(found.upstream_id)
        key = self._prefix + place
        backfill = found.history or (
            found.updated_at is not None and found.updated_at < self._cursor.connected_at
        )
        shared = (observed_at, backfill, found.options)
        if shared not in self._headings:
            self._headings[shared] = self._heading(*shared)
        instant, heading = self._headings[shared]
        headers = heading.headers(found.upstream_id, _traceparent(key, instant))
        return Record(self._topic, self._partitions.of(place), key, found.body, headers)

    def _heading(
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
            options=self._facts.options | options,
        )
        return iso(observed_at), provenance.heading


def _traceparent(key: str, instant: str) -> str:
    """W3C trace context derived from content: the same observation, the same trace."""
    digest = hashlib.sha256(f"{key} {instant}".encode()).hexdigest()
    return f"00-{digest[:32]}-{digest[32:48]}-01"
