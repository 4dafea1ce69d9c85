"""What the owner of one partition of write-backs knows of it: every WriteBack, by order.

All of it is restored from Kafka; nothing here is true that is not written there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec
from aiokafka import TopicPartition

from bus.committer import Committer
from bus.errors import Blocked, Stop
from bus.settings import KafkaSettings
from bus.table import Table
from bus.telemetry import WRITE_BACKS as SHOWN
from bus.transaction import Record, Transaction
from schemas.keys import split
from schemas.topics import WRITE_BACKS
from schemas.write_back import State, WriteBack, is_wanted

DECODED_AT_ONCE = 500  # before others have a turn
UNFINISHED: frozenset[State] = frozenset({"waiting", "sending", "unknown"})


class _Glance(msgspec.Struct):
    """All that is looked at in every record: most are done, and stay bytes."""

    state: State


_GLANCE = msgspec.json.Decoder(_Glance)


class Ledger:
    """`unfinished`: folders of orders that something is still to be done about; `counts`: of
    WriteBacks, by target and state.
    """

    def __init__(self, kafka: KafkaSettings, partition: int) -> None:
        self.counts: Counter[tuple[str, State]] = Counter()
        self.unfinished: set[str] = set()
        self.table = Table(kafka, WRITE_BACKS, partition)
        self._committer: Committer | None = None

    async def restore(self, committer: Committer) -> None:
        """Read it from Kafka; `committer`'s writer has begun.

        Raises RetryLater; Blocked where a record cannot be read: it may say that a call was made.
        """
        await self.table.restore()
        self._committer = committer
        for number, (key, value) in enumerate(self.table.items()):
            if not number % DECODED_AT_ONCE:
                await asyncio.sleep(0)
            if is_wanted(key):
                self.table.forget(key)  # the consumer brings it
                continue
            try:
                state = WriteBack.model_validate_json(value).state
            except ValueError as error:
                self.table.hold(key, value, error)
                continue
            self._count(key, state, 1)
            if state in UNFINISHED:
                self.unfinished.add(_folder(key))
        if self.table.unreadable:
            raise Blocked(
                f"{self.table.topic}/{self.table.partition}: {len(self.table.unreadable)} records "
                f"cannot be read: {next(iter(self.table.unreadable.items()))}; nothing is written "
                "back from this partition until they can be"
            )

    def get(self, key: str) -> WriteBack | None:
        """The WriteBack under a key.  Raises Stop when this build cannot read it."""
        value = self.table.get(key)
        return self._read(key, value) if value is not None else None

    def of_order(self, folder: str) -> list[WriteBack]:
        """Those of one order, in their order.  Raises Stop as `get` does."""
        found = [self._read(key, value) for key, value in self.table.below(folder)]
        return sorted(found, key=lambda one: one.place)

    def all_unfinished(self) -> list[WriteBack]:
        """Of all orders.  Raises Stop as `get` does."""
        return [
            one
            for folder in self.unfinished
            for one in self.of_order(folder)
            if one.state in UNFINISHED
        ]

    async def write(
        self,
        write_backs: Iterable[WriteBack],
        *,
        beside: Iterable[Record] = (),
        offsets: Mapping[TopicPartition, int] | None = None,
        group: str = "",
    ) -> None:
        """Write them in one transaction with what stands `beside` them, then take them in.

        Raises RetryLater.
        """
        assert self._committer is not None, "restored before anything is written"
        own = [self.table.put(one.key, one.to_json()) for one in write_backs]
        others = list(beside)
        await self._committer.commit(Transaction([*own, *others], dict(offsets or {}), group))
        for record in own:
            self._take_in(record)
        self.table.apply(others)

    def close(self) -> None:
        """Its WriteBacks are another's to count."""
        for (target, state), count in self.counts.items():
            SHOWN.labels(target, state).dec(count)
        self.counts.clear()

    def _take_in(self, record: Record) -> None:
        assert record.value is not None, "a WriteBack is never removed"
        key, folder = record.key, _folder(record.key)
        if (before := self.table.get(key)) is not None:
            self._count(key, self._state(key, before), -1)
        self._count(key, self._state(key, record.value), 1)
        self.table.apply([record])
        values = self.table.below(folder)
        if any(self._state(key, value) in UNFINISHED for key, value in values):
            self.unfinished.add(folder)
        else:
            self.unfinished.discard(folder)

    def _count(self, key: str, state: State, more: int) -> None:
        target = split(key)[0]
        self.counts[target, state] += more
        SHOWN.labels(target, state).inc(more)

    def _read(self, key: str, value: bytes) -> WriteBack:
        try:
            return WriteBack.model_validate_json(value)
        except ValueError as error:
            raise self._unreadable(key, error) from error

    def _state(self, key: str, value: bytes) -> State:
        try:
            return _GLANCE.decode(value).state
        except ValueError as error:
            raise self._unreadable(key, error) from error

    def _unreadable(self, key: str, error: ValueError) -> Stop:
        return Stop(f"{self.table.topic}/{self.table.partition} {key}: {error}")


def _folder(key: str) -> str:
    return key[: key.rfind("/") + 1]
