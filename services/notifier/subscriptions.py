"""The subscriptions topic: what the configuration file wishes, and what endpoints answered.

Every write holds `<prefix>.subscriptions`: init, read to the end, compare, write, commit; a fenced
writer reads again (design 4).  Following the topic is `endpoints.py`'s business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import TypeAdapter

from bus.clock import Clock
from bus.errors import Misuse, RetryLater
from bus.settings import KafkaSettings
from bus.table import Table
from bus.transaction import Reach, Record, Transaction, Writer
from schemas.command import Command, command_key
from schemas.keys import joined
from schemas.message import parse_instant
from schemas.subscription import EndpointHealth, Subscription
from schemas.topics import EVENTS, SUBSCRIPTIONS
from services.notifier.settings import SubscriptionEntry

GONE_FROM_FILE = "gone from the configuration"
COMMANDS: TypeAdapter[Command] = TypeAdapter(Command)
WRITES_MAX = 5
RETRY_WAIT_SECONDS_MAX = 0.5

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Known:
    """The topic's content, by subscription id; API keys are passed over."""

    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    health: dict[str, EndpointHealth] = field(default_factory=dict)
    commands: dict[str, dict[int, Command]] = field(default_factory=dict)

    def take(self, key: str, value: bytes | None) -> None:
        """One record.  Raises ValueError when it cannot be read, such as a newer major version."""
        subscription, _, kind = key.partition("/")
        if kind == "health":
            if value is None:
                self.health.pop(subscription, None)
            else:
                self.health[subscription] = EndpointHealth.model_validate_json(value)
        elif kind.startswith("command/"):
            number = int(kind.removeprefix("command/"))
            if value is None:
                self.commands.get(subscription, {}).pop(number, None)
            else:
                command = COMMANDS.validate_json(value)
                self.commands.setdefault(subscription, {})[number] = command
        elif not kind:
            if value is None:
                self.subscriptions.pop(subscription, None)
            else:
                self.subscriptions[subscription] = Subscription.model_validate_json(value)


def health_key(subscription: str) -> str:
    """`<id>/health`."""
    return joined(subscription, "health")


def reconciled(
    entries: Sequence[SubscriptionEntry],
    known: Mapping[str, Subscription],
    start_offsets: Mapping[str, Mapping[int, int]],
    now: datetime,
) -> list[Subscription]:
    """Records that bring the topic to what the file says.  Pure.

    New ones begin at `start_offsets`; known ones keep theirs, whatever happens to them; what is
    gone from the file is disabled, and comes back enabled.  Those of the API are not touched.
    """
    changed: list[Subscription] = []
    for entry in entries:
        wish: dict[str, object] = {
            "types": entry.types,
            "channel": entry.channel.record(),
            "backfill": entry.backfill,
            "disabled_reason": None,
        }
        before = known.get(entry.name)
        if before is None:
            changed.append(
                Subscription.model_validate(
                    {
                        **wish,
                        "id": entry.name,
                        "start_from": entry.start_from,
                        "start_offsets": start_offsets[entry.name],
                        "created_at": now,
                    }
                )
            )
        elif any(getattr(before, name) != value for name, value in wish.items()):
            update = {**wish, "revision": before.revision + 1}
            changed.append(before.model_copy(update=update))
    named = {entry.name for entry in entries}
    for before in known.values():
        if before.id not in named and before.origin == "config" and before.enabled:
            update = {"disabled_reason": GONE_FROM_FILE, "revision": before.revision + 1}
            changed.append(before.model_copy(update=update))
    return changed


def merged(before: EndpointHealth | None, found: EndpointHealth) -> EndpointHealth:
    """Two findings about one endpoint: disabled stays disabled, the longer pause holds.  Pure."""
    if before is None:
        return found
    pauses = [pause for pause in (before.paused_until, found.paused_until) if pause is not None]
    return found.model_copy(
        update={
            "disabled_reason": before.disabled_reason or found.disabled_reason,
            "paused_until": max(pauses, default=None),
        }
    )


