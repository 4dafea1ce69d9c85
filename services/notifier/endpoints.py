"""What this copy knows of subscriptions and endpoints, kept current by following the topic.

A finding of this copy (410, Retry-After) counts here at once and is written for the others behind
it; until it is written, the topic's older word does not undo it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from bus.clients import look_at, started
from bus.clock import Clock
from bus.errors import RetryLater, Stop
from bus.settings import KafkaSettings
from bus.telemetry import UNREADABLE
from schemas.api_key import ApiKey
from schemas.command import Command
from schemas.keys import split
from schemas.subscription import CursorKey, EndpointHealth, Subscription
from schemas.topics import SUBSCRIPTIONS
from services.notifier.known import API_KEYS, Known, merged, passing
from services.notifier.subscriptions import SubscriptionStore

GONE_REASON = "the endpoint answered 410 Gone"
FOLLOW_WAIT_MS = 20  # how late the end of a transaction without records may be seen
CURRENT_SECONDS_MAX = 10.0
START_SECONDS_MAX = 30.0
RETRY_WAIT_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Endpoints:
    """One view for all partitions of this copy."""

    def __init__(
        self,
        kafka: KafkaSettings,
        store: SubscriptionStore,
        clock: Clock,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._kafka = kafka
        self._store = store
        self._clock = clock
        self._on_fatal = on_fatal
        self._known = Known()
        self._unwritten: dict[str, EndpointHealth] = {}  # at most one for each subscription
        self._found = asyncio.Event()
        self._listeners: set[Callable[[], None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._place = TopicPartition(kafka.topic(SUBSCRIPTIONS), 0)
        self._consumer: AIOKafkaConsumer | None = None
        self._ends: AIOKafkaConsumer | None = None  # for the topic's end, open transactions too
        self._moved = asyncio.Condition()

    async def start(self) -> None:
        """Read the topic to its end, then follow it.  Raises RetryLater."""
        consumer = self._consumer = AIOKafkaConsumer(
            **self._kafka.client_args(), isolation_level="read_committed", enable_auto_commit=False
        )
        self._ends = AIOKafkaConsumer(
            **self._kafka.client_args(), isolation_level="read_uncommitted"
        )
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                await started(self._ends)
                look_at(self._ends, [self._place])
                end = await self._end()
                await started(consumer)
                consumer.assign([self._place])
                await consumer.seek_to_beginning(self._place)
                while self._known.end < end:
                    await self._follow_once(consumer)
        except (KafkaError, TimeoutError) as error:
            raise RetryLater(f"{self._place}: cannot be read: {error!r}") from error
        except ValueError as error:
            raise Stop(f"{self._place}: {error}") from error
        self._tasks = [
            asyncio.create_task(self._follow(consumer), name="notifier follow"),
            asyncio.create_task(self._report(), name="notifier report"),
        ]
        for task in self._tasks:
            task.add_done_callback(self._ended)
        shown = UNREADABLE.labels(self._kafka.topic(SUBSCRIPTIONS), "0")
        shown.set_function(lambda: len(self._known.unreadable))

    async def stop(self) -> None:
        """End both tasks; a finding not written yet is found again at the next try."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for consumer in (self._consumer, self._ends):
            if consumer is not None:
                await consumer.stop()

    async def current(self) -> None:
        """Know all that any copy wrote before the call.  Raises RetryLater."""
        if not self._tasks:
            raise RetryLater(f"{self._place}: not read to its end yet: try again")
        try:
            async with asyncio.timeout(CURRENT_SECONDS_MAX):
                end = await self._end()  # before the lock, which the follower needs
                async with self._moved:
                    await self._moved.wait_for(lambda: self._known.end >= end)
        except (KafkaError, TimeoutError) as error:
            raise RetryLater(
                f"{self._place}: what others wrote could not be read within "
                f"{CURRENT_SECONDS_MAX:g} s ({error!r}): try again"
            ) from error

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called after every change; returns what ends that."""
        self._listeners.add(wake)
        return lambda: self._listeners.discard(wake)

    def get(self, subscription: str) -> Subscription | None:
        """The subscription, as far as this copy knows."""
        return self._known.subscriptions.get(subscription)

    def health(self, subscription: str) -> EndpointHealth | None:
        """What was found about its endpoint, by whichever copy."""
        known = self._known.health.get(subscription)
        found = self._unwritten.get(subscription)
        return known if found is None else merged(known, found)

    def commands(self, subscription: str) -> list[Command]:
        """What was asked of its deliveries and is not forgotten, the oldest first; none behind one
        that cannot be read.
        """
        commands = self._known.commands.get(subscription, {})
        until = self._known.first_unreadable_command(subscription)
        return [commands[number] for number in sorted(commands) if number < until]

    def cursor_key(self) -> CursorKey | None:
        """What resume cursors are MACed with where no master key is set."""
        return self._known.cursor_key

    def api_keys(self) -> list[ApiKey]:
        """Every key that was not revoked, expired ones too."""
        return list(self._known.api_keys.values())

    def unreadable(self, subscription: str) -> str | None:
        """Why it is held: a record of it cannot be read."""
        return self._known.held(subscription)

    def unreadable_records(self) -> dict[str, str]:
        """Records of the topic that cannot be read, and why."""
        topic = self._kafka.topic(SUBSCRIPTIONS)
        return {f"{topic}/0 {key}": why for key, why in self._known.unreadable.items()}

    def has_api_key(self) -> bool:
        """Whether there is one; one that cannot be read closes the API all the same."""
        unread = {split(key)[0] for key in self._known.unreadable}
        return bool(self.api_keys()) or API_KEYS in unread

    def all(self) -> list[Subscription]:
        """Every subscription, disabled ones too."""
        return list(self._known.subscriptions.values())

    def advancing(self) -> list[Subscription]:
        """Those whose positions move: enabled, and their endpoint not gone."""
        return [found for found in self.all() if self._held_reason(found) is None]

    def unordered(self) -> set[str]:
        """Ids of those whose deliveries do not wait for each other."""
        return {found.id for found in self.all() if found.order == "unordered"}

    def held(self) -> dict[str, str]:
        """Why each standing subscription stands."""
        reasons = {found.id: self._held_reason(found) for found in self.all()}
        unread = {split(key)[0] for key in self._known.unreadable}
        reasons |= {name: self.unreadable(name) for name in unread}
        return {name: reason for name, reason in reasons.items() if reason is not None}

    def gone(self, subscription: str) -> None:
        """The endpoint answered 410."""
        self.disable(subscription, GONE_REASON)

    def disable(self, subscription: str, reason: str) -> None:
        """Its endpoint is to be left alone: from now on here, in every copy soon."""
        log.warning("notifier.endpoint_disabled", subscription=subscription, reason=reason)
        self._find(
            EndpointHealth(
                subscription=subscription, disabled_reason=reason, updated_at=self._clock.now()
            )
        )

    def pause(self, subscription: str, until: datetime) -> None:
        """The endpoint asked to be left alone until then."""
        known = self.health(subscription)
        if known is not None and known.paused_until is not None and known.paused_until >= until:
            return
        log.info("notifier.endpoint_paused", subscription=subscription, until=until.isoformat())
        self._find(
            EndpointHealth(
                subscription=subscription, paused_until=until, updated_at=self._clock.now()
            )
        )

    def failing(self, subscription: str, since: datetime, tries: int) -> None:
        """No try of this copy succeeded since then."""
        self._find(
            EndpointHealth(
                subscription=subscription,
                failing_since=since,
                failed_tries=tries,
                updated_at=self._clock.now(),
            )
        )

    def well(self, subscription: str) -> None:
        """A try succeeded: what failed before it counts no more, in no copy."""
        now = self._clock.now()
        self._find(EndpointHealth(subscription=subscription, succeeded_at=now, updated_at=now))

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Without it this copy would go on with what it knew, and look healthy."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_fatal(error)

    def _held_reason(self, subscription: Subscription) -> str | None:
        if (unreadable := self.unreadable(subscription.id)) is not None:
            return unreadable
        health = self.health(subscription.id)
        return subscription.disabled_reason or (health.disabled_reason if health else None)

    def _find(self, found: EndpointHealth) -> None:
        self._unwritten[found.subscription] = merged(self._unwritten.get(found.subscription), found)
        self._found.set()
        self._changed()

    def _changed(self) -> None:
        for wake in tuple(self._listeners):
            wake()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            try:
                await self._follow_once(consumer)
            except KafkaError as error:
                # What is known stays in force; changes arrive once Kafka is back.
                log.warning("notifier.subscriptions_unread", error=repr(error))
                await self._clock.sleep(RETRY_WAIT_SECONDS)
            except ValueError as error:
                self._on_fatal(Stop(f"{self._place}: {error}"))
                return

    async def _follow_once(self, consumer: AIOKafkaConsumer) -> None:
        batch = await consumer.getmany(self._place, timeout_ms=FOLLOW_WAIT_MS)
        for record in batch.get(self._place, ()):
            key = (record.key or b"").decode(errors="replace")
            self._known.take(key, record.value)
            if (why := self._known.unreadable.get(key)) is not None:
                log.error("notifier.record_unreadable", key=key, reason=why)
        end = await consumer.position(self._place)
        if end > self._known.end:
            async with self._moved:
                self._known.end = end
                self._moved.notify_all()
        if batch:
            self._changed()

    async def _end(self) -> int:
        assert self._ends is not None, "started first"
        return int((await self._ends.end_offsets([self._place]))[self._place])

    async def _report(self) -> None:
        while True:
            await self._found.wait()
            self._found.clear()
            for subscription, found in list(self._unwritten.items()):
                if subscription not in self._known.subscriptions:
                    del self._unwritten[subscription]
                    continue
                if passing(found, self._clock.now()):
                    continue  # it counts in this copy all the same
                try:
                    await self._store.report(found)
                    # From here on the topic speaks, and whoever enabled it again since.
                    await self.current()
                except RetryLater as error:
                    log.warning(
                        "notifier.health_unwritten", subscription=subscription, error=str(error)
                    )
                    self._found.set()
                    await self._clock.sleep(RETRY_WAIT_SECONDS)
                    continue
                if self._unwritten.get(subscription) is found:
                    del self._unwritten[subscription]
                    self._changed()  # the topic may have said otherwise meanwhile
