"""The peer does to a record what we do: else its speed says nothing about ours."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from benchmarks.inputs.orders import VARIANTS, VERSIONS, versions
from benchmarks.peers.plain import observed as observed_plainly
from bus.settings import KafkaSettings
from schemas.raw import Provenance
from services.normalizer.mappers import discovered
from services.normalizer.merge import merge
from services.normalizer.model import Fulfillment, RawRef

KAFKA = KafkaSettings()

Told = list[tuple[list[tuple[str, bytes]], bytes]]


def ours(count: int) -> tuple[list[bytes], Told]:
    """Every order's state and all events, as they stand on Kafka, after so many versions."""
    mapper = discovered()["zentail"]
    states: dict[str, Fulfillment] = {}
    told: Told = []
    for offset, record in enumerate(versions(KAFKA, VARIANTS, count=count)):
        provenance = Provenance.read(dict(record.headers))
        snapshot = mapper.map(record.value or b"", provenance)
        raw = RawRef(topic=record.topic, partition=record.partition, offset=offset)
        outcome = merge(states.get(record.key), snapshot, provenance, raw)
        if outcome.state is not None:
            states[record.key] = outcome.state
        trace = ("traceparent", provenance.traceparent.encode())
        told += [([*event.headers(), trace], event.data.to_json()) for event in outcome.events]
    return [state.to_json() for state in states.values()], told


def the_peers(count: int) -> tuple[list[bytes], Told]:
    """The same of the peer's."""
    states: dict[str, dict[str, Any]] = {}
    told: Told = []
    for offset, record in enumerate(versions(KAFKA, VARIANTS, count=count)):
        raw = {"topic": record.topic, "partition": record.partition, "offset": offset}
        order, known = orjson.loads(record.value or b""), states.get(record.key)
        state, events = observed_plainly(order, record.key, dict(record.headers), raw, known)
        if state is not None:
            states[record.key] = orjson.loads(orjson.dumps(state))
        told += [(headers, orjson.dumps(value)) for headers, value in events]
    return [orjson.dumps(state) for state in states.values()], told


@pytest.mark.parametrize("count", range(1, VERSIONS + 1))
def test_the_peer_tells_the_same(count: int) -> None:
    """Every event with the same headers, id among them, and the same value."""
    (_, told), (_, plainly) = ours(count), the_peers(count)

    assert [headers for headers, _ in told] == [headers for headers, _ in plainly]
    assert [orjson.loads(value) for _, value in told] == [orjson.loads(v) for _, v in plainly]


def test_the_peer_keeps_the_same() -> None:
    """The state of every order."""
    (states, _), (plainly, _) = ours(VERSIONS), the_peers(VERSIONS)

    assert [orjson.loads(state) for state in states] == [orjson.loads(state) for state in plainly]


def test_the_input_is_worth_measuring() -> None:
    """About 900 bytes a record, more than one event for each, of five types."""
    records = list(versions(KAFKA, VARIANTS))
    _, told = ours(VERSIONS)

    assert 850 < sum(len(record.value or b"") for record in records) / len(records) < 950
    assert len(records) < len(told)
    assert len({dict(headers)["ce_type"] for headers, _ in told}) == 5
