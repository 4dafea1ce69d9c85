"""A batch of write-backs as its owner takes it in: what is wanted, and what cannot be.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from aiokafka import ConsumerRecord
from pydantic import ValidationError

from bus.dead_letters import set_aside
from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.dead_letter import DeadLetter
from schemas.subscription import Subscription
from schemas.topics import RECORD_BYTES_MAX, WRITE_BACKS
from schemas.write_back import Wanted, WriteBack, is_wanted
from services.notifier.settlement import SERVICE
from services.notifier.write_backs.standing import standing, stood, taken_in

WANTED_BYTES_MAX = RECORD_BYTES_MAX // 4  # the WriteBack has it in it, and its call beside it


@dataclass(slots=True)
class Batch:
    """What is wanted, each with its offset; the keys it stands under; and what is no Wanted."""

    wanted: list[tuple[int, Wanted]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    letters: list[Record] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def read_batch(kafka: KafkaSettings, records: Iterable[ConsumerRecord], now: datetime) -> Batch:
    """WriteBacks that come back, and what was removed, are passed over."""
    batch = Batch()
    for record in records:
        key, value = (record.key or b"").decode(errors="replace"), record.value
        if value is None or not is_wanted(key):
            continue
        batch.keys.append(key)
        try:
            batch.wanted.append((record.offset, _wanted(kafka, record, key, value)))
        except ValueError as error:
            letter = DeadLetter(
                service=SERVICE,
                reason=f"not to be written back: {error}",
                origin=f"{record.topic}/{record.partition}/{record.offset}",
                at=now,
            )
            batch.reasons.append(letter.reason)
            own = {"partition": record.partition, "headers": record.headers}
            batch.letters.append(set_aside(kafka, letter, key, value, **own))
    return batch


def taken_in_all(
    batch: Batch,
    *,
    known: Callable[[str], WriteBack | None],
    subscription: Callable[[str], Subscription | None],
    unreadable: Callable[[str], str | None],
    targets: Container[str],
    now: datetime,
) -> list[WriteBack]:
    """What a batch makes of what is `known`, by key; an event that is wanted twice counts once."""
    made: dict[str, WriteBack] = {}
    for offset, wanted in batch.wanted:
        key = wanted.key.rpartition("/")[0]  # a WriteBack stands above what is wanted of it
        after = taken_in(wanted, made.get(key) or known(key), offset, now)
        if after is None:
            continue
        name = wanted.subscription
        found = standing(after, subscription(name), targets, unreadable(name))
        made[key] = (stood(after, found, now) or after) if found is not None else after
    return list(made.values())


def _wanted(kafka: KafkaSettings, record: ConsumerRecord, key: str, value: bytes) -> Wanted:
    """Raises ValueError: it is none, or another owner's."""
    if len(value) > WANTED_BYTES_MAX:
        raise ValueError(f"{len(value)} bytes are more than {WANTED_BYTES_MAX}")
    try:
        wanted = Wanted.model_validate_json(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        path = ".".join(map(str, first["loc"]))
        raise ValueError(f"it is no Wanted: {path}: {first['msg']}") from error
    if wanted.key != key:
        raise ValueError(f"it belongs under the key {wanted.key}")
    count = kafka.partition_count(WRITE_BACKS)
    if (belongs := partition_of(wanted.folder, count)) != record.partition:
        raise ValueError(f"it belongs to partition {belongs}, whose owner alone may send it")
    return wanted
