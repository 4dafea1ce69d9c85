"""The newest events there are, over all partitions: what a wish is tried on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bus.clock import Clock
from bus.settings import KafkaSettings
from schemas.topics import EVENTS
from services.notifier.events import Event, events_of
from services.notifier.searching import Search, ends

FURTHER = 8  # times as far back, when transaction markers left too few events


@dataclass(frozen=True, slots=True)
class Newest:
    """`events`: partition and event, the newest first.  `complete`: none newer was left out for
    want of time.
    """

    events: list[tuple[int, Event]]
    complete: bool


async def newest(kafka: KafkaSettings, count: int, clock: Clock) -> Newest:
    """At most `count` of them.  Raises RetryLater."""
    until, span = await ends(kafka, EVENTS), 2 * count
    while True:
        starts = {number: max(0, end - span) for number, end in until.items()}
        search, found = Search(kafka, EVENTS, clock, starts=starts), Latest(count)
        async for record in search.records():
            for event in events_of([record])[0]:
                found.add(record.partition, event)
        if not search.complete or found.enough(starts):
            return Newest(found.events(), search.complete)
        span *= FURTHER


class Latest:
    """The latest events of each partition, and of all.  Pure."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._found: dict[int, list[Event]] = {}

    def add(self, partition: int, event: Event) -> None:
        """The next one of a partition."""
        found = self._found.setdefault(partition, [])
        found.append(event)
        if len(found) > 2 * self._count:
            del found[: -self._count]

    def enough(self, starts: Mapping[int, int]) -> bool:
        """Whether none before `starts` can be among them."""
        return all(
            not start or len(self._found.get(partition, ())) >= self._count
            for partition, start in starts.items()
        )

    def events(self) -> list[tuple[int, Event]]:
        """The latest over all, by their time on the topic."""
        pairs = [(number, event) for number, found in self._found.items() for event in found]
        pairs.sort(key=lambda pair: (pair[1].at, pair[0], pair[1].offset), reverse=True)
        return pairs[: self._count]
