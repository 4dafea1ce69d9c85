"""JSON Schemas (2020-12) of what is on each topic, from the classes of its records.

A field with a default is not `required`: a record written before the field was there lacks it, and
the default says what that means.  What is written today has every field.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Union

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from console.contracts.headers import Schema, headers_of
from schemas.events import EVENT_CLASSES, FulfillmentEvent
from schemas.message import SCHEMA_MAJOR
from schemas.topics import TOPICS, Topic

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PREFIX = f"urn:shipfeed:v{SCHEMA_MAJOR}:"


def documents() -> dict[str, Schema]:
    """Name -> schema: each topic's value, its headers where it has some, each event type."""
    found = {}
    for topic in TOPICS:
        found[topic.name] = _titled(topic.name, topic.record, values_of(topic))
        headers = headers_of(topic.kinds[0])
        if headers is not None:
            name = headers_name(topic)
            found[name] = _titled(name, f"Headers of a record on {topic.name}.", headers)
    for cls in EVENT_CLASSES:
        found[cls.type] = _titled(cls.type, prose(cls), value_of(cls) or {})
    return found


def headers_name(topic: Topic) -> str:
    """The document that describes the topic's headers."""
    return f"{topic.name}.headers"


def value_of(kind: type) -> Schema | None:
    """The JSON value of a record of this class; None: verbatim."""
    data = data_of(kind)
    return schema_of([data]) if data else None


def values_of(topic: Topic) -> Schema:
    """The JSON value of any record of the topic."""
    distinct = list(dict.fromkeys(data for kind in topic.kinds if (data := data_of(kind))))
    return schema_of(distinct) if distinct else {}


def data_of(kind: type) -> type | None:
    """The class of the JSON value; None: it is verbatim, and `kind` is in the headers."""
    if issubclass(kind, FulfillmentEvent):
        data = kind.model_fields["data"].annotation
        assert isinstance(data, type)
        return data
    return kind if headers_of(kind) is None else None


def schema_of(classes: Iterable[type]) -> Schema:
    """Self-contained: what one of these classes is written as."""
    union: Any = Union[tuple(classes)]  # noqa: UP007 - made of a list
    schema = TypeAdapter(union).json_schema(mode="serialization", schema_generator=_Plain)
    return dict(schema)


def prose(cls: type) -> str:
    """Its docstring, a paragraph on one line."""
    paragraphs = inspect.getdoc(cls) or ""
    return "\n\n".join(" ".join(text.split()) for text in paragraphs.split("\n\n"))


def _titled(name: str, description: str, schema: Mapping[str, Any]) -> Schema:
    head = {"$schema": DIALECT, "$id": PREFIX + name, "title": name, "description": description}
    return {**head, **{key: value for key, value in schema.items() if key not in head}}


class _Plain(GenerateJsonSchema):
    """No titles made of field names, no keywords of other dialects, nulls in one word."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        found = super().model_schema(schema)
        if "description" in found:
            found["description"] = prose(schema["cls"])
        return found

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        found = super().tagged_union_schema(schema)
        found.pop("discriminator", None)
        return found

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        found = super().nullable_schema(schema)
        other, *more = found.get("anyOf", [{}])
        if len(more) == 1 and isinstance(other.get("type"), str) and "enum" not in other:
            return {**other, "type": [other["type"], "null"]}
        return found
