"""Streams over real HTTP: followed and pulled, resumed on any copy, ended with their cursors."""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import suppress
from pathlib import Path

import httpx2

from bus.settings import KafkaSettings
from tests.broker.notifying import by_order, emit, notifying
from tests.broker.reading import until
from tests.broker.streaming import (
    Shown,
    events,
    following,
    last,
    process,
    pulled,
    readers,
    served,
    stream,
)

ORDERS = 12


async def test_a_stream_shows_what_is_there_and_what_comes(topics: KafkaSettings) -> None:
    """Each event once, in order within a fulfillment, as a CloudEvent of its type."""
    await emit(topics, range(ORDERS), 1)
    async with (
        notifying(topics, stream()) as copy,
        served(copy) as url,
        following(url) as shown,
    ):
        before = await events(shown, ORDERS)
        await emit(topics, range(ORDERS), 2)
        after = await events(shown, ORDERS)

    seen = [one.event for one in before + after if one.event]
    assert by_order([one["subject"] for one in seen]) == {n: [1, 2] for n in range(ORDERS)}
    assert {one.type for one in before + after} == {"package.shipped"}
    assert {one["specversion"] for one in seen} == {"1.0"}


async def test_a_pull_gives_pages_without_a_gap(topics: KafkaSettings) -> None:
    """Behind the cursor of the one before; an empty page is the end for now."""
    await emit(topics, range(ORDERS), 1)
    async with notifying(topics, stream()) as copy, served(copy) as url:
        pages = [(await pulled(url, limit=5))[1]]
        while pages[-1]["events"]:
            pages.append((await pulled(url, limit=5, cursor=pages[-1]["cursor"]))[1])

    assert [len(one["events"]) for one in pages] == [5, 5, 2, 0]
    subjects = [event["subject"] for one in pages for event in one["events"]]
    assert by_order(subjects) == {n: [1] for n in range(ORDERS)}


async def test_a_reader_goes_on_over_copies_and_a_kill(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """Nothing is lost and nothing comes twice by its cursor, followed and then pulled."""
    seen: list[Shown] = []
    async with (
        process(topics, folder(tmp_path, "a"), stream()) as (first, first_url),
        process(topics, folder(tmp_path, "b"), stream()) as (_, second_url),
    ):
        for revision in range(1, 4):
            await emit(topics, range(ORDERS), revision)
        async with following(first_url) as shown:
            seen += await events(shown, ORDERS + 1)
            first.kill()
            with suppress(httpx2.TransportError):
                seen += [one async for one in shown if one.event]
        await emit(topics, range(ORDERS), 4)
        async with following(second_url, cursor=seen[-1].id) as shown:
            seen += await events(shown, 4 * ORDERS - 5 - len(seen))
        _, rest = await pulled(second_url, cursor=seen[-1].id)

    subjects = [one.event["subject"] for one in seen if one.event]
    subjects += [event["subject"] for event in rest["events"]]
    assert len(rest["events"]) == 5
    assert by_order(subjects) == {n: [1, 2, 3, 4] for n in range(ORDERS)}


async def test_a_copy_that_stops_ends_its_streams(topics: KafkaSettings, tmp_path: Path) -> None:
    """Cleanly, with the cursor to go on from elsewhere; the copy itself stops in time."""
    async with process(topics, folder(tmp_path, "a"), stream()) as (copy, url):
        await emit(topics, range(ORDERS), 1)
        async with following(url) as shown:
            seen = await events(shown, ORDERS)
            copy.terminate()
            end = await last(shown)
        assert await copy.wait() == 0
    await emit(topics, range(ORDERS), 2)
    async with (
        notifying(topics, stream()) as other,
        served(other) as url,
        following(url, cursor=end.id) as shown,
    ):
        seen += await events(shown, ORDERS)

    assert end.comment == "end: this copy stops"
    subjects = [one.event["subject"] for one in seen if one.event]
    assert by_order(subjects) == {n: [1, 2] for n in range(ORDERS)}


async def test_a_reader_that_reads_no_more_is_cut_off_and_comes_again(
    topics: KafkaSettings,
) -> None:
    """It loses its connection and nothing else, however much was under way to it."""
    for revision in range(1, 101):
        await emit(topics, [1], revision, padding=100_000)  # more than sockets take in between
    async with notifying(topics, stream(), stream_stall_seconds=0.5) as copy, served(copy) as url:
        port = httpx2.URL(url).port or 0
        lazy = socket.create_connection(("127.0.0.1", port))
        lazy.setblocking(False)
        head = f"GET /v1/subscriptions/reader/stream HTTP/1.1\r\nhost: localhost:{port}\r\n\r\n"
        request = head.encode()
        await asyncio.get_running_loop().sock_sendall(lazy, request)
        await until(lambda: is_read_by(url, 1))
        await until(lambda: is_read_by(url, 0))
        with lazy:
            received = await to_the_end(lazy)
    async with notifying(topics, stream()) as other, served(other) as url:
        whole, _, _ = received.rpartition(b"\n\n")
        cursor = re.findall(rb"^id: (\S+)$", whole, re.MULTILINE)[-1].decode()
        before = re.findall(rb'"subject": "(pkg_1_\d+)"', whole)
        async with following(url, cursor=cursor) as shown:
            after = await events(shown, 100 - len(before))

    assert 0 < len(before) < 100
    subjects = [one.decode() for one in before] + [
        one.event["subject"] for one in after if one.event
    ]
    assert by_order(subjects) == {1: list(range(1, 101))}


async def is_read_by(url: str, count: int) -> bool:
    return await readers(url) == count


async def to_the_end(connection: socket.socket) -> bytes:
    """What a socket still gives until the other side is gone."""
    received = b""
    with suppress(ConnectionError):
        while part := await asyncio.get_running_loop().sock_recv(connection, 1024 * 1024):
            received += part
    return received


async def test_a_quiet_stream_beats(topics: KafkaSettings) -> None:
    """With a cursor that moves over what is not wanted, so that it never grows too old."""
    async with (
        notifying(topics, stream(types=["fulfillment.*"]), stream_heartbeat_seconds=0.2) as copy,
        served(copy) as url,
        following(url) as shown,
    ):
        opening = await anext(shown)
        await emit(topics, range(ORDERS), 1)
        async for one in shown:
            assert one.comment == "heartbeat"
            if one.id != opening.id:
                break
        _, page = await pulled(url, cursor=one.id)

    assert page["events"] == []


def folder(parent: Path, name: str) -> Path:
    made = parent / name
    made.mkdir()
    return made
