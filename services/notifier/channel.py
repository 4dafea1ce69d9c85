"""THE CONTRACT of a channel: a way of handing an event to a subscriber.

A channel is one module in `channels/`; its file name is the channel type, and its `open_channel`
makes one for a subscription.  It sends once and says what came of it; when to try again, and what
to remember, is decided elsewhere.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Protocol, cast

from bus.clock import Clock
from bus.errors import BadConfig
from schemas.delivery import Outcome
from schemas.events import Envelope
from schemas.subscription import Subscription
from services.notifier.guard import TLS_PORT, Egress, LookUp, Network
from services.notifier.sealing import Sealer


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
    """One subscription's way out."""

    async def send(self, envelope: Envelope, attempt: int) -> Result:
        """Try once (`attempt` counts from 1), in bounded time.  Never raises but when canceled."""

    async def close(self) -> None:
        """Let connections go; nothing is sent afterwards."""


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
    def egress(self) -> Egress:
        """What may be reached."""
        return Egress(self.allow_networks, self.allow_ports)


class _ChannelModule(Protocol):
    def open_channel(self, subscription: Subscription, surroundings: Surroundings) -> Channel: ...


def open_channel(subscription: Subscription, surroundings: Surroundings) -> Channel:
    """The channel a subscription names.  Raises BadConfig when its secret cannot be had."""
    module = import_module(f"services.notifier.channels.{subscription.channel.type}")
    return cast("_ChannelModule", module).open_channel(subscription, surroundings)
