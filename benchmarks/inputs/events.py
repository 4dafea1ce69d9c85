"""Events as the normalizer tells them of the orders of `orders`: 1.1 kB each, of five types.

All that is told of first versions comes before all that is told of second ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from benchmarks.inputs.orders import NUMBER_FIRST, VARIANTS, VERSIONS, versions
from bus.partitioning import partition_of
from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.keys import minted
from schemas.raw import Provenance
from schemas.topics import EVENTS
from services.normalizer.mappers import zentail
from services.normalizer.merge import merge
from services.normalizer.model import Fulfillment, RawRef

Told = list[Record]
"""What one version of one order gave."""


def events(kafka: KafkaSettings, orders: int, *, count: int = VERSIONS) -> Iterator[Record]:
    """All that is told of the first `count` versions of so many orders."""
    partitions = kafka.partition_count(EVENTS)
    for version, templates in enumerate(_templates(kafka, count)):
        for place in range(orders):
            variant, number = place % VARIANTS, str(NUMBER_FIRST + place)
            template = str(NUMBER_FIRST + variant)
            for index, told in enumerate(templates[variant]):
                key = told.key.replace(template, number)
                value = (told.value or b"").replace(template.encode(), number.encode())
                own = {b"ce_partitionkey": key, b"ce_id": minted("evt", [number, version, index])}
                headers = [
                    (name, own.get(name.encode(), "").encode() or held)
                    for name, held in told.headers
                ]
                yield Record(told.topic, partition_of(key, partitions), key, value, headers)


def _templates(kafka: KafkaSettings, count: int) -> Iterator[list[Told]]:
    """For each version what it gives of each variant."""
    topic, known = kafka.topic(EVENTS), dict[str, Fulfillment]()
    records = enumerate(versions(kafka, VARIANTS, count=count))
    for _, group in groupby(records, lambda found: found[0] // VARIANTS):
        templates: list[Told] = []
        for offset, record in group:
            provenance = Provenance.read(dict(record.headers))
            snapshot = zentail.map(record.value or b"", provenance)
            raw = RawRef(topic=record.topic, partition=record.partition, offset=offset)
            outcome = merge(known.get(record.key), snapshot, provenance, raw)
            if outcome.state is not None:
                known[record.key] = outcome.state
            templates.append(
                [
                    Record(topic, 0, record.key, event.data.to_json(), event.headers())
                    for event in outcome.events
                ]
            )
        yield templates
