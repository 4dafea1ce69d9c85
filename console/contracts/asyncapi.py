"""`schemas/asyncapi.yaml`: channels, messages and operations, AsyncAPI 3.0."""

from __future__ import annotations

from typing import Any

from console.contracts.headers import Schema, headers_of
from console.contracts.jsonschemas import PREFIX, headers_name, prose, value_of
from schemas.cloudevents import CONTENT_TYPE
from schemas.events import FulfillmentEvent
from schemas.message import SCHEMA_VERSION
from schemas.topics import CURSOR_SLOTS, SHARED_PARTITIONS, TOPICS, Topic

BINDING = "0.5.0"
PARTITIONS = {"shared": SHARED_PARTITIONS, "slots": CURSOR_SLOTS, "one": 1}
ABOUT = """\
One event for each fact about each package, from commerce systems that can only be polled.
Topics carry the prefix `shipfeed` unless it is set otherwise; partitions and retention are the \
defaults.
Read with isolation level read_committed. `docs/consuming.md` says how, and what will not change.
"""
TAGS = {
    "consumers": "for everyone: held to the promise of docs/consuming.md",
    "services": "the services' own memory",
}


def document() -> dict[str, Any]:
    """The whole document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Shipfeed",
            "version": SCHEMA_VERSION,
            "description": ABOUT,
            "license": {"name": "Apache-2.0"},
            "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        },
        "defaultContentType": CONTENT_TYPE.decode(),
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {
            f"write-{topic.name}": {
                "action": "send",
                "summary": f"Shipfeed writes {topic.name}",
                "channel": {"$ref": f"#/channels/{topic.name}"},
            }
            for topic in TOPICS
        },
        "components": {
            "messages": {
                message_name(kind): _message(topic, kind)
                for topic in TOPICS
                for kind in topic.kinds
            }
        },
    }


def message_name(kind: type) -> str:
    """The event type, or the name of the class."""
    return kind.type if issubclass(kind, FulfillmentEvent) else kind.__name__


def _channel(topic: Topic) -> dict[str, Any]:
    cleanup = topic.config["cleanup.policy"]
    kept = {"retention.ms": topic.retention_ms} if topic.retention_ms else {}
    return {
        "address": f"shipfeed.{topic.name}",
        "description": topic.record,
        "tags": [{"name": topic.audience}],
        "messages": {
            message_name(kind): {"$ref": f"#/components/messages/{message_name(kind)}"}
            for kind in topic.kinds
        },
        "bindings": {
            "kafka": {
                "partitions": PARTITIONS[topic.count],
                "topicConfiguration": {"cleanup.policy": [cleanup], **kept},
                "bindingVersion": BINDING,
            }
        },
    }


def _message(topic: Topic, kind: type) -> dict[str, Any]:
    headers, value = _headers(topic, kind), _value(topic, kind)
    return {
        "name": message_name(kind),
        "summary": prose(kind).split("\n")[0],
        **({"headers": headers} if headers else {}),
        "payload": value,
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": topic.key},
                "bindingVersion": BINDING,
            }
        },
    }


def _headers(topic: Topic, kind: type) -> Schema | None:
    if headers_of(kind) is None:
        return None
    shared = {"$ref": f"./v1/{headers_name(topic)}.json"}
    if not issubclass(kind, FulfillmentEvent):
        return shared
    own = {"ce_type": {"const": kind.type}, "ce_dataschema": {"const": PREFIX + kind.type}}
    return {"allOf": [shared, {"type": "object", "properties": own}]}


def _value(topic: Topic, kind: type) -> Schema:
    if issubclass(kind, FulfillmentEvent):
        return {"$ref": f"./v1/{kind.type}.json"}
    if value_of(kind) is None or len(topic.kinds) == 1:
        return {"$ref": f"./v1/{topic.name}.json"}
    return {"$ref": f"./v1/{topic.name}.json#/$defs/{kind.__name__}"}
