"""`docs/events.md`: every event type, when it is emitted, what it carries, an example."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from console.contracts.headers import EVENT, Schema
from console.contracts.jsonschemas import documents, prose
from console.contracts.story import examples
from console.contracts.text import pretty
from schemas.events import EVENT_CLASSES, FulfillmentEvent
from schemas.topics import EVENTS

HEAD = """\
# Events

What `shipfeed.events` carries, and what a webhook brings in its `data`.
How to read them, and what will not change: [consuming.md](consuming.md).

This page is made by `python -m console.contracts`.
The examples are one made-up fulfillment's, in the order of the types and not of its life; the \
normalizer's own code made them.
"""
HEADERS = """\
## Headers

CloudEvents 1.0, Kafka binary mode. A webhook's body has the same attributes, without `ce_`.

| header | is |
|---|---|
"""
DATA = """\
## Data

Every field is always written; null where nothing was told.
"""


def page() -> str:
    """The whole page, Markdown."""
    given, known = examples(), documents()
    models = known[EVENTS.name]["$defs"]
    names = {name: f"[{name}](#{name.lower()})" for name in models}
    return "\n".join(
        [
            HEAD,
            HEADERS + "\n".join(f"| `{name}` | {_about(one)} |" for name, one in EVENT.items()),
            "\n## Types\n",
            *(_section(cls, known[cls.type], given[cls.type], names) for cls in EVENT_CLASSES),
            DATA,
            *(_model(name, one, names) for name, one in models.items()),
        ]
    )


def _about(header: Schema) -> str:
    return (
        f"{header['description']} Always `{header['const']}`."
        if "const" in header
        else (str(header["description"]))
    )


def _section(
    cls: type[FulfillmentEvent], schema: Schema, event: FulfillmentEvent, names: Mapping[str, str]
) -> str:
    shown = {**event.attributes, "data": json.loads(event.data.to_json())}
    return "\n".join(
        [
            f"### `{cls.type}`\n",
            prose(cls),
            f"Schema: [`{schema['$id']}`](../schemas/v1/{cls.type}.json).\n",
            *_table(schema, names),
            f"\n```json\n{pretty(shown)}\n```\n",
        ]
    )


def _model(name: str, schema: Schema, names: Mapping[str, str]) -> str:
    return "\n".join([f"### {name}\n", schema["description"], "", *_table(schema, names), ""])


def _table(schema: Schema, names: Mapping[str, str]) -> Iterator[str]:
    yield "| field | is |"
    yield "|---|---|"
    for name, field in schema["properties"].items():
        yield f"| `{name}` | {_kind(field, names)} |"


def _kind(schema: Schema, names: Mapping[str, str]) -> str:
    """A type in words."""
    if "$ref" in schema:
        return names[schema["$ref"].rsplit("/", 1)[-1]]
    if "anyOf" in schema:
        return " or ".join(_kind(one, names) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    types = schema.get("type", "any JSON value")
    first, *null = [types] if isinstance(types, str) else types
    words = [_word(first, schema, names), *null]
    return " or ".join(words)


def _word(name: str, schema: Schema, names: Mapping[str, str]) -> str:
    if name == "array":
        return f"list of {_kind(schema['items'], names)}"
    if "pattern" in schema:
        return "decimal string"
    return {"date-time": "instant, UTC"}.get(schema.get("format", ""), name)
