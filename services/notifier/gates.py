"""Every endpoint's gate and channel, for all partitions of this copy.

A partition's dispatcher asks here whether it may try, tries through here, and says here what came
of it.  What an answer means for the endpoint as a whole is obeyed here, too.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import structlog

from bus.errors import BadConfig
from schemas.events import Envelope
from schemas.subscription import EndpointHealth, Subscription
from services.notifier.breaker import WAIT_SECONDS_MIN
from services.notifier.channel import Channel, Result, Surroundings, open_channel
from services.notifier.endpoints import GONE_REASON, Endpoints
from services.notifier.failing import (
    Failing,
    failed,
    hopeless,
    return_to_be_told,
    returned,
    to_be_told,
)
from services.notifier.gate import Gate, Landing, Moment, Reason
from services.notifier.lanes import Claim
from services.notifier.limits import share_of
from services.notifier.retries import JITTER, paused_until
from services.notifier.settings import NotifierSettings

CLOSE_SECONDS_MAX = 5.0
TRIES_EACH = 16  # at once on one channel: an HTTP client's rate falls with its connections

RETURNS_APART_SECONDS = WAIT_SECONDS_MIN * (1 - JITTER)  # no probe is sooner
OPEN_AGAIN_SECONDS = 60.0  # until a channel that cannot be opened is looked at again
BringForward = Callable[[str], None]

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Line:
    """An open channel and how many tries are on it."""

    subscription: Subscription
    channel: Channel
    tries: int = 0
    retired: bool = False


class Gates:
    """`partitions`: how many there are of events, over all copies."""

    def __init__(
        self,
        endpoints: Endpoints,
        surroundings: Surroundings,
        settings: NotifierSettings,
        partitions: int,
    ) -> None:
        self.clock = surroundings.clock
        self._endpoints = endpoints
        self._surroundings = surroundings
        self._settings = settings
        self._partitions = partitions
        self.probe_seconds_max = settings.probe_seconds_max
        self._wakes: dict[Callable[[], None], BringForward] = {}  # one for each owned partition
        self._gates: dict[str, Gate] = {}
        self._revisions: dict[str, Subscription] = {}
        self._failing: dict[str, Failing] = {}
        self._unusable: dict[str, str] = {}
        self._came_back_at: dict[str, float] = {}  # on the monotonic clock
        self._away: set[str] = set()  # whose next success is a return
        self._succeeded_at: dict[str, datetime | None] = {}
        self._lines: dict[str, list[Line]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._stop_listening = endpoints.listen(self._refresh)

    def join(self, wake: Callable[[], None], bring_forward: BringForward) -> Callable[[], None]:
        """A partition more is owned: the shares grow.  Returns what ends that.

        `bring_forward` is called with a subscription whose waiting deliveries are due now.
        """
        self._wakes[wake] = bring_forward
        self._refresh()
        return partial(self._leave, wake)

    def moment(self) -> Moment:
        """Now."""
        return Moment(self.clock.now().timestamp(), self.clock.monotonic())

    def claims(self, moment: Moment, wake: Callable[[], None]) -> Claim:
        """Who may start at this moment; `wake` is called when one of the refused may ask again.

        Each that may has to be `landed` and `settled`.
        """

        def claim(subscription: str, due_seconds: float) -> float:
            gate = self._gates.get(subscription)
            return gate.claim(moment, wake, due_seconds) if gate is not None else float("inf")

        return claim

    async def send(
        self, subscription: Subscription, envelope: Envelope, attempt: int
    ) -> Result | None:
        """Try once, through the channel as the subscription says it now.

        None: the channel cannot be opened here, for want of a key; that is held, not tried, and
        looked at again after `OPEN_AGAIN_SECONDS`.
        """
        try:
            line = self._line(subscription)
        except BadConfig as error:
            self._hold(subscription.id, str(error))
            return None
        self._let_go(subscription.id)
        line.tries += 1
        try:
            return await line.channel.send(envelope, attempt)
        finally:
            line.tries -= 1
            self._close_unused(line)

    def landed(self, subscription: str, result: Result | None) -> Landing:
        """What a try that was claimed came to; None: it was given up on the way."""
        landing, succeeded_at = Landing(), self._succeeded_at.get(subscription)
        if (gate := self._gates.get(subscription)) is not None:
            outcome = result.outcome if result is not None else None
            landing = gate.landed(outcome, self.clock.monotonic(), self.clock.chance())
        if landing.down:
            self._away.add(subscription)
        if result is not None:
            self._obey(subscription, result)
        return replace(landing, succeeded_at=succeeded_at)

    def failed_until(self, subscription: str) -> datetime | None:
        """Up to when failures are known to be an outage's that is over, or that goes on.

        None: no outage is known of.
        """
        health = self._endpoints.health(subscription)
        if health is None:
            return None
        return self.clock.now() if health.failing_since is not None else health.succeeded_at

    def settled(self, subscription: str) -> None:
        """What came of it is written, or will never be."""
        if (gate := self._gates.get(subscription)) is not None:
            gate.settled()

    def unusable(self) -> dict[str, str]:
        """Why channels cannot be opened here, by subscription."""
        return dict(self._unusable)

    def held(self, subscription: str, moment: Moment) -> Reason | None:
        """Why its deliveries wait, if it is not for their own next try."""
        gate = self._gates.get(subscription)
        return gate.held(moment) if gate is not None else None

    async def close(self) -> None:
        """No connection is open when it returns."""
        self._stop_listening()
        for lines in self._lines.values():
            self._retire(lines)
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_SECONDS_MAX)

    def _hold(self, subscription: str, why: str) -> None:
        if (gate := self._gates.get(subscription)) is not None:
            gate.unusable(self.clock.monotonic() + OPEN_AGAIN_SECONDS)
        if self._unusable.get(subscription) != why:
            self._unusable[subscription] = why
            log.warning("notifier.channel_unusable", subscription=subscription, error=why)

    def _let_go(self, subscription: str) -> None:
        if self._unusable.pop(subscription, None) is not None:
            if (gate := self._gates.get(subscription)) is not None:
                gate.usable()
            log.info("notifier.channel_usable", subscription=subscription)

    def _leave(self, wake: Callable[[], None]) -> None:
        self._wakes.pop(wake, None)
        for gate in self._gates.values():
            gate.leave(wake)
        self._refresh()

    def _refresh(self) -> None:
        """Take in what is known of subscriptions and endpoints, and how much is owned."""
        known = {found.id: found for found in self._endpoints.all()}
        for subscription in known.values():
            self._set_gate(subscription)
        for name in self._gates.keys() - known.keys():
            if self._gates[name].idle:
                del self._gates[name], self._revisions[name]
                self._failing.pop(name, None)
                self._succeeded_at.pop(name, None)
                self._unusable.pop(name, None)
                self._came_back_at.pop(name, None)
                self._away.discard(name)
            else:
                self._gates[name].standing = "disabled"
        for name, lines in list(self._lines.items()):
            if name not in known or (
                lines and known[name].channel != lines[0].subscription.channel
            ):
                self._retire(self._lines.pop(name))
        for wake in tuple(self._wakes):
            wake()

    def _set_gate(self, subscription: Subscription) -> None:
        name = subscription.id
        gate = self._gates.setdefault(name, Gate(self._settings.probe_seconds_max))
        health = self._endpoints.health(name)
        standing = self._standing(subscription)
        before = self._revisions.get(name, subscription)
        paused = health.paused_until if health is not None else None
        paused_until = paused.timestamp() if paused is not None else 0.0
        now = self.clock.now().timestamp()
        well = (
            before.channel != subscription.channel
            or bool(gate.standing and not standing)
            or gate.paused_until > now >= paused_until
        )
        if well:
            gate.forget()
            self._failing.pop(name, None)
            self._unusable.pop(name, None)
        self._revisions[name] = subscription
        gate.standing, gate.paused_until = standing, paused_until
        if paused_until > now:
            self._away.add(name)
        if self._hears_of_success(name, health) or well:
            self._bring_forward(name)
        owned, rate = len(self._wakes), subscription.rate_per_second
        gate.limit(
            share_of(
                subscription.concurrency or self._settings.concurrency, owned, self._partitions
            ),
            rate * max(1, owned) / self._partitions if rate is not None else None,
            self.clock.monotonic(),
        )

    def _hears_of_success(self, name: str, health: EndpointHealth | None) -> bool:
        """Whether a copy has told of a success that this one did not know of."""
        told_at = health.succeeded_at if health is not None else None
        first, known_at = name not in self._succeeded_at, self._succeeded_at.get(name)
        if told_at is not None and (known_at is None or told_at > known_at):
            self._succeeded_at[name] = told_at
            return not first
        self._succeeded_at.setdefault(name, None)
        return False

    def _bring_forward(self, subscription: str) -> None:
        for bring_forward in tuple(self._wakes.values()):
            bring_forward(subscription)

    def _standing(self, subscription: Subscription) -> Reason | None:
        if self._endpoints.unreadable(subscription.id) is not None:
            return "unreadable"
        if subscription.disabled_reason is not None:
            return "disabled"
        health = self._endpoints.health(subscription.id)
        if health is None or health.disabled_reason is None:
            return None
        return "gone" if health.disabled_reason == GONE_REASON else "disabled"

    def _obey(self, subscription: str, result: Result) -> None:
        """What the answer says about the endpoint as a whole."""
        if result.outcome == "delivered":
            self._succeeded(subscription)
            return
        now = self.clock.now()
        if result.outcome == "gone":
            self._endpoints.gone(subscription)
            return
        pause = paused_until(result.outcome, result.retry_after_seconds, now)
        if pause is not None:
            self._endpoints.pause(subscription, pause)
        health = self._endpoints.health(subscription)
        found = failed(self._failing.get(subscription), health, now)
        if hopeless(found, now):
            self._endpoints.disable(subscription, found.reason)
        elif to_be_told(found, now):
            self._endpoints.failing(subscription, found.since, found.tries)
            found = Failing(found.since, found.tries, now)
        self._failing[subscription] = found

    def _succeeded(self, subscription: str) -> None:
        """After an outage, of whatever kind, what waits for a later try is due now."""
        now, failing = self.clock.now(), self._failing.pop(subscription, None)
        health = self._endpoints.health(subscription)
        others_know = health is not None and health.failing_since is not None
        away = subscription in self._away or returned(failing)
        self._away.discard(subscription)
        if others_know or (away and failing is not None and return_to_be_told(failing, now)):
            self._endpoints.well(subscription)  # comes back through `_refresh`
        elif away:
            self._come_back(subscription)
        self._succeeded_at[subscription] = now

    def _come_back(self, subscription: str) -> None:
        """Bring forward what waits, but not at each of many returns: it looks at all deliveries.

        Of a return too soon after the last the next success is reminded.
        """
        at = self.clock.monotonic()
        if at - self._came_back_at.get(subscription, -math.inf) < RETURNS_APART_SECONDS:
            self._away.add(subscription)
            return
        self._came_back_at[subscription] = at
        self._bring_forward(subscription)

    def _line(self, subscription: Subscription) -> Line:
        """One that has room; another is opened where all are full, which tries at once bound."""
        lines = self._lines.setdefault(subscription.id, [])
        if lines and lines[0].subscription is not subscription:
            if lines[0].subscription.channel != subscription.channel:
                self._retire(lines)
            else:
                lines[0].subscription = subscription
        for line in lines:
            if line.tries < TRIES_EACH:
                return line
        line = Line(subscription, open_channel(subscription, self._surroundings))
        lines.append(line)
        return line

    def _retire(self, lines: list[Line]) -> None:
        """No new try on them; each is closed behind its last one."""
        for line in lines:
            line.retired = True
            self._close_unused(line)
        lines.clear()

    def _close_unused(self, line: Line) -> None:
        if line.retired and not line.tries:
            task = asyncio.create_task(line.channel.close(), name="notifier close channel")
            self._closing.add(task)
            task.add_done_callback(self._closed)

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("notifier.channel_unclosed", error=repr(error))
