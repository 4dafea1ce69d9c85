"""Whether one endpoint may be asked now, in this copy.  Pure: time and chance are arguments.

Whoever is refused spends no try: its delivery stays where it is, due as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from schemas.delivery import Outcome
from services.notifier.breaker import Breaker
from services.notifier.limits import Bucket

UNSETTLED_FACTOR = 2  # tries started and not yet on Kafka, for each that may be in flight

Reason = Literal[
    "unreadable",
    "disabled",
    "gone",
    "secret",
    "paused",
    "breaker",
    "rate",
    "target",
    "backpressure",
]
"""Why something is held.

`unreadable`: a record of it cannot be read.  `secret`: this copy cannot open the channel, for want
of a key.  `target`: the topic it goes to cannot be written.  `backpressure`: its subscription has
no room for more deliveries.
"""


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on both clocks: seconds since 1970, and seconds that never go back."""

    now: float
    at: float


@dataclass(frozen=True, slots=True)
class Landing:
    """What the end of a try says of the endpoint beside its own outcome.

    `probe`: it was the one try let go while the endpoint was down.  `down`: the endpoint counts as
    down now.  `succeeded_at`: the last success that this copy knew of before.
    """

    probe: bool = False
    down: bool = False
    succeeded_at: datetime | None = None


class Gate:
    """`standing`: why nothing goes at all; `paused_until`: seconds since 1970."""

    def __init__(self, probe_seconds_max: float) -> None:
        self.standing: Reason | None = None
        self.paused_until = 0.0
        self._probe_seconds_max = probe_seconds_max
        self._concurrency = 1
        self._bucket: Bucket | None = None
        self._breaker = Breaker(probe_seconds_max)
        self._in_flight = 0
        self._unsettled = 0
        self._unusable_until: float | None = None
        self._refused: dict[Callable[[], None], None] = {}  # in order, each once

    @property
    def idle(self) -> bool:
        """Whether no try is on its way."""
        return not self._unsettled

    def limit(self, concurrency: int, per_second: float | None, at: float) -> None:
        """This copy's share of what the endpoint may be asked."""
        self._concurrency = concurrency
        if per_second is None:
            self._bucket = None
        elif self._bucket is None:
            self._bucket = Bucket(per_second, at)
        else:
            self._bucket.change(per_second, at)

    def forget(self) -> None:
        """The endpoint is another one, or somebody says that it is well again."""
        self._breaker = Breaker(self._probe_seconds_max)
        self._unusable_until = None

    def unusable(self, until: float) -> None:
        """The channel cannot be opened here: ask for no try before then."""
        self._unusable_until = until

    def usable(self) -> None:
        """The channel is open."""
        self._unusable_until = None

    def claim(self, moment: Moment, refused: Callable[[], None], due_seconds: float = 0.0) -> float:
        """0: a try starts, to be `landed` and then `settled`; else ask again in so many seconds.

        `due_seconds`: until the delivery is due.  While the endpoint is down it may be the probe
        all the same: else nobody would ask while each waits for hours of its schedule.
        `refused` is called when a try that is on its way has made room.
        """
        if due_seconds > 0 and self._breaker.state == "closed":
            return due_seconds
        wait_seconds = self._wait_seconds(moment)
        if wait_seconds > 0:
            if math.isinf(wait_seconds):
                self._refused[refused] = None
            return wait_seconds
        if self._bucket is not None:
            self._bucket.take()
        self._breaker.start()
        self._in_flight += 1
        self._unsettled += 1
        return 0.0

    def landed(self, outcome: Outcome | None, at: float, chance: float) -> Landing:
        """What the endpoint said; None: it was not asked to the end."""
        self._in_flight -= 1
        probe = self._breaker.state == "half_open"
        self._breaker.landed(outcome, at, chance)
        self._make_room()
        return Landing(probe, down=self._breaker.state != "closed")

    def settled(self) -> None:
        """What came of it is on Kafka, or never will be."""
        self._unsettled -= 1
        self._make_room()

    def leave(self, refused: Callable[[], None]) -> None:
        """Whoever was refused asks no more."""
        self._refused.pop(refused, None)

    def held(self, moment: Moment) -> Reason | None:
        """Why what is due has to wait; None: it need not, or only for tries on their way."""
        if self.standing is not None:
            return self.standing
        if self._unusable_until is not None:
            return "secret"
        if self.paused_until > moment.now:
            return "paused"
        if self._breaker.state != "closed":
            return "breaker"
        if self._bucket is not None and self._bucket.wait_seconds(moment.at) > 0:
            return "rate"
        return None

    def _wait_seconds(self, moment: Moment) -> float:
        if self.standing is not None:
            return math.inf
        if self._unusable_until is not None and self._unusable_until > moment.at:
            return self._unusable_until - moment.at
        if self.paused_until > moment.now:
            return self.paused_until - moment.now
        full = self._unsettled >= UNSETTLED_FACTOR * self._concurrency
        if full or self._in_flight >= self._concurrency:
            return math.inf
        wait_seconds = self._breaker.wait_seconds(moment.at, self._in_flight)
        if self._bucket is None or wait_seconds > 0:
            return wait_seconds
        return self._bucket.wait_seconds(moment.at)

    def _make_room(self) -> None:
        """Those refused first ask first, as many as there is room for."""
        for refused in list(self._refused)[: max(1, self._concurrency - self._in_flight)]:
            del self._refused[refused]
            refused()