class SubscriptionStore:
    """The writing side."""

    def __init__(self, kafka: KafkaSettings, clock: Clock) -> None:
        self._kafka = kafka
        self._clock = clock

    async def sync(self, entries: Sequence[SubscriptionEntry]) -> None:
        """Bring the topic to what the file says.  Raises RetryLater after `WRITES_MAX` tries."""

        async def decide(known: Known) -> list[Record]:
            new = [entry for entry in entries if entry.name not in known.subscriptions]
            offsets = await start_offsets(self._kafka, new)
            changed = reconciled(entries, known.subscriptions, offsets, self._clock.now())
            records = []
            for subscription in changed:
                log.info(
                    "notifier.subscription_written",
                    subscription=subscription.id,
                    revision=subscription.revision,
                    disabled_reason=subscription.disabled_reason,
                )
                records.append(self._record(subscription.id, subscription.to_json()))
                if subscription.enabled and subscription.id in known.health:
                    # Somebody changed it or brought it back: the old endpoint's 410 is history.
                    records.append(self._record(health_key(subscription.id), None))
            return records

        await self._write(decide)

    async def report(self, found: EndpointHealth) -> None:
        """Add a finding about an endpoint.  Raises RetryLater after `WRITES_MAX` tries."""

        async def decide(known: Known) -> list[Record]:
            if found.subscription not in known.subscriptions:
                return []
            health = merged(known.health.get(found.subscription), found)
            return [self._record(health_key(found.subscription), health.to_json())]

        await self._write(decide)

    async def append(self, name: str, command: Callable[[int], Command]) -> Command:
        """Add the command that `command` makes of its number, which is above all earlier ones.

        Raises Misuse when there is no such subscription, RetryLater.
        """
        written: list[Command] = []

        async def decide(known: Known) -> list[Record]:
            if name not in known.subscriptions:
                raise Misuse(f"there is no subscription {name!r}")
            number = max(known.commands.get(name, {}), default=0) + 1
            written[:] = [command(number)]
            return [self._record(command_key(name, number), written[0].to_json())]

        await self._write(decide)
        return written[0]

    async def forget(self, commands: Iterable[Command]) -> None:
        """Remove commands that every partition has carried out."""
        keys = [command_key(one.subscription, one.number) for one in commands]

        async def decide(_: Known) -> list[Record]:
            return [self._record(key, None) for key in keys]

        await self._write(decide)

    async def _write(self, decide: Callable[[Known], Awaitable[list[Record]]]) -> None:
        reach = Reach(outputs=((self._kafka.topic(SUBSCRIPTIONS), 0),))
        for tries_left in reversed(range(WRITES_MAX)):
            writer = Writer(self._kafka, f"{self._kafka.prefix}.subscriptions", reach)
            try:
                await writer.start()
                table = Table(self._kafka, SUBSCRIPTIONS, 0)
                await table.restore()
                known = Known()
                for key, value in table.items():
                    known.take(key, value)
                if records := await decide(known):
                    await writer.commit(Transaction(records))
                return
            except RetryLater:
                if not tries_left:
                    raise
                # Two copies that started together must not go on fencing each other in step.
                await self._clock.sleep(self._clock.chance() * RETRY_WAIT_SECONDS_MAX)
            finally:
                await writer.close()

    def _record(self, key: str, value: bytes | None) -> Record:
        return Record(self._kafka.topic(SUBSCRIPTIONS), 0, key, value)


async def start_offsets(
    kafka: KafkaSettings, entries: Sequence[SubscriptionEntry]
) -> dict[str, dict[int, int]]:
    """Where each one's `start_from` lies now, by partition of events.  Raises RetryLater."""
    if not entries:
        return {}
    places = [
        TopicPartition(kafka.topic(EVENTS), number)
        for number in range(kafka.partition_count(EVENTS))
    ]
    consumer = AIOKafkaConsumer(**kafka.client_args(), isolation_level="read_committed")
    try:
        await consumer.start()
        return {entry.name: await _offsets(consumer, places, entry.start_from) for entry in entries}
    except KafkaError as error:
        raise RetryLater(f"{kafka.topic(EVENTS)}: no offsets: {error!r}") from error
    finally:
        await consumer.stop()


async def _offsets(
    consumer: AIOKafkaConsumer, places: list[TopicPartition], start_from: str
) -> dict[int, int]:
    if start_from == "earliest":
        found = await consumer.beginning_offsets(places)
        return {place.partition: found[place] for place in places}
    ends = await consumer.end_offsets(places)
    if start_from == "now":
        return {place.partition: ends[place] for place in places}
    at_ms = int(parse_instant(start_from).timestamp() * 1000)
    timed = await consumer.offsets_for_times(dict.fromkeys(places, at_ms))
    return {
        place.partition: timed[place].offset if timed[place] else ends[place] for place in places
    }
