"""Which change of a schema or topic breaks a reader, rule by rule."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from console.contracts.promises import breaks, facts, promised

SCHEMA: dict[str, Any] = {
    "$defs": {
        "Box": {
            "type": "object",
            "properties": {"id": {"type": "string"}, "note": {"type": ["string", "null"]}},
            "required": ["id"],
        }
    },
    "type": "object",
    "properties": {
        "status": {"enum": ["open", "shipped"], "type": "string"},
        "boxes": {"type": "array", "items": {"$ref": "#/$defs/Box"}},
        "at": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
        "count": {"type": "integer"},
    },
    "required": ["status", "boxes", "at"],
}
TOPIC = {
    "audience": "consumers",
    "key": "order",
    "partitions": "shared",
    "cleanup": "delete",
    "retention_ms": 1000,
}

Edit = Callable[[dict[str, Any]], Any]


def promise(schema: dict[str, Any], **topic: Any) -> dict[str, Any]:
    """A promise of one topic with one kind of record."""
    return {
        "topics": {"orders": {**TOPIC, **topic}},
        "records": {"orders": {"Order": facts(schema)}},
    }


def changed(edit: Edit, audience: str = "consumers") -> list[str]:
    """What an edit of the schema breaks."""
    after = deepcopy(SCHEMA)
    edit(after)
    return breaks(promise(SCHEMA, audience=audience), promise(after, audience=audience))


def test_the_facts_of_a_schema_are_what_may_stand_at_each_path() -> None:
    """References, unions, lists, closed lists and what may be absent."""
    assert facts(SCHEMA) == {
        "": ["object"],
        "/status": ['"open"', '"shipped"'],
        "/boxes": ["array"],
        "/boxes/[]": ["object"],
        "/boxes/[]/id": ["string"],
        "/boxes/[]/note": ["absent", "null", "string"],
        "/at": ["null", "string date-time"],
        "/count": ["absent", "integer"],
    }


def test_alternatives_share_their_paths() -> None:
    """A field that one of two objects lacks may be absent; a map's values have a path."""
    webhook = {
        "type": "object",
        "properties": {"type": {"const": "webhook"}, "url": {"type": "string"}},
        "required": ["type", "url"],
    }
    log = {
        "type": "object",
        "properties": {"type": {"const": "log"}},
        "required": ["type"],
        "additionalProperties": {"type": "integer"},
    }

    assert facts({"oneOf": [webhook, log, {"type": "null"}]}) == {
        "": ["null", "object"],
        "/type": ['"log"', '"webhook"'],
        "/url": ["absent", "string"],
        "/*": ["integer"],
    }


BREAKING: dict[str, tuple[Edit, str]] = {
    "a field is removed": (lambda one: one["properties"].pop("count"), "/count is gone"),
    "a field deep down is removed": (
        lambda one: one["$defs"]["Box"]["properties"].pop("note"),
        "/boxes/[]/note is gone",
    ),
    "a field becomes null": (
        lambda one: one["properties"].update(count={"type": ["integer", "null"]}),
        "/count was absent or integer; a consumer does not expect null",
    ),
    "a closed list grows": (
        lambda one: one["properties"]["status"]["enum"].append("lost"),
        'does not expect "lost"',
    ),
    "what was always there may be absent": (
        lambda one: one["required"].remove("at"),
        "does not expect absent",
    ),
    "a closed list becomes any text": (
        lambda one: one["properties"].update(status={"type": "string"}),
        '/status was "open" or "shipped"; a consumer does not expect string',
    ),
    "a field becomes anything": (
        lambda one: one["properties"].update(count={}),
        "does not expect anything",
    ),
    "a field is never null any more": (
        lambda one: one["properties"].update(at={"type": "string", "format": "date-time"}),
        "/at was null or string date-time; records written before may hold null",
    ),
    "a closed list shrinks": (
        lambda one: one["properties"]["status"]["enum"].remove("open"),
        'may hold "open"',
    ),
    "a type is another": (
        lambda one: one["properties"].update(count={"type": "string"}),
        "may hold integer",
    ),
    "a new field has no default": (
        lambda one: (
            one["properties"].update(owner={"type": "string"}),
            one["required"].append("owner"),
        ),
        "/owner is new and has no default",
    ),
}


