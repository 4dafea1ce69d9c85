"""The composition root: the only place that builds the normalizer's parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from starlette.routing import BaseRoute

from bus.admin import ensure_topics
from bus.baseline import refuse_lost_state
from bus.clock import Clock, SystemClock
from bus.consumer import Owned, PartitionConsumer
from bus.errors import RetryLater
from bus.failures import Failures
from bus.service import End
from bus.settings import Config, KafkaSettings
from schemas.topics import FULFILLMENTS, RAW
from services.normalizer.handler import SERVICE, RawPartition, group_of
from services.normalizer.mapper import Mapper
from services.normalizer.mappers import discovered
from services.normalizer.settings import NormalizerSettings
from services.normalizer.stubs import Stubs

NEW_BASELINE = "every package would be announced again"


class Normalizer:
    """The service `bus.service.run` drives."""

    routes: Sequence[BaseRoute] = ()

    def __init__(
        self,
        kafka: KafkaSettings,
        end: End,
        mappers: Mapping[str, Mapper],
        stubs: Stubs,
        *,
        clock: Clock,
        accept_new_baseline: bool,
    ) -> None:
        self._kafka = kafka
        self._clock = clock
        self._accept_new_baseline = accept_new_baseline
        self._mappers = mappers
        self._stubs = stubs
        self._failures: dict[int, Failures] = {}  # of each partition; outlive their owners
        self._consumer = PartitionConsumer(
            kafka, RAW, group_of(kafka), self._own, clock=clock, on_fatal=end
        )

    async def start(self) -> None:
        """Verify the topics, then join the group.  Raises Stop, BadConfig, KafkaError."""
        await ensure_topics(self._kafka, self._clock)
        if not self._accept_new_baseline:
            await refuse_lost_state(self._kafka, FULFILLMENTS, NEW_BASELINE)
        await self._consumer.start()

    async def stop(self) -> None:
        """Finish the transactions in hand and leave the group."""
        await self._consumer.stop()

    def health(self) -> dict[str, object]:
        """The consumer's."""
        return self._consumer.health()

    def _own(self, partition: int, broken: Callable[[RetryLater], None]) -> Owned:
        place = f"{self._kafka.topic(RAW)}/{partition}"
        return RawPartition(
            self._kafka,
            partition,
            self._mappers,
            self._stubs,
            failures=self._failures.setdefault(partition, Failures(place)),
            clock=self._clock,
            broken=broken,
        )


async def build(config: Config, end: End, *, accept_new_baseline: bool = False) -> Normalizer:
    """The service as the configuration says.  Raises BadConfig."""
    stubs = Stubs(config.section(SERVICE, NormalizerSettings).closed_retention_days)
    return Normalizer(
        config.kafka(),
        end,
        discovered(),
        stubs,
        clock=SystemClock(),
        accept_new_baseline=accept_new_baseline,
    )
