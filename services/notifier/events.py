"""Events as read from Kafka, and a reader that fetches them again by offset."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiokafka import ConsumerRecord

from bus.clock import Clock
from bus.failures import NEVER_OF_A_RECORD
from bus.settings import KafkaSettings
from schemas.events import Envelope
from schemas.topics import EVENTS
from services.notifier.fetching import Fetcher

CACHE_BYTES_MAX = 8 * 1024 * 1024  # for one partition
CHUNK_RECORDS_MAX = 500


class _Data(msgspec.Struct):
    """All that is looked at in every event's data: to build the rest would cost ten times that."""

    backfill: Any = False
    echo: Any = False


_DATA = msgspec.json.Decoder(_Data)


class Event(msgspec.Struct, frozen=True, gc=False):
    """One record of the events topic; its retention counts from `at`, the record's own time."""

    offset: int
    at: datetime
    key: str
    headers: tuple[tuple[str, bytes], ...]
    envelope: Envelope
    backfill: bool
    echo: bool = False

    @classmethod
    def of(cls, record: ConsumerRecord) -> Event:
        """Raises ValueError when it is no CloudEvent of ours."""
        envelope = Envelope.read(dict(record.headers), record.value or b"")
        str(envelope.data, "utf-8")  # the decoder checks no text that it passes over
        try:
            data = _DATA.decode(envelope.data)
        except RecursionError as error:
            raise ValueError("its data nest deeper than any reader goes") from error
        return cls(
            offset=record.offset,
            at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
            key=(record.key or b"").decode(errors="replace"),
            headers=tuple((name, value or b"") for name, value in record.headers),
            envelope=envelope,
            backfill=data.backfill is True,
            echo=data.echo is True,
        )


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that is no event; `error` is a ValueError, or what nobody planned for."""

    record: ConsumerRecord
    error: Exception

    @property
    def unforeseen(self) -> Exception | None:
        """What it failed with, unless it was found to be no event."""
        return None if isinstance(self.error, ValueError) else self.error


def events_of(records: Iterable[ConsumerRecord]) -> tuple[list[Event], list[Unreadable]]:
    """What can be read, and what cannot."""
    events: list[Event] = []
    unreadable: list[Unreadable] = []
    for record in records:
        try:
            events.append(Event.of(record))
        except NEVER_OF_A_RECORD:
            raise
        except Exception as error:
            unreadable.append(Unreadable(record, error))
    return events, unreadable


class EventReader:
    """Events of one partition by offset, the last used ones kept within `CACHE_BYTES_MAX`."""

    def __init__(self, kafka: KafkaSettings, partition: int, clock: Clock) -> None:
        self._fetcher = Fetcher(kafka, EVENTS, partition, clock)
        self._kept: OrderedDict[int, Event] = OrderedDict()
        self._kept_bytes = 0
        self._missed = asyncio.Lock()

    async def start(self) -> None:
        """Raises RetryLater."""
        await self._fetcher.start()

    async def close(self) -> None:
        """Let go of the connection."""
        await self._fetcher.close()

    def keep(self, events: Iterable[Event]) -> None:
        """Remember events that are about to be asked for; the oldest ones make room."""
        for event in events:
            if event.offset not in self._kept:
                self._kept[event.offset] = event
                self._kept_bytes += len(event.envelope.data)
        while self._kept_bytes > CACHE_BYTES_MAX and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped.envelope.data)

    async def one(self, offset: int) -> Event | None:
        """The event at `offset`, None when it is not on the topic any more.  Raises RetryLater."""
        if offset not in self._kept:
            async with self._missed:  # many ask together: what one fetches serves the others
                if offset not in self._kept:
                    events, _ = events_of(await self._fetcher.at(offset, CHUNK_RECORDS_MAX))
                    self.keep(reversed(events))  # the wanted one last, so that it is kept
        if offset in self._kept:
            self._kept.move_to_end(offset)
        return self._kept.get(offset)

    async def first(self) -> int:
        """The oldest offset that the topic still has.  Raises RetryLater."""
        return await self._fetcher.first()

    async def chunk(
        self, offset: int, count_max: int = CHUNK_RECORDS_MAX
    ) -> tuple[Sequence[Event], int]:
        """Committed events from `offset` on and the offset to go on from.

        Both empty-handed and unmoved when there is nothing yet.  Raises RetryLater.
        """
        records, after = await self._fetcher.fetch(offset, count_max)
        return events_of(records)[0], after