@pytest.mark.parametrize(("edit", "told"), BREAKING.values(), ids=BREAKING)
def test_what_a_reader_does_not_tolerate_is_refused(edit: Edit, told: str) -> None:
    """Each with the path, and what stands or stood there."""
    complaints = changed(edit)

    assert any(told in complaint for complaint in complaints), complaints
    assert all(complaint.startswith("orders: Order: ") for complaint in complaints)


def test_a_renamed_field_is_one_gone_and_one_without_default() -> None:
    """Renaming is told at the path where it happened, not at each path below it."""

    def rename(schema: dict[str, Any]) -> None:
        schema["properties"]["parcels"] = schema["properties"].pop("boxes")
        schema["required"][1] = "parcels"

    assert changed(rename) == [
        "orders: Order: /boxes is gone",
        "orders: Order: /parcels is new and has no default: records written before lack it",
    ]


FINE: dict[str, Edit] = {
    "a field with a default": lambda one: one["properties"].update(note={"type": "string"}),
    "a whole object, its parts without defaults": lambda one: one["properties"].update(
        last={"anyOf": [{"$ref": "#/$defs/Box"}, {"type": "null"}]}
    ),
    "other words about a field": lambda one: one["properties"]["count"].update(description="n"),
    "the order of a closed list": lambda one: one["properties"]["status"]["enum"].reverse(),
}


@pytest.mark.parametrize("edit", FINE.values(), ids=FINE)
def test_what_is_added_or_only_worded_is_fine(edit: Edit) -> None:
    """It is accepted by writing the files again."""
    assert changed(edit) == []


@pytest.mark.parametrize(
    "name",
    [
        "a field is removed",
        "a closed list grows",
        "a closed list becomes any text",
        "a field becomes null",
        "a field becomes anything",
    ],
)
def test_the_services_may_change_their_own_memory_forward(name: str) -> None:
    """Only what is written already has to stay readable."""
    assert changed(BREAKING[name][0], audience="services") == []


@pytest.mark.parametrize(
    "name", ["a closed list shrinks", "a type is another", "a new field has no default"]
)
def test_what_is_on_a_topic_of_the_services_stays_readable(name: str) -> None:
    """A later copy restores it."""
    assert changed(BREAKING[name][0], audience="services") != []


@pytest.mark.parametrize(
    ("topic", "told"),
    [
        ({"key": "line"}, "topic orders: key was 'order', is 'line'"),
        ({"partitions": "one"}, "topic orders: partitions was 'shared', is 'one'"),
        ({"cleanup": "compact", "retention_ms": None}, "cleanup was 'delete', is 'compact'"),
        ({"retention_ms": 999}, "topic orders: kept 1000 ms, now 999 ms"),
        ({"audience": "services"}, "topic orders: was for consumers"),
    ],
)
def test_a_topic_keeps_its_key_and_policy(topic: dict[str, Any], told: str) -> None:
    """What it is keyed by, how partitioned, cleaned and how long kept, and whom it is for."""
    complaints = breaks(promise(SCHEMA), promise(SCHEMA, **topic))

    assert len(complaints) == 1
    assert told in complaints[0]


def test_a_topic_may_keep_longer_and_be_joined_by_others() -> None:
    """More is never less."""
    more = promise(SCHEMA, retention_ms=2000)
    more["topics"]["lines"] = TOPIC
    more["records"] = {"orders": {**more["records"]["orders"], "Return": {}}, "lines": {}}

    assert breaks(promise(SCHEMA), more) == []


def test_a_topic_or_a_kind_of_record_that_is_gone_is_told() -> None:
    """Once, by its name."""
    before = promise(SCHEMA)
    no_topic: dict[str, Any] = {"topics": {}, "records": {}}
    no_kind = {"topics": before["topics"], "records": {"orders": {}}}

    assert breaks(before, no_topic) == ["topic orders is gone"]
    assert breaks(before, no_kind) == ["orders: Order: is gone"]


def test_what_is_promised_now_holds_itself() -> None:
    """Every topic, and on each at least one kind of record or headers."""
    now = promised()

    assert breaks(now, now) == []
    assert all(now["records"].values())
    assert set(now["topics"]) == set(now["records"])
