"""The published schemas take what the code writes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from console.contracts.headers import DEAD_LETTER, EVENT, HEADERS, OPTIONAL, RAW
from console.contracts.jsonschemas import schema_of
from console.contracts.story import told
from schemas.dead_letter import DeadLetter
from schemas.delivery import Position
from schemas.message import Message, quantity
from schemas.raw import Provenance
from schemas.topics import TOPICS
from tests.published import complaints, header_complaints, schema
from tests.unit.console.contracts.remembered import NOON, OWN

LETTER = DeadLetter(service="normalizer", reason="no JSON", at=NOON)
READ = Provenance(
    source="shop",
    account="acme",
    resource="orders",
    stream="orders",
    upstream_id="1",
    observed_at=NOON,
    backfill=True,
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    options=frozenset({"whole"}),
    connected_at=NOON,
)


@pytest.mark.parametrize(("topic", "record"), OWN)
def test_what_the_services_remember_is_taken(topic: str, record: Message) -> None:
    """Each kind of record, each alternative of it."""
    assert complaints(topic, json.loads(record.to_json())) == []


def test_every_kind_of_value_is_tried() -> None:
    """A kind that is new on a topic of the services is tried above, too."""
    kinds = {kind for topic in TOPICS if topic.audience == "services" for kind in topic.kinds}

    assert {type(record) for _, record in OWN} == kinds


class Box(Message):
    """A made-up record."""

    size: int | None
    kind: Literal["paper", "wood"] | None
    at: datetime | date | None = None


def test_null_stands_beside_all_that_a_field_may_be() -> None:
    """In one word with a single type, as an alternative of several or of a closed list."""
    assert schema_of([Box])["properties"] == {
        "size": {"type": ["integer", "null"]},
        "kind": {"anyOf": [{"enum": ["paper", "wood"], "type": "string"}, {"type": "null"}]},
        "at": {
            "anyOf": [
                {"format": "date-time", "type": "string"},
                {"format": "date", "type": "string"},
                {"type": "null"},
            ],
            "default": None,
        },
    }


def test_a_value_with_a_field_less_or_more_is_refused() -> None:
    """So that the tests above can fail."""
    whole = json.loads(Position(subscription="erp", offset=5).to_json())

    assert complaints("deliveries", {**whole, "more": 1}) != []
    assert complaints("deliveries", {"subscription": "erp", "offset": 5}) != []


def test_the_headers_described_are_the_headers_written() -> None:
    """No header without a word about it; the trace comes from the poll."""
    event = next(told())

    assert {name for name, _ in event.headers()} == set(EVENT) - {"traceparent"}
    assert {name for name, _ in READ.headers()} <= set(RAW)
    assert {name for name, _ in LETTER.headers()} <= set(DEAD_LETTER)
    assert set(OPTIONAL) <= {name for headers in HEADERS.values() for name in headers}


class Asked(dict[str, bytes]):
    """Headers that remember what they were asked for."""

    def __init__(self, headers: Iterable[tuple[str, bytes]]) -> None:
        super().__init__(headers)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> bytes:
        self.names.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self.names.add(str(name))
        return super().__contains__(name)


def test_the_headers_described_are_the_headers_read() -> None:
    """Also those that the records above do not have."""
    asked = Asked(READ.headers())
    Provenance.read(asked)
    letter = {f"shipfeed-dead-{name}" for name in DeadLetter.model_fields}

    assert asked.names == set(RAW)
    assert letter == set(DEAD_LETTER) - {"shipfeed-subscription"}


def test_headers_as_they_are_written_are_taken() -> None:
    """Also those of a record that has none of the optional ones."""
    plain = replace(READ, options=frozenset(), backfill=False, connected_at=None)

    assert header_complaints("raw", READ.headers()) == []
    assert header_complaints("raw", plain.headers()) == []
    assert header_complaints("dead-letters", LETTER.headers()) == []
    assert header_complaints("dead-letters", LETTER.headers()[1:]) != []


@given(st.decimals(min_value=0, max_value=10**12, places=3).map(str) | st.integers(0, 10**20))
def test_every_quantity_has_the_published_form(value: str | int) -> None:
    """The pattern takes what the model writes."""
    lines = schema("fulfillments")["$defs"]["LineItem"]["properties"]

    assert re.fullmatch(lines["quantity"]["pattern"], quantity(value))
