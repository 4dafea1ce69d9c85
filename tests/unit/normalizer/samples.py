"""Records of every system: what its vendor documents, and what its simulator shows of a world."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from testbed.simulators import simulators
from testbed.world import World
from tests.unit.normalizer.documented import RECORDS, Documented

START = datetime(2026, 3, 1, tzinfo=UTC)
ORDERS, SECONDS = 23, 60
Path = tuple[str | int, ...]


def samples(source: str) -> list[Documented]:
    """What the vendor documents, and every version of every record in a simulated world."""
    world = World(7, start=START, orders=ORDERS, duration_seconds=SECONDS, source=source)
    simulator = simulators()[source].simulate(
        world, token="t", requests_per_second=1000.0, page_size_max=100
    )
    for order in world.advance(START + timedelta(seconds=SECONDS)):
        simulator.write(simulator.row(order))
    documented = RECORDS.get(source, [])
    options = documented[0].options if documented else frozenset[str]()
    shown = [Documented(one.resource, one.body, options) for one in simulator.log]
    assert shown, f"the simulator of {source} shows nothing"
    return [*documented, *shown]


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """Where a record holds a value that is no object and no array."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from leaves(part, (*path, name))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from leaves(part, (*path, index))
    else:
        yield path
