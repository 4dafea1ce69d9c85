"""What the routes are given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bus.clock import Clock
from bus.settings import KafkaSettings
from services.notifier.channel import Surroundings
from services.notifier.endpoints import Endpoints
from services.notifier.held import Counts
from services.notifier.partition import Partition
from services.notifier.settings import NotifierSettings
from services.notifier.subscriptions import SubscriptionStore


@dataclass(frozen=True, slots=True)
class Context:
    """`owned()`: the partitions of events that this copy owns at the moment; `held()`: how many
    events cannot go on there, for each subscription, by why; `standing()`: why each
    that stands does so.

    `stopping` is set when this copy is about to end: what would go on without end, ends.
    """

    kafka: KafkaSettings
    settings: NotifierSettings
    store: SubscriptionStore
    endpoints: Endpoints
    surroundings: Surroundings
    clock: Clock
    owned: Callable[[], Mapping[int, Partition]]
    held: Callable[[], Counts]
    standing: Callable[[], Mapping[str, str]]
    stopping: asyncio.Event
