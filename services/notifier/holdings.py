"""What the owner of one partition holds in memory: its deliveries, positions and lanes.

All of it is restored from Kafka; nothing here is true that is not written there.
"""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from bus.clients import started
from bus.committer import Committer
from bus.errors import RetryLater
from bus.settings import KafkaSettings
from bus.table import Table
from bus.telemetry import PENDING
from bus.transaction import Record, Transaction
from schemas.delivery import Delivery, Position, position_key
from schemas.keys import joined, split
from schemas.subscription import Subscription
from schemas.topics import DELIVERIES, EVENTS
from services.notifier.commands import CarriedOut
from services.notifier.fan_out import FanOut, delivery_record, pending_of
from services.notifier.lanes import Lanes, Pending


class Holdings:
    """`live` is the next offset the consumer brings; `lock` keeps positions from moving two ways.

    A subscription whose position is before `live` is behind and is caught up; all others are live.
    """

    def __init__(self, kafka: KafkaSettings, partition: int, pending_max: int) -> None:
        self.kafka = kafka
        self.partition = partition
        self.lanes = Lanes()
        self.live = 0
        self.lock = asyncio.Lock()
        self._pending_max = pending_max
        self._positions: dict[str, Position] = {}
        self.table = Table(kafka, DELIVERIES, partition)
        self._committer: Committer | None = None

    async def restore(self, committer: Committer, group: str) -> None:
        """Read it from Kafka; `committer`'s writer has begun.  Raises RetryLater, Stop."""
        self._committer = committer
        await self.table.restore()
        self.live = await committed_offset(self.kafka, group, self.partition)
        deliveries: list[Delivery] = []
        for key, value in self.table.items():
            subscription = split(key)[0]
            try:
                if key == position_key(subscription):
                    self._positions[subscription] = Position.model_validate_json(value)
                else:
                    deliveries.append(Delivery.model_validate_json(value))
            except ValueError as error:
                self.table.hold(key, value, error)
                self.lanes.hold(subscription)
        for delivery in sorted(deliveries, key=lambda found: found.event_offset):
            self.lanes.add(pending_of(delivery))
        self.count()

    def position(self, subscription: Subscription) -> int:
        """The next events offset the subscription has to look at."""
        known = self._positions.get(subscription.id)
        return known.offset if known else subscription.start_offsets.get(self.partition, 0)

    def unreadable(self, subscription: str) -> bool:
        """Whether a record of it cannot be read.  It is held here: nothing of it starts, and its
        position does not move.
        """
        return any(split(key)[0] == subscription for key in self.table.unreadable)

    def position_known(self, subscription: str) -> bool:
        """Whether its position can be read, if it has one."""
        return position_key(subscription) not in self.table.unreadable

    def command(self, subscription: str) -> int:
        """The newest command about it that was carried out here; 0: none."""
        known = self._positions.get(subscription)
        return known.command if known else 0

    def behind(self, subscription: Subscription) -> bool:
        """Whether it has to be caught up before it is live."""
        return self.position(subscription) < self.live

    def room(self, subscription: str, sharers: int) -> int:
        """How many more deliveries it may have: an equal share, so that one cannot starve all."""
        share = max(1, self._pending_max // max(1, sharers))
        return share - self.lanes.count_of(subscription)

    def subscriptions(self) -> set[str]:
        """All that have a position or an unfinished delivery here."""
        held = {split(key)[0] for key in self.table.unreadable}
        return self._positions.keys() | self.lanes.subscriptions() | held

    def value(self, key: str) -> bytes | None:
        """The record of an unfinished delivery."""
        return self.table.get(key)

    def is_pending(self, key: str) -> bool:
        """Whether there is an unfinished delivery of this key."""
        return self.table.get(key) is not None

    def delivery(self, key: str) -> Delivery:
        """The unfinished delivery of this key, from its record."""
        value = self.table.get(key)
        assert value is not None, "only what is pending has a record"
        return Delivery.model_validate_json(value)

    async def commit_fan_out(self, made: FanOut) -> None:
        """Write it, then take it in; call it under `lock`.  Raises RetryLater."""
        moved = [
            Position(subscription=name, offset=offset, command=self.command(name))
            for name, offset in made.positions.items()
        ]
        made.transaction.records.extend(map(self._position_record, moved))
        await self._commit(made.transaction)
        self._positions.update((position.subscription, position) for position in moved)
        for pending in made.pending:
            self.lanes.add(pending)
        self.count()

    async def commit_carried_out(self, done: CarriedOut) -> None:
        """Write what came of a command, then take it in; call it under `lock`.

        Nothing of the subscription may be in flight.  Raises RetryLater.
        """
        made = FanOut(pending=[pending_of(delivery) for delivery in done.begun])
        made.transaction.records.extend(
            delivery_record(self.kafka, self.partition, delivery)
            for delivery in (*done.due, *done.begun)
        )
        made.transaction.records.append(self._position_record(done.position))
        await self._commit(made.transaction)
        self._positions[done.position.subscription] = done.position
        for delivery in done.due:
            if (waiting := self.lanes.get(delivery.subscription, delivery.key)) is not None:
                self.lanes.renew(waiting, delivery.due_at.timestamp())
        for pending in made.pending:
            self.lanes.add(pending)
        self.count()

    def unfinished(self, subscription: str) -> list[Pending]:
        """Its unfinished deliveries, in the order of their events."""
        mine = [one for one in self.lanes if one.subscription == subscription]
        return sorted(mine, key=lambda one: one.event_offset)

    async def commit_records(self, records: list[Record]) -> None:
        """Write what became of a delivery; its lane is the caller's.  Raises RetryLater."""
        await self._commit(Transaction(records), hurried=False)

    async def drop(self, subscription: str) -> int:
        """Forget all there is of a subscription; call it under `lock`.  Returns how many
        deliveries that were.  What is in flight ends as it ends.  Raises RetryLater.
        """
        folder = joined(subscription, "")
        keys = [key for key, _ in self.table.below(folder)]
        await self._commit(Transaction([self.table.put(key, None) for key in keys]))
        self.lanes.drop(subscription)
        self._positions.pop(subscription, None)
        self.count()
        return len(keys) - (position_key(subscription) in keys)

    async def _commit(self, transaction: Transaction, *, hurried: bool = True) -> None:
        assert self._committer is not None, "restored before anything is written"
        if transaction.records or transaction.offsets:
            await self._committer.commit(transaction, hurried=hurried)
        self.table.apply(transaction.records)

    def _position_record(self, position: Position) -> Record:
        return self.table.put(position.key, position.to_json())

    def count(self) -> None:
        """Show how many are unfinished."""
        PENDING.labels(str(self.partition)).set(len(self.lanes))


async def committed_offset(kafka: KafkaSettings, group: str, partition: int) -> int:
    """Where the group goes on in this partition of events.  Raises RetryLater."""
    place = TopicPartition(kafka.topic(EVENTS), partition)
    consumer = AIOKafkaConsumer(**kafka.client_args(), group_id=group, enable_auto_commit=False)
    try:
        async with asyncio.timeout(kafka.request_timeout_ms / 1000):  # it would wait for ever
            await started(consumer)
            consumer.assign([place])  # no membership: only the group's offset is asked for
            committed = await consumer.committed(place)
            if committed is None:
                committed = (await consumer.beginning_offsets([place]))[place]
        return int(committed)
    except (KafkaError, TimeoutError) as error:
        raise RetryLater(f"{place}: no committed offset: {error!r}") from error
    finally:
        await consumer.stop()
