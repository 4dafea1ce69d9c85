"""The structs a normalizer works on against the contract's classes: field by field, to the byte."""

from __future__ import annotations

import typing
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from bus.record_batch import block
from schemas import events, fulfillment
from schemas.cloudevents import Shared
from schemas.events import EVENT_CLASSES, Envelope
from schemas.message import SCHEMA_MAJOR
from services.normalizer import model
from services.normalizer.envelope import Envelopes
from services.normalizer.mapper import verbatim
from tests.soak import sized
from tests.unit.normalizer.feed import NOON, Feed, box, order

SHAPES: dict[type[BaseModel], type[msgspec.Struct]] = {
    fulfillment.OrderRef: model.OrderRef,
    fulfillment.LineItem: model.LineItem,
    fulfillment.Carrier: model.Carrier,
    fulfillment.Tracking: model.Tracking,
    fulfillment.UpstreamId: model.UpstreamId,
    fulfillment.Package: model.Package,
    fulfillment.RawRef: model.RawRef,
    fulfillment.FulfillmentHeader: model.FulfillmentHeader,
    fulfillment.Fulfillment: model.Fulfillment,
    events.Change: model.Change,
    events.EventData: model.EventData,
    events.PackageData: model.EventData,
    events.RetractionData: model.RetractionData,
    events.RestorationData: model.RestorationData,
}
# The others are parts of these.
WHOLE = (
    fulfillment.Fulfillment,
    events.EventData,
    events.PackageData,
    events.RetractionData,
    events.RestorationData,
)
WORDS = st.text(max_size=8)
INSTANTS = st.datetimes(min_value=datetime(1, 1, 2), timezones=st.just(UTC))  # noqa: DTZ001 - made aware here
QUANTITIES = st.integers(0, 10**9).map(str)
OBJECTS = st.dictionaries(
    WORDS, st.none() | st.booleans() | st.integers(-(2**60), 2**60) | WORDS, max_size=3
).map(lambda one: dict(sorted(one.items(), key=lambda pair: pair[0].encode())))


