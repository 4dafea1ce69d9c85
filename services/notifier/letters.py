"""Events that were set aside, read from their dead letters, which have them whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from aiokafka import ConsumerRecord
from msgspec.structs import replace

from bus.clock import Clock
from bus.settings import KafkaSettings
from schemas.command import Target
from schemas.dead_letter import DeadLetter, originals
from schemas.message import present
from schemas.topics import DEAD_LETTERS, EVENTS
from services.notifier.events import Event, EventReader
from services.notifier.fetching import Fetcher
from services.notifier.settlement import SERVICE, SUBSCRIPTION_HEADER


@dataclass(frozen=True, slots=True)
class Letter:
    """A delivery that was set aside: for whom, why, and its event as it stood."""

    partition: int
    offset: int
    subscription: str
    why: DeadLetter
    event: Event

    @classmethod
    def of(cls, record: ConsumerRecord) -> Letter:
        """Raises ValueError when it is no dead letter of a delivery, or has no event."""
        headers = present(dict(record.headers))
        why = DeadLetter.read(headers)
        if why.service != SERVICE or SUBSCRIPTION_HEADER not in headers:
            raise ValueError("no dead letter of a delivery")
        if not why.whole:
            raise ValueError("it was too large to be kept whole")
        event = Event.of(record)
        own = [(n, v) for n, v in originals(record.headers) if n != SUBSCRIPTION_HEADER]
        offset = int(why.origin.rpartition("/")[2])
        return cls(
            partition=record.partition,
            offset=record.offset,
            subscription=headers[SUBSCRIPTION_HEADER].decode(),
            why=why,
            event=replace(event, offset=offset, headers=tuple(own)),
        )

    @property
    def place(self) -> str:
        """`partition/offset`: what it is called on the command line."""
        return f"{self.partition}/{self.offset}"

    @property
    def target(self) -> Target:
        """What a command says to have it delivered."""
        return Target(
            partition=self.partition,
            event_id=self.event.envelope.id,
            event_offset=self.event.offset,
            letter_offset=self.offset,
        )


def letter_of(record: ConsumerRecord, subscription: str) -> Letter | None:
    """None when it is another's, or no letter that a delivery can be made of."""
    if dict(record.headers).get(SUBSCRIPTION_HEADER) != subscription.encode():
        return None
    try:
        return Letter.of(record)
    except ValueError:
        return None


class Bodies:
    """The event of a delivery: from its topic, or from the dead letter that has it."""

    def __init__(
        self, kafka: KafkaSettings, partition: int, events: EventReader, clock: Clock
    ) -> None:
        self._events = events
        self._letters = Fetcher(kafka, DEAD_LETTERS, partition, clock)
        kept_ms = [
            int(kafka.topic_config(topic)["retention.ms"]) for topic in (EVENTS, DEAD_LETTERS)
        ]
        self._sooner = timedelta(milliseconds=max(0, kept_ms[0] - kept_ms[1]))

    async def read(self, event_offset: int, letter_offset: int | None) -> Event | None:
        """The event at `event_offset`, from the letter if there is one.

        None when it is not there any more.  Raises RetryLater.
        """
        if letter_offset is None:
            return await self._events.one(event_offset)
        for record in await self._letters.at(letter_offset, 1):
            if record.offset == letter_offset:
                return self._aged(record)
        return None

    async def close(self) -> None:
        """Let go of the letters; the events are another's."""
        await self._letters.close()

    def _aged(self, record: ConsumerRecord) -> Event | None:
        """Counted from its `at` the letter is kept at least as long as an event is."""
        try:
            event = Letter.of(record).event
        except ValueError:
            return None
        return replace(event, at=event.at - self._sooner)
