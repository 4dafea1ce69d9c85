"""One slot: its accounts' state restored from Kafka, their streams running, one writer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog
from aiokafka import ConsumerRecord

from bus.clock import Clock
from bus.committer import Committer
from bus.errors import RetryLater
from bus.settings import KafkaSettings
from bus.table import Table
from bus.transaction import Reach, Transaction, Writer
from schemas.cursor import Cursor, cursor_key
from schemas.keys import slot_of
from schemas.topics import CURSORS, DEAD_LETTERS, RAW
from services.poller.account import Account, Surroundings
from services.poller.settings import PollerSettings
from services.poller.source import AccountSettings, Stream
from services.poller.sources import sources
from services.poller.standing import meaning_changed, start_from_warnings
from services.poller.stream import HELD, StreamTask

log = structlog.get_logger(__name__)


class Slot:
    """The owner of one partition of cursors (bus.consumer.Owned)."""

    def __init__(
        self,
        number: int,
        kafka: KafkaSettings,
        poller: PollerSettings,
        accounts: Sequence[AccountSettings],
        *,
        clock: Clock,
        broken: Callable[[RetryLater], None],
    ) -> None:
        self.streams: list[StreamTask] = []
        self._kafka = kafka
        self._poller = poller
        self._settings = accounts
        self._clock = clock
        self._broken = broken
        self.table = Table(kafka, CURSORS, number)
        self._writer = writer_of(kafka, number)
        self._committer: Committer | None = None
        self._accounts: list[Account] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Fence the older owner, restore, keep new cursors, start the streams.

        Raises RetryLater.
        """
        await self._writer.start()
        await self.table.restore()
        self._committer = Committer(self._writer, self._broken)
        around = Surroundings(self._kafka, self._poller, self._clock, self.table, self._committer)
        for settings in self._settings:
            source = sources()[settings.source]
            self._accounts.append(Account(around, settings, source.rate, source.login(settings)))
            self.streams += stream_tasks(self._accounts[-1])
        await self._keep_new_cursors(self._committer)
        for stream in self.streams:
            self._tasks.append(asyncio.create_task(stream.run(), name=stream.facts.name))
        if any(not stream.cursor_unreadable for stream in self.streams):
            self._tasks.append(asyncio.create_task(self._notice(self._committer), name="notice"))
        for task in self._tasks:
            task.add_done_callback(self._ended)

    async def handle(self, records: Sequence[ConsumerRecord]) -> None:
        """Nothing is consumed: what is on cursors was written by this slot."""

    async def close(self) -> None:
        """End the streams, finish or abort what is being written."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stream in self.streams:
            stream.leave()
        await asyncio.gather(*(one.close() for one in self._accounts), return_exceptions=True)
        if self._committer is not None:
            await self._committer.close()
        else:
            await self._writer.close()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task that failed leaves its stream undone: the slot begins anew."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        if not isinstance(error, RetryLater):
            log.error("poller.stream_failed", error=repr(error), exc_info=error)
            error = RetryLater(f"{task.get_name()}: {error!r}")
        self._broken(error)

    async def _keep_new_cursors(self, committer: Committer) -> None:
        """When an account was connected must survive a restart before its first good page."""
        cursors = [stream.cursor for stream in self.streams if not stream.cursor_unreadable]
        put = [self.table.put(cursor.key, cursor.to_json()) for cursor in cursors]
        new = [record for record in put if self.table.get(record.key) != record.value]
        if new:
            await committer.commit(Transaction(new))
            self.table.apply(new)

    async def _notice(self, committer: Committer) -> None:
        """Commit now and then, whatever the streams do: so a slot whose streams all wait or stand
        still learns, too, that an operator has written its cursors.
        """
        seconds = min(settings.poll_interval_seconds for settings in self._settings)
        with suppress(RetryLater):  # `broken` has been told
            while True:
                await self._clock.sleep(seconds)
                cursor = next(one.cursor for one in self.streams if not one.cursor_unreadable)
                await committer.commit(Transaction([self.table.put(cursor.key, cursor.to_json())]))


def writer_of(kafka: KafkaSettings, number: int) -> Writer:
    """The one writer of a slot; its accounts have fulfillments in every partition."""
    shared = [
        (kafka.topic(topic), n) for topic in (RAW, DEAD_LETTERS) for n in range(kafka.partitions)
    ]
    reach = Reach(((kafka.topic(CURSORS), number), *shared))
    return Writer(kafka, f"{kafka.prefix}.poll.{number}", reach)


def home_of(source: str, account: str, slots: int) -> int:
    """The slot of an account; accounts that share a budget live together (design 4)."""
    return slot_of(source, "" if sources()[source].rate.shared else account, slots)


def stream_tasks(account: Account) -> list[StreamTask]:
    """The account's streams with their cursors; all begin where the account was connected."""
    settings, around = account.settings, account.around
    streams = sources()[settings.source].streams(settings)
    known, unreadable = list[Cursor](), dict[str, str]()
    for key, value in around.table.below(cursor_key(settings.source, settings.name, "")):
        try:
            known.append(Cursor.model_validate_json(value))
        except ValueError as error:
            around.table.hold(key, value, error)
            unreadable[key] = f"its cursor {key} cannot be read: {HELD}"
    facts = [stream.facts for stream in streams]
    for advice in start_from_warnings(known, facts, settings.start_from):
        log.warning("poller.start_from_edited", account=settings.label, advice=advice)
    connected_at = min((cursor.connected_at for cursor in known), default=around.clock.now())
    by_stream = {cursor.stream: cursor for cursor in known}
    tasks = []
    for stream in streams:
        cursor = by_stream.get(stream.facts.name)
        started = Cursor(
            source=settings.source,
            account=settings.name,
            stream=stream.facts.name,
            connected_at=connected_at,
            fingerprint=stream.facts.fingerprint,
        )
        why = unreadable.get(started.key, "")
        continued = _continued(cursor, started, stream, settings)
        tasks.append(StreamTask(account, stream, continued, why))
    return tasks


def _continued(
    cursor: Cursor | None, started: Cursor, stream: Stream, settings: AccountSettings
) -> Cursor:
    """The stored cursor, or a new one where there is none or its settings' change is accepted."""
    if cursor is None:
        return started
    if not settings.accept_new_cursor or not meaning_changed(cursor, stream.facts):
        return cursor
    return started.model_copy(update={"paused": cursor.paused})
