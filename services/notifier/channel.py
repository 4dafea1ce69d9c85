"""THE CONTRACT of a channel: a way of handing events to a subscriber.

A channel is one module in `channels/`; its file name is the channel type.  Its `WAY` says which of
three ways it works:

- `delivered`: each event becomes a delivery with tries of its own.  `open_channel(subscription,
  surroundings)` makes what sends once and says what came of it; when to try again, and what to
  remember, is decided elsewhere.
- `written`: each event becomes a record in the very transaction that moves the position: exactly
  once, without a delivery.  `open_sink(subscription, kafka, partition, clock)` makes what it
  is written to.
- `served`: the subscriber reads for itself and keeps its place.  Nothing is fanned out, and no
  position is kept.

Its `SETTINGS` are those of `DELIVERY_SETTINGS` that change what it does; others are refused.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from importlib import import_module
from pkgutil import iter_modules
from typing import Literal, Protocol, cast

from bus.clock import Clock
from bus.errors import BadConfig
from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.delivery import Outcome
from schemas.events import Envelope
from schemas.subscription import Subscription
from services.notifier.events import Event
from services.notifier.guard import TLS_PORT, Egress, LookUp, Network, Resolver
from services.notifier.sealing import Sealer

Way = Literal["delivered", "written", "served"]
DELIVERY_SETTINGS: Mapping[str, object] = {
    "order": "ordered",
    "lane_deadline_seconds": None,
    "rate_per_second": None,
    "concurrency": None,
}
"""What a subscription may say of tries, and what it says when it says nothing."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one try; `response_body` at most 2 KiB, no secrets anywhere."""

    outcome: Outcome
    status_code: int | None = None
    detail: str | None = None
    response_body: str | None = None
    retry_after_seconds: float | None = None
    duration_ms: int = 0


class Channel(Protocol):
    """One subscription's way out, where events are delivered."""

    async def send(self, envelope: Envelope, attempt: int) -> Result:
        """Try once (`attempt` counts from 1), in bounded time.  Never raises but when canceled."""

    async def close(self) -> None:
        """Let connections go; nothing is sent afterwards."""


class Sink(Protocol):
    """What the events of one partition are written to, where a subscription's are written."""

    @property
    def places(self) -> Sequence[tuple[str, int]]:
        """All topics and partitions there may be records for; what belongs together goes to the
        same one, so that its order holds.
        """

    def record(self, event: Event, now: datetime) -> Record | None:
        """The event as it is written there; its dead letter when the sink cannot take it; None
        when it says nothing there.
        """


@dataclass(frozen=True)
class Surroundings:
    """What channels are given: time, limits, the networks they may reach, and who opens secrets.

    `prefix` is the installation's, which sealed secrets are bound to.
    """

    clock: Clock
    allow_networks: Sequence[Network]
    connect_timeout_seconds: float
    total_timeout_seconds: float
    connections_max: int
    allow_ports: Sequence[int] = (TLS_PORT,)
    ca_file: str = ""
    look_up: LookUp = socket.getaddrinfo
    prefix: str = ""
    sealer: Sealer = field(default_factory=Sealer)

    @cached_property
    def ssl_context(self) -> ssl.SSLContext:
        """One for all endpoints: making it costs more than many requests.

        Nothing turns its checks off.  Raises BadConfig when `ca_file` cannot be read.
        """
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            if self.ca_file:
                context.load_verify_locations(self.ca_file)
        except OSError as error:
            raise BadConfig(f"[notifier] ca_file {self.ca_file}: {error}") from error
        return context

    @cached_property
    def resolver(self) -> Resolver:
        """One for all endpoints: it keeps no thread for any of them."""
        return Resolver(self.look_up)

    @cached_property
    def egress(self) -> Egress:
        """What may be reached."""
        return Egress(self.allow_networks, self.allow_ports)


class _Module(Protocol):
    WAY: Way
    SETTINGS: frozenset[str]


class _DeliveredModule(Protocol):
    def open_channel(self, subscription: Subscription, surroundings: Surroundings) -> Channel: ...


class _WrittenModule(Protocol):
    async def open_sink(
        self, subscription: Subscription, kafka: KafkaSettings, partition: int, clock: Clock
    ) -> Sink: ...


def way_of(subscription: Subscription) -> Way:
    """How the channel that it names works."""
    return cast("_Module", _module(subscription.channel.type)).WAY


def idle_setting(channel_type: str, wish: Mapping[str, object]) -> str | None:
    """Return what to say of a setting that would do nothing with this channel; None: all do."""
    given = [name for name, default in DELIVERY_SETTINGS.items() if wish[name] != default]
    has = cast("_Module", _module(channel_type)).SETTINGS
    for name in given:
        if name not in has:
            return (
                f"{name} does nothing with a channel of type {channel_type}: leave it out; "
                f"channels that have it: {', '.join(_channels_with(name))}"
            )
    if "lane_deadline_seconds" in given and wish["order"] == "unordered":
        return (
            "lane_deadline_seconds does nothing where order is unordered, since no event waits "
            "for another: leave it out, or set order to ordered"
        )
    return None


def _channels_with(name: str) -> list[str]:
    folder = import_module("services.notifier.channels").__path__
    types = sorted(found.name for found in iter_modules(folder))
    return [one for one in types if name in cast("_Module", _module(one)).SETTINGS]


def refuse_other_way(before: Subscription, after: Subscription) -> None:
    """Raises BadConfig for a change of channel that the subscription's place would not survive."""
    if way_of(before) != way_of(after):
        raise BadConfig(
            f"subscription {before.id}: its channel {before.channel.type} cannot become "
            f"{after.channel.type}, since what it has seen is kept in another way; make a new "
            "subscription, under another name"
        )


def open_channel(subscription: Subscription, surroundings: Surroundings) -> Channel:
    """Where events are delivered.  Raises BadConfig when its secret cannot be had, or when they
    are not delivered at all.
    """
    if (way := way_of(subscription)) != "delivered":
        raise BadConfig(
            f"subscription {subscription.id}: with the channel {subscription.channel.type} events "
            f"are {way}, not delivered; what was begun for another channel needs a subscription "
            "of its own"
        )
    return cast("_DeliveredModule", _module(subscription.channel.type)).open_channel(
        subscription, surroundings
    )


async def open_sink(
    subscription: Subscription, kafka: KafkaSettings, partition: int, clock: Clock
) -> Sink:
    """Where the events of a partition are written.

    Raises BadConfig when somebody has to change something first, RetryLater when time may do.
    """
    module = cast("_WrittenModule", _module(subscription.channel.type))
    return await module.open_sink(subscription, kafka, partition, clock)


def _module(channel_type: str) -> object:
    return import_module(f"services.notifier.channels.{channel_type}")
