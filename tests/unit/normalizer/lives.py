"""Shipments seen in turn, without any upstream's record behind them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from schemas.raw import Provenance
from services.normalizer.mapper import Seen, Snapshot
from services.normalizer.merge import merge
from services.normalizer.model import Event, Fulfillment, OrderRef, RawRef
from tests.unit.normalizer.feed import NOON


def seen_in_turn(turns: Sequence[tuple[Seen, ...]]) -> tuple[list[Event], Fulfillment]:
    """All events of a shipment that shows these packages one observation after the other."""
    state: Fulfillment | None = None
    events: list[Event] = []
    for offset, packages in enumerate(turns):
        seen_at = NOON + timedelta(seconds=offset)
        provenance = Provenance("acme", "a", "shipments", "head", "1", seen_at)
        snapshot = Snapshot("shipment", (OrderRef("1"),), None, packages=packages)
        outcome = merge(state, snapshot, provenance, RawRef("t.raw", 0, offset))
        state = outcome.state or state
        events += outcome.events
    assert state is not None
    return events, state
