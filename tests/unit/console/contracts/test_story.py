"""The examples of the event catalogue."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from console.contracts.story import examples, told
from schemas.events import EVENT_TYPES
from tests.published import complaints, header_complaints

EXAMPLES = examples()


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_every_event_type_has_an_example_that_its_schema_takes(event_type: str) -> None:
    """When it has none: have it happen in console/contracts/story.py."""
    event = EXAMPLES[event_type]

    assert complaints(event_type, json.loads(event.data.to_json())) == []
    assert header_complaints("events", event.headers()) == []


def test_the_life_of_the_example_keeps_the_promises() -> None:
    """No event twice, each package shipped once."""
    events = list(told())

    assert len({event.id for event in events}) == len(events)
    shipped = [one.data.package for one in events if one.type == "package.shipped"]
    assert set(Counter(one.id for one in shipped if one).values()) == {1}
