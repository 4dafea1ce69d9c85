"""A consumer-group member that owns partitions: takes them over, feeds them batches, lets go.

FastStream is the consuming shell.  aiokafka has no KIP-447, so exactly-once rests on an order:
on takeover the partition is paused, its writer starts (the id names the partition, which fences
the older owner), state is restored, the committed offset is read, the consumer seeks there and
the partition resumes.  That runs beside the assignment callback, not in it: aiokafka sends no
heartbeats until the callback returns, and a long restore would cost the membership.  What was
fetched before the seek is dropped by the stale-batch guard.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from faststream.kafka import KafkaMessage

from bus.clock import Clock
from bus.errors import Blocked, RetryLater, Stop
from bus.settings import KafkaSettings
from bus.shell import Listener, shell
from bus.table import Table
from bus.telemetry import PARTITIONS_BLOCKED, PARTITIONS_OWNED, UNREADABLE
from schemas.topics import Topic

RETRY_WAIT_SECONDS = 0.2
TAKEOVER_SECONDS_MAX = 120.0  # without progress
POSITION_SECONDS_MAX = 2.0
STUCK_SECONDS = 60.0  # at least; joining the group may take as long as its slowest member
BLOCKED_RECHECK_SECONDS = 60.0
KEEP_SECONDS_MAX = 600.0  # a table between two owners; far below Kafka's delete.retention.ms

log = structlog.get_logger(__name__)


class Owned(Protocol):
    """What is done with one owned partition.  Built at takeover, closed at revocation."""

    @property
    def table(self) -> Table:
        """Its state.  `close` settles it where it stands for what is on Kafka."""

    async def open(self) -> None:
        """Start the writer, then restore state.  Raises RetryLater, Stop."""

    async def handle(self, records: Sequence[ConsumerRecord]) -> None:
        """Process and commit a batch with its offsets.  Raises RetryLater, Stop."""

    async def close(self) -> None:
        """Stop every task, let the writer go; bounded in time, never raises."""


Open = Callable[[int, Callable[[RetryLater], None]], Owned]
"""(partition, broken) -> Owned; `broken(error)` asks for the partition to be rebuilt."""


class PartitionConsumer:
    """A member of `group` on `topic`.  `consuming` False: partitions are owned but not read."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: Topic,
        group: str,
        build: Open,
        *,
        clock: Clock,
        on_fatal: Callable[[BaseException], None],
        consuming: bool = True,
    ) -> None:
        self.topic = kafka.topic(topic)
        self.group = group
        self.owned: dict[int, Owned] = {}
        self.progress_at = clock.now()
        self._joined = False
        self._stopping = False
        self._blocked: dict[int, str] = {}  # why a partition stands still
        self._waiting_since: dict[int, float] = {}  # of partitions that are to be taken over
        self._working_since: list[float] = []  # of joining the group, and of the batch in hand
        self._kafka = kafka
        self._build = build
        self._clock = clock
        self._on_fatal = on_fatal
        self._consuming = consuming
        self._next: dict[int, int] = {}
        self._takeovers: dict[int, asyncio.Task[None]] = {}
        self._closings: set[asyncio.Task[None]] = set()
        self._kept: dict[int, tuple[Table, float]] = {}  # of revoked partitions, and since when
        self._restored: dict[int, int] = {}  # the most records a takeover has read so far
        self._lock = asyncio.Lock()  # the handler against revocation
        self._stuck_seconds = max(STUCK_SECONDS, kafka.rebalance_timeout_ms / 1000)
        self._broker, self._subscriber = shell(
            kafka, self.topic, group, self._consume, Listener(self.assigned, self.revoked)
        )

    async def start(self) -> None:
        """Join the group.  Raises KafkaError when the broker does not answer."""
        self._working_since = [self._clock.monotonic()]
        await self._broker.start()

    async def stop(self) -> None:
        """Finish the batch in hand, close what is owned, leave the group."""
        self._stopping = True
        await self.revoked(sorted({*self.owned, *self._takeovers}))
        await self._broker.stop()

    def health(self) -> dict[str, object]:
        """Ok by progress: no takeover stands still for over `STUCK_SECONDS`, and no batch and no
        joining of the group takes longer.  A restore that reads on is progress.
        """
        since = [*self._waiting_since.values(), *self._working_since]
        oldest = min(since, default=self._clock.monotonic())
        return {
            "ok": self._clock.monotonic() - oldest <= self._stuck_seconds,
            "ready": self._joined and not self._stopping and not self._waiting_since,
            "partitions": sorted(self.owned),
            "waiting": sorted(self._waiting_since),
            "blocked": {str(number): why for number, why in sorted(self._blocked.items())},
            "unreadable": {
                f"{owned.table.topic}/{owned.table.partition} {key}": reason
                for _, owned in sorted(self.owned.items())
                for key, reason in owned.table.unreadable.items()
            },
            "progress_at": self.progress_at.isoformat(),
        }

    @property
    def consumer(self) -> AIOKafkaConsumer:
        """The aiokafka consumer under FastStream."""
        consumer = self._subscriber.consumer
        if consumer is None:
            raise Stop(f"the consumer of {self.topic} is not started")
        return consumer

    async def _consume(self, message: KafkaMessage) -> None:
        """The handler: never raises, since FastStream would only log it."""
        raw, message.raw_message = message.raw_message, ()  # FastStream's message is in a cycle
        records = list(raw) if isinstance(raw, tuple) else [raw]
        batches: dict[int, list[ConsumerRecord]] = {}
        for record in records:
            batches.setdefault(record.partition, []).append(record)
        async with self._lock:
            self._working_since = [self._clock.monotonic()]
            outcomes = await asyncio.gather(
                *(self._handle(number, batch) for number, batch in batches.items()),
                return_exceptions=True,
            )
            self._working_since = []
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                self._on_fatal(outcome)

    async def _handle(self, number: int, batch: list[ConsumerRecord]) -> None:
        owned = self.owned.get(number)
        if owned is None or await self._stale(number, batch):
            return
        try:
            await owned.handle(batch)
        except RetryLater as error:
            self._broken(number, owned, error)
        else:
            if self.owned.get(number) is owned:  # a new owner has sought to another offset
                self._next[number] = batch[-1].offset + 1
                self._block(number, None)
            self.progress_at = self._clock.now()

    async def _stale(self, number: int, batch: list[ConsumerRecord]) -> bool:
        """Whether the batch was fetched before the last seek; it will be fetched again."""
        place = TopicPartition(self.topic, number)
        try:
            async with asyncio.timeout(POSITION_SECONDS_MAX):
                position: int = await self.consumer.position(place)
        except (KafkaError, TimeoutError):
            return True  # not ours any more, or about to be sought
        first: int = batch[0].offset
        return position <= int(batch[-1].offset) or first < self._next[number]

    async def assigned(self, numbers: Sequence[int]) -> None:
        """Begin to take partitions over.  Returns at once."""
        if not self._joined:
            self._joined, self._working_since = True, []
        for number in self._kept.keys() - set(numbers):
            del self._kept[number]
        for number in [] if self._stopping else numbers:
            self._take_over_soon(number)

    async def revoked(self, numbers: Sequence[int]) -> None:
        """Let partitions go, after the batch in hand; in less than the group waits for."""
        loop = asyncio.get_running_loop()
        batch_until = loop.time() + self._kafka.batch_seconds_max
        until = batch_until + self._kafka.close_seconds_max
        await self._call_off(numbers, batch_until)
        try:
            async with asyncio.timeout_at(batch_until):
                await self._lock.acquire()
        except TimeoutError:
            # Its writer is closed below and fenced by the next owner: nothing of it is written.
            log.error("consumer.batch_stuck", topic=self.topic, partitions=list(self.owned))
            await self._close(numbers, until)
            return
        try:
            for number, table in await self._close(numbers, until):
                self._kept[number] = table, self._clock.monotonic()
        finally:
            self._lock.release()

    async def _close(self, numbers: Sequence[int], until: float) -> list[tuple[int, Table]]:
        """Close what is owned; return the tables that stand for what is on Kafka."""
        await self._call_off(numbers, until)  # begun by the batch in hand when it failed
        owned = {number: self.owned.pop(number) for number in numbers if number in self.owned}
        self._count_owned()
        for one in owned.values():
            _forget_unreadable(one.table)
        closings = {asyncio.create_task(one.close()): number for number, one in owned.items()}
        ended = await self._ended(set(closings), until)
        tables = [(closings[task], owned[closings[task]].table) for task in ended]
        return [] if self._stopping else [found for found in tables if found[1].settled]

    async def _call_off(self, numbers: Sequence[int], until: float) -> None:
        takeovers = [self._takeovers.pop(n) for n in numbers if n in self._takeovers]
        for number in numbers:
            self._waiting_since.pop(number, None)
            self._restored.pop(number, None)
            self._block(number, None)
        for task in takeovers:
            task.cancel()
        await self._ended({*takeovers, *self._closings}, until)

    async def _ended(self, tasks: set[asyncio.Task[None]], until: float) -> set[asyncio.Task[None]]:
        """Wait for them, up to a bound; return those that have ended.

        What is stuck cannot write: its writer will be fenced.
        """
        if not tasks:
            return set()
        seconds = max(0.0, until - asyncio.get_running_loop().time())
        done, pending = await asyncio.wait(tasks, timeout=seconds)
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                log.warning("consumer.close_failed", topic=self.topic, error=repr(error))
        for task in pending:
            frames = [f"{frame.f_code.co_qualname}:{frame.f_lineno}" for frame in task.get_stack()]
            log.error("consumer.close_stuck", topic=self.topic, task=task.get_name(), at=frames)
        return done

    def _broken(self, number: int, broken: Owned, error: RetryLater) -> None:
        """A partition lost its writer: rebuild it, if it is still ours and not rebuilt yet."""
        if self.owned.get(number) is not broken:
            return
        log.warning(
            "consumer.partition_broken", topic=self.topic, partition=number, error=str(error)
        )
        del self.owned[number]
        self._count_owned()
        closing = asyncio.create_task(broken.close())
        self._closings.add(closing)
        closing.add_done_callback(self._closings.discard)
        rest_seconds = RETRY_WAIT_SECONDS
        if isinstance(error, Blocked):
            self._block(number, str(error))
            rest_seconds = BLOCKED_RECHECK_SECONDS
        self._take_over_soon(number, closing, rest_seconds)

    def _block(self, number: int, why: str | None) -> None:
        """Show why a partition stands still; None: it does not."""
        if why is not None:
            self._blocked[number] = why
            self._waiting_since.pop(number, None)
        elif self._blocked.pop(number, None) is None:
            return
        PARTITIONS_BLOCKED.labels(self.group.rpartition(".")[2]).set(len(self._blocked))

    def _take_over_soon(
        self,
        number: int,
        closing: asyncio.Task[None] | None = None,
        rest_seconds: float = RETRY_WAIT_SECONDS,
    ) -> None:
        before = [task for task in (self._takeovers.get(number), closing) if task is not None]
        if number in self._takeovers:
            self._takeovers[number].cancel()
        task = asyncio.create_task(self._take_over(number, before, rest_seconds))
        self._takeovers[number] = task
        if number not in self._blocked:
            self._waiting_since[number] = self._clock.monotonic()
        self._restored.pop(number, None)

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                self._on_fatal(error)

        task.add_done_callback(ended)
        with contextlib.suppress(IllegalStateError):  # revoked already: the task will see it
            self.consumer.pause(TopicPartition(self.topic, number))

    async def _take_over(
        self, number: int, before: Sequence[asyncio.Task[None]], rest_seconds: float
    ) -> None:
        """Build, open, seek, resume; again while Kafka is away, up to a bound without progress.

        `before` are the takeover and the closing that have to end first: one owner at a time.
        After them it waits `rest_seconds`.
        """
        place = TopicPartition(self.topic, number)
        if before:
            await asyncio.wait(before, timeout=self._kafka.close_seconds_max)
            await self._clock.sleep(rest_seconds)
        refused = False
        while place in self.consumer.assignment():
            owned, failures = self._built(number)
            try:
                await owned.open()
                await self._seek(place)
                if failures:
                    raise failures[0]
            except Blocked as error:
                await owned.close()
                log.warning("consumer.partition_blocked", place=str(place), error=str(error))
                self._block(number, str(error))
                refused = True
                await self._clock.sleep(BLOCKED_RECHECK_SECONDS)
            except (RetryLater, KafkaError) as error:
                await owned.close()
                log.warning("consumer.takeover_failed", place=str(place), error=str(error))
                since = self._waiting_since.get(number, self._clock.monotonic())
                if self._clock.monotonic() - since > TAKEOVER_SECONDS_MAX:
                    raise Stop(
                        f"{place}: not taken over in {TAKEOVER_SECONDS_MAX} s: {error}"
                    ) from error
                await self._clock.sleep(RETRY_WAIT_SECONDS)
            except BaseException:
                await owned.close()
                raise
            else:
                self.owned[number] = owned
                self._count_owned()
                self._waiting_since.pop(number, None)
                self._restored.pop(number, None)
                if refused:  # its state could not be read, and now it can
                    self._block(number, None)
                self.progress_at = self._clock.now()
                log.info("consumer.taken_over", place=str(place), offset=self._next[number])
                return

    def _built(self, number: int) -> tuple[Owned, list[RetryLater]]:
        """A new Owned, and what its own tasks had to complain of so far."""
        failures: list[RetryLater] = []

        def broken(error: RetryLater) -> None:
            failures.append(error)
            self._broken(number, owned, error)

        owned: Owned = self._build(number, broken)
        table = owned.table
        shown = UNREADABLE.labels(table.topic, str(table.partition))
        shown.set_function(lambda: len(table.unreadable))
        table.on_progress = lambda count: self._progressed(number, count)
        if number in self._kept:
            kept, since = self._kept.pop(number)
            if self._clock.monotonic() - since <= KEEP_SECONDS_MAX:
                table.inherit(kept)
        return owned, failures

    def _progressed(self, number: int, restored: int) -> None:
        """A takeover has read `restored` records; reading the same ones again is no progress."""
        if number in self._waiting_since and restored > self._restored.get(number, 0):
            self._restored[number] = restored
            self._waiting_since[number] = self._clock.monotonic()

    def _count_owned(self) -> None:
        PARTITIONS_OWNED.labels(self.group.rpartition(".")[2]).set(len(self.owned))

    async def _seek(self, place: TopicPartition) -> None:
        """Go on behind what is committed.  Raises RetryLater: the client itself waits for ever."""
        try:
            async with asyncio.timeout(self._kafka.request_timeout_ms / 1000):
                committed = await self.consumer.committed(place)
                if committed is None:
                    committed = (await self.consumer.beginning_offsets([place]))[place]
        except TimeoutError as error:
            raise RetryLater(f"{place}: Kafka does not tell the committed offset") from error
        self._next[place.partition] = committed
        if self._consuming:
            self.consumer.seek(place, committed)
            self.consumer.resume(place)


def _forget_unreadable(table: Table) -> None:
    """Another copy counts them from now on."""
    with contextlib.suppress(KeyError):
        UNREADABLE.remove(table.topic, str(table.partition))
