"""One subscriber's reading: what goes out over its stream or into its page, and when that ends.

Where events come from and what time it is are arguments; the subscriber keeps the cursor, so
nothing is remembered here and nothing is lost when it breaks off at any point.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bus.clock import Clock
from schemas.events import Envelope
from services.notifier.events import Event

RETRY_MS = 2_000  # what a reader is asked to wait before it connects again
BUFFER_BYTES_MAX = 64 * 1024  # of frames that wait for their reader, and one event more
PAGE_BYTES_MAX = 4 * 1024 * 1024  # of events in one page, and one event more
SCAN_SECONDS_MAX = 10.0  # for one page, when few events are wanted

_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")


@dataclass(frozen=True, slots=True)
class Read:
    """Events with their partitions, in order within each, and where to go on behind them."""

    events: Sequence[tuple[int, Event]]
    after: Mapping[int, int]


class Source(Protocol):
    """Events of all partitions, from certain offsets on."""

    async def read(self) -> Read:
        """What there is, a bounded number; nothing after a short wait.  Raises RetryLater."""

    async def ends(self) -> Mapping[int, int]:
        """The offsets behind what is committed now.  Raises RetryLater."""


class Reading:
    """All before `offsets` was handed over, or was not wanted."""

    def __init__(
        self, source: Source, wanted: Callable[[Event], bool], offsets: Mapping[int, int]
    ) -> None:
        self.source = source
        self.offsets = dict(offsets)
        self._wanted = wanted

    async def next(self) -> Iterator[Event]:
        """What is wanted of one read; `offsets` move with each event taken.  Raises RetryLater."""
        return self._passing(await self.source.read())

    async def caught_up(self) -> Callable[[], bool]:
        """Whether all that was committed at this call is passed.  Raises RetryLater."""
        ends = await self.source.ends()
        return lambda: all(self.offsets[number] >= end for number, end in ends.items())

    def _passing(self, read: Read) -> Iterator[Event]:
        for partition, event in read.events:
            self.offsets[partition] = event.offset + 1
            if self._wanted(event):
                yield event
        self.offsets.update(read.after)


async def frames(
    reading: Reading,
    cursor: Callable[[Mapping[int, int]], str],
    clock: Clock,
    *,
    heartbeat_seconds: float,
    over: Callable[[], str | None],
) -> AsyncGenerator[bytes]:
    """Server-sent events, each with the cursor behind it, until `over` gives a reason.

    Frames of one read wait together, at most `BUFFER_BYTES_MAX` and one event.  A heartbeat is a
    comment with the cursor, so that one that stands still does not grow old.  Raises RetryLater.
    """
    yield f"retry: {RETRY_MS}\n".encode() + _beat("open", cursor(reading.offsets))
    spoke_at = clock.monotonic()
    while (reason := over()) is None:
        waiting = b""
        for event in await reading.next():
            waiting += frame(event.envelope, cursor(reading.offsets))
            if len(waiting) >= BUFFER_BYTES_MAX:
                yield waiting
                waiting, spoke_at = b"", clock.monotonic()
        if not waiting and clock.monotonic() - spoke_at >= heartbeat_seconds:
            waiting = _beat("heartbeat", cursor(reading.offsets))
        if waiting:
            yield waiting
            spoke_at = clock.monotonic()
    yield _beat(f"end: {reason}", cursor(reading.offsets))


async def page(
    reading: Reading,
    clock: Clock,
    *,
    limit: int,
    wait_seconds: float,
    over: Callable[[], str | None],
) -> list[Envelope]:
    """Up to `limit` events, waiting for the first one at most so long.  Raises RetryLater.

    Fewer come when there are no more, they grow large, or few of many are wanted: the offsets of
    `reading` say how far it has come.
    """
    found: list[Envelope] = []
    began, size = clock.monotonic(), 0
    caught_up = await reading.caught_up()
    while True:
        if caught_up():
            waited = clock.monotonic() - began >= wait_seconds
            if found or waited or over() is not None:
                return found
        elif clock.monotonic() - began >= max(wait_seconds, SCAN_SECONDS_MAX):
            return found
        for event in await reading.next():
            found.append(event.envelope)
            size += len(event.envelope.data)
            if len(found) >= limit or size >= PAGE_BYTES_MAX:
                return found


def frame(envelope: Envelope, cursor: str) -> bytes:
    """One event: id, type, and the structured CloudEvent on one line.

    A line break in JSON can only stand between its tokens; in a type it can only be an attack.
    """
    name, data = envelope.type.encode().translate(_ONE_LINE), envelope.structured()
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        cursor.encode(),
        name,
        data.translate(_ONE_LINE),
    )


def _beat(comment: str, cursor: str) -> bytes:
    """A comment, and an id without an event: readers keep it and tell nobody."""
    return f": {comment}\nid: {cursor}\n\n".encode()
