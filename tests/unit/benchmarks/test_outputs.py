"""The ceiling writes what a normalizer writes: else it says nothing about ours."""

from __future__ import annotations

from benchmarks.inputs.orders import VARIANTS, VERSIONS
from benchmarks.inputs.outputs import outputs
from bus.settings import KafkaSettings
from schemas.events import EVENT_TYPES, Envelope
from schemas.fulfillment import Fulfillment

KAFKA = KafkaSettings()


def test_each_raw_record_is_followed_by_its_state_and_its_events() -> None:
    """Of the versions in turn three events, three for every second order, one, none."""
    found = list(outputs(KAFKA))
    events = [len(records) - 1 for records in found]

    assert VARIANTS * VERSIONS == len(found)
    assert [3 * VARIANTS, 3 * VARIANTS // 2, VARIANTS, 0] == [
        sum(events[at : at + VARIANTS]) for at in range(0, len(found), VARIANTS)
    ]


def test_what_is_written_can_be_read() -> None:
    """By the contract's classes: the state first, then events with their envelope."""
    for state, *events in outputs(KAFKA):
        assert state.key == Fulfillment.model_validate_json(state.value or b"").key
        for event in events:
            assert Envelope.read(dict(event.headers), event.value or b"").type in EVENT_TYPES
