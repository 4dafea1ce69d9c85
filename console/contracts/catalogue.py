"""`docs/events.md`: every event type, when it is emitted, what it carries, an example."""

from __future__ import annotations

import json
from collections.abc import Iterator

from console.contracts.headers import EVENT, Schema
from console.contracts.jsonschemas import PREFIX, data_of, prose, schema_of
from console.contracts.story import examples
from console.contracts.text import pretty
from schemas.events import EVENT_CLASSES, Envelope, FulfillmentEvent
from services.normalizer.model import Event

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

CloudEvents 1.0, Kafka binary mode.
A webhook's body has the same attributes without `ce_`, and so do the examples.

| header | is |
|---|---|
"""
DATA = """\
## Data

Every field is always written, null where nothing was told; instants are UTC.
"""


def page() -> str:
    """The whole page, Markdown."""
    given = examples()
    values = list(dict.fromkeys(data for cls in EVENT_CLASSES if (data := data_of(cls))))
    models: dict[str, Schema] = {}
    for value in values:
        schema = schema_of([value])
        models |= {value.__name__: schema, **schema["$defs"]}
    return "\n".join(
        [
            HEAD,
            HEADERS + "\n".join(f"| `{name}` | {_about(one)} |" for name, one in EVENT.items()),
            "\n## Types\n",
            *(_section(cls, given[cls.type]) for cls in EVENT_CLASSES),
            DATA,
            *(_model(name, one) for name, one in models.items()),
        ]
    )


def _about(header: Schema) -> str:
    return (
        f"{header['description']} Always `{header['const']}`."
        if "const" in header
        else (str(header["description"]))
    )


def _section(cls: type[FulfillmentEvent], event: Event) -> str:
    envelope = Envelope.read(dict(event.headers()), event.data.to_json())
    shown = json.loads(envelope.structured())
    data, schema = data_of(cls), f"../schemas/v1/{cls.type}.json"
    assert data is not None
    return "\n".join(
        [
            f"### `{cls.type}`\n",
            f"{prose(cls)}\n",
            f"Data: {_link(data.__name__)}, schema [`{PREFIX}{cls.type}`]({schema}).\n",
            f"```json\n{pretty(shown)}\n```\n",
        ]
    )


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def _model(name: str, schema: Schema) -> str:
    return "\n".join([f"### {name}\n", schema["description"], "", *_table(schema), ""])


def _table(schema: Schema) -> Iterator[str]:
    yield "| field | is |"
    yield "|---|---|"
    for name, field in schema["properties"].items():
        yield f"| `{name}` | {_kind(field)} |"


def _kind(schema: Schema) -> str:
    """A type in words."""
    if "$ref" in schema:
        return _link(schema["$ref"].rsplit("/", 1)[-1])
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    types = schema.get("type", "any JSON value")
    first, *null = [types] if isinstance(types, str) else types
    words = [_word(first, schema), *null]
    return " or ".join(words)


def _word(name: str, schema: Schema) -> str:
    if name == "array":
        return f"list of {_kind(schema['items'])}"
    if "description" in schema:
        return str(schema["description"])
    return {"date-time": "instant", "date": "local date"}.get(schema.get("format", ""), name)