def contract(shape: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Any value of a class of the contract."""
    built = {name: _values(field.annotation) for name, field in shape.model_fields.items()}
    built.pop("schema_version", None)
    if "quantity" in built:
        built["quantity"] = QUANTITIES
    return st.builds(shape, **built)


def _values(annotation: Any) -> st.SearchStrategy[Any]:
    """By the annotation of a field."""
    known: dict[Any, st.SearchStrategy[Any]] = {
        str: WORDS,
        int: st.integers(0, 2**53),
        bool: st.booleans(),
        datetime: INSTANTS,
        date: st.dates(),
        type(None): st.none(),
        Any: st.none() | WORDS | st.integers(0, 9),
    }
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in known:
        return known[annotation]
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin is dict:
        return OBJECTS
    if origin is tuple:
        return st.lists(_values(arguments[0]), max_size=2).map(tuple)
    if origin is typing.Annotated:
        return _values(arguments[0])
    if arguments:
        return st.one_of([_values(one) for one in arguments])
    return contract(annotation)


@pytest.mark.parametrize(("ours", "struct"), SHAPES.items())
def test_a_struct_has_the_fields_of_its_class_in_their_order(
    ours: type[BaseModel], struct: type[msgspec.Struct]
) -> None:
    """By name and place, and both know the same fields to be left out."""
    fields = msgspec.structs.fields(struct)
    assert [field.encode_name for field in fields] == list(ours.model_fields)
    required = {field.name for field in fields if field.required}
    needed = {name for name, one in ours.model_fields.items() if one.is_required()}
    assert required == needed - {"package"}  # one struct stands for events with and without one


@pytest.mark.parametrize("ours", WHOLE)
def test_struct_and_class_write_and_read_the_same_bytes(ours: type[BaseModel]) -> None:
    """What one writes the other reads and writes again, to the byte."""
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(SHAPES[ours])

    @settings(max_examples=sized(25, 40), deadline=None)
    @given(contract(ours))
    def holds(value: Any) -> None:
        written = value.to_json()
        struct = decoder.decode(written)
        assert msgspec.json.encode(struct) == written
        assert ours.model_validate_json(written) == value

    holds()


def test_every_event_is_written_with_the_data_of_its_class() -> None:
    """Which shape an event has is the contract's to say."""
    names = {shape.__name__ for shape in SHAPES}
    assert {typing.get_type_hints(kind)["data"].__name__ for kind in EVENT_CLASSES} <= names


def test_a_newer_major_is_refused_by_name_and_an_older_field_is_missing_no_more() -> None:
    """Also when the newer one could not be read at all; unknown fields are passed over."""
    newer = f'{{"schema_version": "{SCHEMA_MAJOR + 1}.0", "packages": 3}}'.encode()
    with pytest.raises(ValueError, match=r"Fulfillment has schema_version '2\.0'"):
        model.Fulfillment.from_json(newer)
    with pytest.raises(ValueError, match="missing required field"):
        model.Fulfillment.from_json(b'{"schema_version": "1.9"}')


def test_an_event_of_a_struct_is_the_event_of_its_class() -> None:
    """Headers and value; ids and sequence come from one place."""
    header = model.FulfillmentHeader(
        key="zentail/acme/orders/1",
        source="zentail",
        account="acme",
        resource="orders",
        upstream_id="1",
        scope="shipment",
        orders=(),
        status="open",
        final=False,
        observed_at=datetime(2026, 3, 1, tzinfo=UTC),
        revision=3,
        raw=model.RawRef("t.raw", 0, 7),
    )
    data = model.EventData(header)
    theirs = events.FulfillmentCanceled.of(
        events.EventData.model_validate_json(data.to_json()),
        discriminator=3,
        index=1,
        time=header.observed_at,
    )
    shared = Shared.of(header.key, "zentail", "acme", header.observed_at)
    ours = model.Event(theirs.type, theirs.id, theirs.time, theirs.sequence, data, shared)
    assert ours.headers() == theirs.headers()
    assert ours.data.to_json() == theirs.data.to_json()
    assert Envelope.read(dict(ours.headers()), b"").attributes == theirs.attributes


@settings(deadline=None)
@given(st.booleans(), WORDS, st.sampled_from([b"", b"00-4bf92f3577b34da6a3ce929d0e0e4736"]))
def test_an_envelope_encoded_in_parts_is_that_of_its_headers(
    of_package: bool, key: str, trace: bytes
) -> None:
    """Any key, of a package or not, with a trace and without one."""
    seen = [box({"MUG": 1}, tracking="T1", shipped=0)] if of_package else []
    feed = Feed()
    feed.see(order(*seen, status="SHIPPED"))
    shared = Shared.of(key, "zentail", "acme", NOON)
    traced = [("traceparent", trace)] if trace else []
    for told in feed.events:
        event = msgspec.structs.replace(told, shared=shared)
        assert Envelopes(shared, trace).block(event) == block([*event.headers(), *traced])
    assert feed.events


@given(contract(fulfillment.Fulfillment))
@settings(max_examples=sized(25, 60), deadline=None)
def test_a_header_cut_out_is_the_header_written(value: Any) -> None:
    """Whatever the account's own fields are called, of stubs too."""
    state = model.Fulfillment.from_json(value.to_json())
    written = state.to_json()

    assert state.header_json(written) == msgspec.json.encode(state.header())
    assert model.EventData(state).to_json() == model.EventData(state.header()).to_json()


def test_a_field_of_the_account_may_be_called_as_ours() -> None:
    """What stands behind the header is not looked for inside it."""
    feed = Feed()
    feed.see(order(status="SHIPPED"))
    named = msgspec.Raw(b'{"a":1,"line_items":[]}')
    state = msgspec.structs.replace(feed.state, field_mappings=named)

    assert state.header_json(state.to_json()) == msgspec.json.encode(state.header())


def test_what_is_the_source_s_own_keeps_its_numbers_and_has_one_spelling() -> None:
    """Never through a float; the order of keys and spaces say nothing."""
    one = verbatim(msgspec.Raw(b'{"b": 1.10, "a": 123456789012345678901}'))
    other = verbatim(msgspec.Raw(b' {"a":123456789012345678901,"b":1.10}'))
    assert bytes(one) == b'{"a":123456789012345678901,"b":1.10}'
    assert one == other
    assert verbatim(msgspec.Raw(b"[1]")) == model.NULL
