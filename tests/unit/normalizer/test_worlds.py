"""Whole simulated worlds of every system, normalized and judged by the independent audit."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from schemas.events import EVENT_TYPES, Envelope
from schemas.raw import Provenance
from services.normalizer.mappers import discovered
from services.normalizer.observation import observed, provenance_of
from testbed.audit import Report, audit
from testbed.http import Request
from testbed.oddities import Oddities
from testbed.simulators import simulators
from testbed.simulators.__main__ import ORDERS_DEFAULT
from testbed.upstreams import seed_of
from testbed.world import World
from tests.unit.normalizer.feed import raw_record
from tests.unit.normalizer.samples import SECONDS, START

MAPPERS = discovered()
SEEDS = (7, 8, 9)
WORLD = Request("GET", "/control/world", {})


def judged(source: str, seed: int, every: int = 1, *, odd: bool = False) -> Report:
    """A world as a subscriber is told of it, each record seen in one of `every` versions."""
    world = World(seed_of(seed, source), start=START, orders=ORDERS_DEFAULT, source=source)
    simulator = simulators()[source].simulate(
        world, token="t", requests_per_second=1000.0, page_size_max=100
    )
    simulator.oddities = Oddities(seed, source) if odd else None
    for order in world.advance(START + timedelta(seconds=SECONDS)):
        simulator.show(order)
    looks: Counter[tuple[str, str]] = Counter()
    last = {(one.resource, one.upstream_id): i for i, one in enumerate(simulator.log)}
    states: dict[str, Any] = {}
    received: list[dict[str, Any]] = []
    for index, one in enumerate(simulator.log):
        place = (one.resource, one.upstream_id)
        looks[place] += 1
        if looks[place] % every and index != last[place]:
            continue
        observed_at = START + timedelta(seconds=index)
        seen = Provenance(source, "acme", one.resource, "head", one.upstream_id, observed_at)
        raw = json.dumps(one.body).encode()
        record = raw_record(seen.key.encode(), raw, seen.headers(), offset=index)
        key, provenance = provenance_of(record)
        outcome = observed(record, provenance, MAPPERS, lambda key=key: states.get(key))  # type: ignore[misc]
        states[key] = outcome.state or states[key]
        for event in outcome.events:
            body = Envelope.read(dict(event.headers()), event.data.to_json()).structured()
            received.append({"webhook_id": event.id, "status": 200, "event": json.loads(body)})
    stored = [json.loads(state.to_json()) for state in states.values()]
    truth = json.loads(simulator.handle(WORLD).body)["truth"]
    return audit(truth, received, stored, everything=True)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("source", MAPPERS)
@pytest.mark.parametrize("odd", [False, True], ids=["tidy", "odd"])
def test_what_the_events_of_a_world_tell_is_what_is_true_in_it(
    source: str, seed: int, *, odd: bool
) -> None:
    """Every change told once and no other, however seldom a record is looked at."""
    for every in (1, 2, 5):
        report = judged(source, seed, every, odd=odd)
        assert report.findings == []
        assert report.shipped_in_world > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_the_worlds_of_a_demo_hold_every_type_of_event(seed: int) -> None:
    """All systems together, each story told once in each."""
    told: Counter[str] = Counter()
    for source in MAPPERS:
        told.update(judged(source, seed).by_type)
    assert [kind for kind in EVENT_TYPES if not told[kind]] == []
