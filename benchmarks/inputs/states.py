"""The state of many orders as it stands once all their versions were read."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.inputs.orders import VERSIONS, versions
from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.raw import Provenance
from schemas.topics import FULFILLMENTS
from services.normalizer.mappers import zentail
from services.normalizer.merge import merge
from services.normalizer.model import RawRef

PACKAGES_PER_ORDER = 1.5  # half of the orders have two


def states(kafka: KafkaSettings, orders: int) -> Iterator[Record]:
    """One state record for each order, made as the normalizer makes them."""
    topic = kafka.topic(FULFILLMENTS)
    last = versions(kafka, orders, begin=VERSIONS - 1)
    for offset, record in enumerate(last):
        provenance = Provenance.read(dict(record.headers))
        snapshot = zentail.map(record.value or b"", provenance)
        raw = RawRef(topic=record.topic, partition=record.partition, offset=offset)
        state = merge(None, snapshot, provenance, raw).state
        assert state is not None, "it was not known"
        yield Record(topic, record.partition, record.key, state.to_json())
