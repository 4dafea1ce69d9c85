"""The notifier's composition root: the only place that builds its parts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from socket import getaddrinfo

import structlog
from starlette.routing import BaseRoute

from bus.admin import ensure_topics
from bus.clock import Clock, SystemClock
from bus.consumer import PartitionConsumer
from bus.errors import RetryLater
from bus.failures import Failures
from bus.settings import Config, KafkaSettings, secret
from schemas.topics import EVENTS
from services.notifier.api.app import mounted
from services.notifier.api.context import Context
from services.notifier.channel import Surroundings
from services.notifier.endpoints import Endpoints
from services.notifier.gates import Gates
from services.notifier.guard import LookUp
from services.notifier.held import Held
from services.notifier.partition import Partition, group_of
from services.notifier.resealing import reseal
from services.notifier.settings import (
    NotifierSettings,
    SubscriptionEntry,
    check_retention,
    open_sealer,
    read_subscriptions,
)
from services.notifier.subscriptions import SubscriptionStore
from services.notifier.target import WriteTarget
from services.notifier.targets import open_target
from services.notifier.write_backs.member import Member
from services.notifier.write_backs.settings import TargetEntry, read_targets

CONNECTIONS_MAX = 1_000  # to one endpoint; fewer are used, since its gate limits tries
ADVICE = (
    "no subscriptions: add a [[subscriptions]] table with name, types and "
    'channel = { type = "log" } or { type = "webhook", url = "https://…", secret = "env:NAME" }'
)

OpenTarget = Callable[[TargetEntry, str, Surroundings], WriteTarget]

log = structlog.get_logger(__name__)


class Notifier:
    """What `bus.service.run` drives."""

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: NotifierSettings,
        entries: Sequence[SubscriptionEntry],
        clock: Clock,
        end: Callable[[BaseException], None],
        *,
        look_up: LookUp = getaddrinfo,
        targets: Sequence[TargetEntry] = (),
        open_target: OpenTarget = open_target,
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._end = end
        self._entries = entries
        self._clock = clock
        self._store = SubscriptionStore(kafka, clock)
        self._endpoints = Endpoints(kafka, self._store, clock, end)
        self._surroundings = surroundings_of(kafka, settings, clock, look_up)
        self._gates = Gates(
            self._endpoints, self._surroundings, settings, kafka.partition_count(EVENTS)
        )
        self._failures: dict[int, Failures] = {}  # of each partition; outlive their owners
        _ = self._surroundings.ssl_context  # a ca_file that cannot be read stops the start
        self._consumer = PartitionConsumer(
            kafka, EVENTS, group_of(kafka), self._build, clock=clock, on_fatal=end
        )
        opened = [(one, open_target(one, _key_of(one), self._surroundings)) for one in targets]
        self._member = Member(kafka, opened, self._endpoints, clock, end)
        self._held = Held(
            self._endpoints,
            self._gates,
            clock,
            lambda: [(one.holdings, one.backlog) for one in self._owned().values()],
        )
        self._showing: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        context = Context(
            kafka=kafka,
            settings=settings,
            store=self._store,
            endpoints=self._endpoints,
            surroundings=self._surroundings,
            clock=clock,
            owned=self._owned,
            held=self._held.counts,
            standing=self._held.standing,
            stopping=self._stopping,
        )
        self.routes: Sequence[BaseRoute] = [mounted(context)]
        self._joining = False
        self._started = False

    async def start(self) -> None:
        """Raises Stop, BadConfig, RetryLater, KafkaError."""
        await ensure_topics(self._kafka, self._clock)
        await self._store.sync(self._entries)
        await self._endpoints.start()
        sealer = self._surroundings.sealer
        await reseal(self._store, self._endpoints.all(), sealer, self._kafka.prefix)
        self._showing = asyncio.create_task(self._held.run(), name="notifier held")
        self._showing.add_done_callback(self._shown)
        self._joining = True
        await self._consumer.start()
        await self._member.start()
        self._started = True
        if not self._endpoints.all():
            log.info("notifier.subscriptions_missing", advice=ADVICE)

    async def stop(self) -> None:
        """Tries in flight end or are canceled; nothing stays open."""
        self._stopping.set()
        ending = [self._member.stop()]
        if self._joining:
            ending.append(self._consumer.stop())
        await asyncio.gather(*ending)  # both at once: together they have ten seconds
        if self._showing is not None:
            self._showing.cancel()
            await asyncio.gather(self._showing, return_exceptions=True)
        await self._gates.close()
        await self._endpoints.stop()

    def health(self) -> dict[str, object]:
        """The consumers', what is pending, what is held and what is written back."""
        owned, events, write_backs = self._owned(), self._consumer.health(), self._member.health()
        advice = {} if self._endpoints.all() or not self._started else {"advice": ADVICE}
        return {
            **events,
            "ok": events["ok"] and write_backs["ok"],
            "ready": events["ready"] and write_backs["ready"],
            "write_backs": write_backs,
            "unreadable": self._endpoints.unreadable_records() | _records(events, write_backs),
            "pending": sum(len(one.holdings.lanes) for one in owned.values()),
            "subscriptions": len(self._endpoints.all()),
            "held": self._held.standing(),
            "held_events": self._held.counts(),
            **advice,
        }

    def _shown(self, task: asyncio.Task[None]) -> None:
        """Without it the metric of what is held would stand still and look current."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._end(error)

    def _owned(self) -> dict[int, Partition]:
        owned = self._consumer.owned
        return {number: one for number, one in owned.items() if isinstance(one, Partition)}

    def _build(self, number: int, broken: Callable[[RetryLater], None]) -> Partition:
        place = f"{self._kafka.topic(EVENTS)}/{number}"
        return Partition(
            self._kafka,
            self._settings,
            number,
            endpoints=self._endpoints,
            gates=self._gates,
            failures=self._failures.setdefault(number, Failures(place)),
            broken=broken,
        )


def _records(*consumers: Mapping[str, object]) -> dict[str, str]:
    """What the consumers found that cannot be read."""
    found = [one["unreadable"] for one in consumers if "unreadable" in one]
    records = [one for one in found if isinstance(one, dict)]
    return {key: why for one in records for key, why in one.items()}


def surroundings_of(
    kafka: KafkaSettings,
    settings: NotifierSettings,
    clock: Clock,
    look_up: LookUp = getaddrinfo,
) -> Surroundings:
    """What channels and targets are given.  Raises BadConfig."""
    return Surroundings(
        clock=clock,
        allow_networks=settings.allow_networks,
        allow_ports=settings.allow_ports,
        ca_file=settings.ca_file,
        look_up=look_up,
        connect_timeout_seconds=settings.connect_timeout_seconds,
        total_timeout_seconds=settings.total_timeout_seconds,
        connections_max=CONNECTIONS_MAX,
        prefix=kafka.prefix,
        sealer=open_sealer(settings),
    )


async def build(config: Config, end: Callable[[BaseException], None]) -> Notifier:
    """Everything checked, nothing started.  Raises BadConfig."""
    kafka, settings = config.kafka(), config.section("notifier", NotifierSettings)
    check_retention(kafka, settings)
    entries, targets = read_subscriptions(config), read_targets(config)
    return Notifier(kafka, settings, entries, SystemClock(), end, targets=targets)


def _key_of(entry: TargetEntry) -> str:
    return secret(entry.secret, f"[[targets]] {entry.name} secret")
