"""What a reader of a stream is shown: every event once, hearts that beat, pages that end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.clock import SystemClock
from schemas.events import Envelope
from services.notifier.events import Event
from services.notifier.serving import (
    BUFFER_BYTES_MAX,
    PAGE_BYTES_MAX,
    SCAN_SECONDS_MAX,
    Read,
    Reading,
    frames,
    page,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WAIT_SECONDS = 0.5  # that an empty read takes on the hand-moved clock
HEARTBEAT_SECONDS = 15.0


class HandClock(SystemClock):
    """Moves when a `Scripted` source reads."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


class Scripted:
    """Events of one partition as a script of reads; behind it there is nothing for ever."""

    def __init__(self, clock: HandClock, *reads: Sequence[Event]) -> None:
        self.clock = clock
        self._reads = list(reads)
        self._after = 0

    async def read(self) -> Read:
        found = self._reads.pop(0) if self._reads else []
        self.clock.seconds += 0 if found else WAIT_SECONDS
        self._after = found[-1].offset + 1 if found else self._after
        return Read([(0, event) for event in found], {0: self._after})

    async def ends(self) -> Mapping[int, int]:
        last = [events[-1].offset + 1 for events in self._reads if events]
        return {0: max(last, default=self._after)}


def event(offset: int, type_: str = "package.shipped", data: bytes = b"{}") -> Event:
    attributes = {"id": f"evt_{offset}", "type": type_, "partitionkey": "a/b/c/1", "time": "x"}
    envelope = Envelope(attributes=attributes, data=data)
    return Event(
        offset=offset, at=NOW, key="a/b/c/1", headers=(), envelope=envelope, backfill=False
    )


def reading(
    *reads: Sequence[Event], wanted: Callable[[Event], bool] = lambda _: True
) -> tuple[Reading, HandClock]:
    clock = HandClock()
    return Reading(Scripted(clock, *reads), wanted, {0: 0}), clock


def following(
    found: Reading, clock: HandClock, over: Callable[[], str | None] = lambda: None
) -> AsyncGenerator[bytes]:
    return frames(
        found,
        lambda offsets: f"at-{offsets[0]}",
        clock,
        heartbeat_seconds=HEARTBEAT_SECONDS,
        over=over,
    )


def blocks(text: bytes) -> list[bytes]:
    return text.removesuffix(b"\n\n").split(b"\n\n")


async def test_each_event_carries_the_cursor_behind_it() -> None:
    """What is passed over for not being wanted counts into the next one."""
    found, clock = reading(
        [event(0), event(1, "package.created"), event(2)],
        wanted=lambda one: one.envelope.type == "package.shipped",
    )

    async with aclosing(following(found, clock)) as stream:
        opening, shown = [await anext(stream) for _ in range(2)]

    assert opening == b"retry: 2000\n: open\nid: at-0\n\n"
    assert [block.split(b"\n")[:2] for block in blocks(shown)] == [
        [b"id: at-1", b"event: package.shipped"],
        [b"id: at-3", b"event: package.shipped"],
    ]


async def test_a_quiet_stream_beats_and_brings_its_cursor_along() -> None:
    """Each 15 seconds, a comment and an id that no reader takes for an event."""
    found, clock = reading([event(0)], wanted=lambda _: False)

    async with aclosing(following(found, clock)) as stream:
        await anext(stream)
        first, second = [(await anext(stream), clock.seconds) for _ in range(2)]

    assert first == (b": heartbeat\nid: at-1\n\n", HEARTBEAT_SECONDS)
    assert second == (b": heartbeat\nid: at-1\n\n", 2 * HEARTBEAT_SECONDS)


async def test_a_stream_says_why_it_ends_and_where() -> None:
    """Its last cursor is behind all that was shown."""
    found, clock = reading([event(0)])
    reasons = iter([None, "this copy stops"])

    shown = [one async for one in following(found, clock, over=lambda: next(reasons))]

    assert shown[-1] == b": end: this copy stops\nid: at-1\n\n"
    assert len(shown) == 3


@given(st.lists(st.integers(1, BUFFER_BYTES_MAX * 2), max_size=12))
async def test_what_waits_for_a_reader_is_bounded(sizes: list[int]) -> None:
    """However large events are: the bound, and the event that went over it."""
    events = [event(n, data=b'"%b"' % (b"x" * size)) for n, size in enumerate(sizes)]
    found, clock = reading(events)
    reasons = iter([None, "done"])

    shown = [one async for one in following(found, clock, over=lambda: next(reasons))][1:-1]

    ids = [block.split(b"\n")[0] for one in shown for block in blocks(one)]
    assert ids == [b"id: at-%d" % (n + 1) for n in range(len(events))]
    for one in shown:
        *before, last = blocks(one)
        assert sum(len(block) + 2 for block in before) < BUFFER_BYTES_MAX
        assert last


