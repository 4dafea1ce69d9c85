"""How many events cannot go on now, for each subscription, by why: for people and for metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from bus.clock import Clock
from bus.telemetry import HELD
from services.notifier.backlog import Backlog
from services.notifier.endpoints import Endpoints
from services.notifier.gate import Reason
from services.notifier.gates import Gates
from services.notifier.holdings import Holdings

SHOW_SECONDS = 5.0

Counts = dict[str, dict[Reason, int]]
Owned = Callable[[], Iterable[tuple[Holdings, Backlog]]]


class Held:
    """Over all partitions of this copy; what waits only for its own next try is not held."""

    def __init__(self, endpoints: Endpoints, gates: Gates, clock: Clock, owned: Owned) -> None:
        self._endpoints = endpoints
        self._gates = gates
        self._clock = clock
        self._owned = owned
        self._shown: set[tuple[str, Reason]] = set()

    def counts(self) -> Counts:
        """Deliveries that wait and events behind standing positions, none left out."""
        found: defaultdict[str, dict[Reason, int]] = defaultdict(dict)
        moment = self._gates.moment()
        owned = list(self._owned())
        refused = self._refused()
        standing = self._endpoints.held()
        for subscription in self._endpoints.all():
            name = subscription.id
            waiting = sum(holdings.lanes.waiting_of(name) for holdings, _ in owned)
            behind = sum(backlog.count_of(name) for _, backlog in owned)
            reason = self._gates.held(name, moment)
            if reason is not None and waiting:
                found[name][reason] = waiting
            if behind:
                why: Reason = "target" if name in refused else "backpressure"
                if any(holdings.unreadable(name) for holdings, _ in owned):
                    why = "unreadable"
                if reason is not None and name in standing:
                    why = reason
                found[name][why] = found[name].get(why, 0) + behind
        return dict(found)

    def standing(self) -> dict[str, str]:
        """Why each standing subscription stands, as far as this copy can tell."""
        return self._gates.unusable() | self._refused() | self._endpoints.held()

    def _refused(self) -> dict[str, str]:
        return {
            name: why
            for _, backlog in self._owned()
            for name, why in backlog.refused.items()
            if self._endpoints.get(name) is not None
        }

    async def run(self) -> None:
        """Keep the metric at what is held, until canceled."""
        while True:
            self._show()
            await self._clock.sleep(SHOW_SECONDS)

    def _show(self) -> None:
        counts = self.counts()
        shown = {(name, reason) for name, reasons in counts.items() for reason in reasons}
        for name, reason in self._shown - shown:
            HELD.remove(name, reason)
        for name, reason in shown:
            HELD.labels(name, reason).set(counts[name][reason])
        self._shown = shown
