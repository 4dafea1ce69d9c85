"""An endpoint that goes away and comes back, played in virtual time with the notifier's own parts.

Dispatcher, gates, lanes and settlement are the real ones.  Kafka is a committer that keeps what it
is given, and the endpoint is a channel whose answer the test decides.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction
from schemas.delivery import Attempt, Delivery, Outcome
from schemas.events import Envelope
from schemas.subscription import LogChannel, Subscription
from services.notifier.channel import Channel, Result, Surroundings
from services.notifier.dispatcher import Dispatcher
from services.notifier.endpoints import Endpoints
from services.notifier.events import Event
from services.notifier.fan_out import FanOut, delivery_of, delivery_record, pending_of
from services.notifier.gates import Gates, Line
from services.notifier.holdings import Holdings
from services.notifier.settings import RETRY_SCHEDULE_SECONDS, NotifierSettings
from services.notifier.subscriptions import SubscriptionStore

BEGAN_AT = datetime(2026, 1, 1, tzinfo=UTC)
KAFKA = KafkaSettings(prefix="t")
HOUR = 3600.0
Answer = Callable[[str, float], Outcome]


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes when nothing is left to do at this instant, at once up to the next timer."""

    def __init__(self) -> None:
        self.seconds = 0.0
        super().__init__(_Hasty(self))

    def time(self) -> float:
        """Virtual seconds."""
        return self.seconds


class _Hasty(selectors.DefaultSelector):
    """A selector that lets virtual time pass instead of waiting."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        """What is ready now."""
        self._loop.seconds += timeout or 0.0
        return super().select(0)


class LoopClock:
    """bus.clock.Clock over a virtual loop, with chance from a seed."""

    def __init__(self) -> None:
        self._random = Random(1)

    def now(self) -> datetime:
        return BEGAN_AT + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def chance(self) -> float:
        return self._random.random()

    async def sleep(self, seconds: float) -> None:
        """Until the loop's own time, which nobody waits for, has come so far."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        timer = loop.call_later(seconds, woken.set_result, None)
        try:
            await woken
        finally:
            timer.cancel()


class Play:
    """One subscription, `erp`, and all that one partition has for it."""

    def __init__(
        self,
        answer: Answer,
        *,
        retry_after: float | None = None,
        schedule_seconds: Sequence[float] = RETRY_SCHEDULE_SECONDS,
    ) -> None:
        self.clock = LoopClock()
        self._schedule = schedule_seconds
        self.attempts: list[Attempt] = []
        self.set_aside: list[str] = []
        self.delivered_at: dict[str, float] = {}
        self._events: list[Event] = []
        self._answer, self._retry_after = answer, retry_after
        self.endpoints = Endpoints(KAFKA, SubscriptionStore(KAFKA, self.clock), self.clock, _fail)
        self.say()
        surroundings = Surroundings(self.clock, (), 1, 1, connections_max=1)
        self.gates = Gates(self.endpoints, surroundings, NotifierSettings(), partitions=1)
        self.holdings = Holdings(KAFKA, 0, 100_000)
        self.holdings._committer = self  # type: ignore[assignment]
        self.dispatcher = self.begin()

    def begin(self) -> Dispatcher:
        """Who sends; another one is the next owner of the partition."""
        return Dispatcher(
            self.holdings,
            self,  # type: ignore[arg-type]
            self.endpoints,
            self.gates,
            schedule_seconds=self._schedule,
            broken=_fail,
        )

    def say(self, **wish: Any) -> None:
        """What the subscriptions topic says of it now."""
        known = {"id": "erp", "types": ("*",), "channel": LogChannel(), "start_offsets": {}}
        subscription = Subscription.model_validate({**known, "created_at": BEGAN_AT, **wish})
        self.endpoints._known.take("erp", subscription.to_json())
        self.endpoints._changed()

    async def add(self, lane: str) -> str:
        """A new event in a lane; its id."""
        event_id = f"evt_{len(self._events)}"
        headers = {
            "ce_id": event_id,
            "ce_type": "package.shipped",
            "ce_partitionkey": f"zentail/acme/order/{lane}",
            "ce_time": "2026-01-01T00:00:00Z",
        }
        pairs = tuple((name, value.encode()) for name, value in headers.items())
        envelope = Envelope.read(dict(pairs), b"{}")
        now = self.clock.now()
        event = Event(len(self._events), now, envelope.key, pairs, envelope, backfill=False)
        self._events.append(event)
        delivery = delivery_of("erp", event, now)
        made = FanOut(pending=[pending_of(delivery)])
        made.transaction.records.append(delivery_record(KAFKA, 0, delivery))
        await self.holdings.commit_fan_out(made)
        self.dispatcher.wake()
        return event_id

    def start(self) -> None:
        """Begin to send."""
        self.start_channel()
        self.dispatcher.start()

    def start_channel(self) -> None:
        """The way to the endpoint, as the subscription is now."""
        subscription = self.endpoints.get("erp")
        assert subscription is not None
        self.gates._lines["erp"] = [Line(subscription, _Endpoint(self)) for _ in range(4)]

    async def all_arrived(self, within_seconds: float) -> None:
        """Returns when nothing is unfinished.  Raises TimeoutError."""
        async with asyncio.timeout(within_seconds):
            while len(self.holdings.lanes):
                await self.clock.sleep(1)

    def delivery(self, event_id: str) -> Delivery:
        """An unfinished one as it stands on its topic."""
        return self.holdings.delivery(f"erp/{event_id}")

    async def read(self, event_offset: int, _: int | None) -> Event:
        """As `letters.Bodies` does."""
        return self._events[event_offset]

    async def commit(self, transaction: Transaction, *, hurried: bool) -> None:
        """As `bus.committer.Committer` does."""
        for record in transaction.records:
            self._keep(record)

    def _keep(self, record: Record) -> None:
        if record.topic == "t.attempts":
            self.attempts.append(Attempt.model_validate_json(record.value or b""))
        elif record.topic == "t.dead-letters":
            self.set_aside.append(dict(record.headers)["ce_id"].decode())

    async def send(self, envelope: Envelope) -> Result:
        """What the endpoint answers."""
        await self.clock.sleep(0.05)
        at = self.clock.monotonic()
        outcome = self._answer(envelope.id, at)
        if outcome == "delivered":
            self.delivered_at[envelope.id] = at
        return Result(outcome, retry_after_seconds=self._retry_after)


class _Endpoint(Channel):
    def __init__(self, play: Play) -> None:
        self._play = play

    async def send(self, envelope: Envelope, attempt: int) -> Result:
        """What the test says."""
        return await self._play.send(envelope)

    async def close(self) -> None:
        """Nothing is open."""


def _fail(error: BaseException) -> None:
    raise AssertionError(error)


def play(story: Callable[[], Coroutine[None, None, None]]) -> None:
    """Play a story in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(story())
