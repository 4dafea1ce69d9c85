"""Dead letters: which are meant, and whether the record in one can go its way again.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from aiokafka import ConsumerRecord

from bus.errors import Misuse
from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.dead_letter import DeadLetter, originals
from schemas.keys import split
from schemas.message import present
from schemas.raw import REDRIVE_HEADER, REMAP_HEADER
from schemas.topics import RAW
from services.notifier.letters import Letter as SetAside
from services.notifier.settlement import SERVICE, SUBSCRIPTION_HEADER
from services.poller.operating import Child


class Letter(NamedTuple):
    """A record of dead-letters and what its headers say."""

    record: ConsumerRecord
    why: DeadLetter

    @classmethod
    def of(cls, record: ConsumerRecord) -> Letter:
        """Raises ValueError for a record that is no dead letter."""
        return cls(record, DeadLetter.read(dict(record.headers)))

    @property
    def place(self) -> str:
        """`partition/offset`: what it is called on the command line."""
        return f"{self.record.partition}/{self.record.offset}"

    @property
    def key(self) -> str:
        """Of the record that was set aside."""
        return (self.record.key or b"").decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Filter:
    """What is asked for; what is left out asks for nothing.  `since` is included, `until` not."""

    reason: str = ""
    source: str = ""
    service: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, why: DeadLetter) -> bool:
        """Whether a letter is meant; `reason` is some of its words, in any case."""
        return (
            self.reason.casefold() in why.reason.casefold()
            and self.source in {"", why.source}
            and self.service in {"", why.service}
            and (self.since is None or why.at >= self.since)
            and (self.until is None or why.at < self.until)
        )


def place_of(text: str) -> tuple[int, int]:
    """Partition and offset.  Raises Misuse."""
    partition, _, offset = text.partition("/")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise Misuse(f"{text!r} is no place of a dead letter; one is PARTITION/OFFSET, as 3/17")
    return int(partition), int(offset)


def again(kafka: KafkaSettings, letter: Letter) -> Record:
    """The record as it would stand on raw, in the partition it comes from.

    Raises Misuse for what cannot go there: why, and what to do instead.
    """
    record, why, key = letter.record, letter.why, letter.key
    headers = originals(record.headers)
    if why.service == SERVICE:
        raise Misuse(
            "it is no event that anybody could read, so there is nothing to deliver; "
            f"`shipfeed dead-letters show {letter.place}` prints it"
        )
    if not why.whole:
        raise Misuse(
            f"it was too large to be kept whole; once {why.source or 'its source'} shows less: "
            f"shipfeed packages refresh {key}"
        )
    if why.service == "poller" and not headers:
        if not key.rpartition("/")[2]:
            raise Misuse(
                "it has no id that can be read, so nobody knows what it is a record of; mended at "
                f"{why.source} it is read again by itself"
            )
        raise Misuse(
            "no record of a fulfillment is in it, only what was answered for one; ask again: "
            f"shipfeed packages refresh {key}, or shipfeed cursors rewind its stream"
        )
    copied = {REMAP_HEADER, REDRIVE_HEADER}
    headers = [(name, value) for name, value in headers if name not in copied]
    place = f"{record.topic}/{letter.place}"
    return Record(
        kafka.topic(RAW),
        record.partition,
        key,
        record.value,
        [*headers, (REDRIVE_HEADER, place.encode())],
    )


def subscription_of(letter: Letter) -> str | None:
    """Whose delivery was set aside; None where it is no event for a subscription."""
    headers = present(dict(letter.record.headers))
    if letter.why.service != SERVICE or SUBSCRIPTION_HEADER not in headers:
        return None
    return headers[SUBSCRIPTION_HEADER].decode()


def child_of(letter: Letter) -> Child | None:
    """What a stream asked for by its id and was refused; None where it is another letter."""
    why, parts = letter.why, split(letter.key)
    if why.service != "poller" or not why.stream or len(parts) != 4:
        return None
    return Child(parts[2], parts[3], why.stream, why.at)


def set_aside_of(letter: Letter) -> SetAside:
    """The letter as a delivery that was set aside, with its event.  Raises Misuse."""
    try:
        return SetAside.of(letter.record)
    except ValueError as error:
        raise Misuse(f"its event cannot be delivered: {error}") from error