@pytest.mark.parametrize("line_break", ["\r", "\n", "\r\n"])
async def test_no_event_can_add_a_line(line_break: str) -> None:
    """Neither by its type nor by how its JSON is written."""
    forged = f"package.shipped{line_break}id: stolen"
    data = f'{{"a":{line_break}{line_break}1}}'.encode()
    found, clock = reading([event(0, forged, data)])

    async with aclosing(following(found, clock)) as stream:
        _, shown = [await anext(stream) for _ in range(2)]

    assert b"\r" not in shown
    assert [line.split(b":")[0] for line in shown.split(b"\n")] == [
        b"id",
        b"event",
        b"data",
        b"",
        b"",
    ]


@given(
    st.lists(st.lists(st.booleans(), max_size=8), max_size=8),
    st.integers(1, 5),
)
async def test_pages_behind_each_other_hold_every_wanted_event_once(
    script: list[list[bool]], limit: int
) -> None:
    """Whatever comes together in one read, and wherever a page is full."""
    numbers = iter(range(1000))
    reads = [[(next(numbers), wish) for wish in chunk] for chunk in script]
    everything = [pair for chunk in reads for pair in chunk]
    wanted = {offset for offset, wish in everything if wish}
    offsets, seen = {0: 0}, []

    for _ in range(len(everything) + 1):
        left = [[event(n) for n, _ in chunk if n >= offsets[0]] for chunk in reads]
        clock = HandClock()
        source = Scripted(clock, *[chunk for chunk in left if chunk])
        found = Reading(source, lambda one: one.offset in wanted, offsets)
        got = await page(found, clock, limit=limit, wait_seconds=0, over=lambda: None)
        assert len(got) <= limit
        seen += [one.id for one in got]
        if found.offsets[0] <= offsets[0]:
            break
        offsets = found.offsets

    assert seen == [f"evt_{offset}" for offset in sorted(wanted)]


async def test_an_empty_page_waits_for_the_first_event() -> None:
    """As long as it is asked to, no longer."""
    found, clock = reading([], [], [event(0)])
    assert len(await page(found, clock, limit=9, wait_seconds=30, over=lambda: None)) == 1
    assert clock.seconds == 2 * WAIT_SECONDS

    found, clock = reading()
    assert await page(found, clock, limit=9, wait_seconds=3, over=lambda: None) == []
    assert clock.seconds == 3


async def test_a_waiting_page_ends_with_its_copy() -> None:
    """A copy that stops keeps nobody waiting."""
    found, clock = reading()
    reasons = iter([None, "this copy stops"])

    assert await page(found, clock, limit=9, wait_seconds=30, over=lambda: next(reasons)) == []
    assert clock.seconds == WAIT_SECONDS


async def test_a_long_search_ends_with_its_cursor() -> None:
    """One that finds nothing in ten seconds says how far it came."""
    clock = HandClock()
    far = Reading(_Endless(clock), lambda _: False, {0: 0})

    assert await page(far, clock, limit=9, wait_seconds=0, over=lambda: None) == []
    assert (clock.seconds, far.offsets) == (SCAN_SECONDS_MAX, {0: 10})


class _Endless:
    """An event a second, and always more of them."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock

    async def read(self) -> Read:
        offset = int(self._clock.seconds)
        self._clock.seconds += 1
        return Read([(0, event(offset))], {0: offset + 1})

    async def ends(self) -> Mapping[int, int]:
        return {0: 1_000_000}


async def test_a_page_of_large_events_is_cut() -> None:
    """At the one that goes over the bound; the next page has the rest."""
    large = b'"%b"' % (b"x" * (PAGE_BYTES_MAX // 2))
    found, clock = reading([event(n, data=large) for n in range(5)])

    got = await page(found, clock, limit=9, wait_seconds=0, over=lambda: None)

    assert [one.id for one in islice(got, 9)] == ["evt_0", "evt_1"]
    assert found.offsets == {0: 2}


class _Marked:
    """One event, and behind it the mark of its transaction's end, which is no record."""

    def __init__(self) -> None:
        self._reads = [Read([(0, event(0))], {0: 1}), Read([], {0: 2})]

    async def read(self) -> Read:
        return self._reads.pop(0)

    async def ends(self) -> Mapping[int, int]:
        return {0: 2}


async def test_the_end_of_a_transaction_is_passed_like_an_event() -> None:
    """Else a page would look for what is not there, and its cursor stand before the mark."""
    found = Reading(_Marked(), lambda _: True, {0: 0})

    got = await page(found, HandClock(), limit=9, wait_seconds=0, over=lambda: None)

    assert [one.id for one in got] == ["evt_0"]
    assert found.offsets == {0: 2}
