"""What a normalizer writes for raw records: for each one its state and the events that follow."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.inputs.orders import VARIANTS, versions
from bus.settings import KafkaSettings
from bus.transaction import Record
from schemas.raw import Provenance
from schemas.topics import EVENTS, FULFILLMENTS
from services.normalizer.mappers import zentail
from services.normalizer.merge import merge
from services.normalizer.model import Fulfillment, RawRef


def outputs(kafka: KafkaSettings) -> Iterator[list[Record]]:
    """Of every version of as many orders as differ from each other, in the order of raw."""
    states, events = kafka.topic(FULFILLMENTS), kafka.topic(EVENTS)
    known: dict[str, Fulfillment] = {}
    for offset, record in enumerate(versions(kafka, VARIANTS)):
        key, number = record.key, record.partition
        provenance = Provenance.read(dict(record.headers))
        snapshot = zentail.map(record.value or b"", provenance)
        raw = RawRef(topic=record.topic, partition=number, offset=offset)
        outcome = merge(known.get(key), snapshot, provenance, raw)
        assert outcome.state is not None, "each version is newer"
        known[key] = outcome.state
        trace = ("traceparent", provenance.traceparent.encode())
        yield [
            Record(states, number, key, outcome.state.to_json()),
            *(
                Record(events, number, key, event.data.to_json(), [*event.headers(), trace])
                for event in outcome.events
            ),
        ]
