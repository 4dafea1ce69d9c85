"""What a consumer may rely on, as plain facts, and which change of them breaks it: pure.

A fact is what may stand at a path of a record: types, the values of a closed list, "absent".
The rule (docs/consuming.md) has two halves.  What is on the topics already must be readable by
what comes next, for every topic.  What is written next must be readable by what is built already,
for topics that consumers read: they skip fields, records and event types that they do not know,
and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from console.contracts.headers import Schema, headers_of
from console.contracts.jsonschemas import value_of
from schemas.events import FulfillmentEvent
from schemas.topics import TOPICS

Facts = Mapping[str, list[str]]
ABSENT = "absent"
ANYTHING = "anything"


def promised() -> dict[str, Any]:
    """All of it as of now: topics, and the records and headers on them."""
    topics = {
        topic.name: {
            "audience": topic.audience,
            "key": topic.key,
            "partitions": topic.count,
            "cleanup": topic.config["cleanup.policy"],
            "retention_ms": topic.retention_ms,
        }
        for topic in TOPICS
    }
    records: dict[str, dict[str, Facts]] = {topic.name: {} for topic in TOPICS}
    for topic in TOPICS:
        for kind in topic.kinds:
            headers, value = headers_of(kind), value_of(kind)
            if headers is not None:
                records[topic.name]["headers"] = facts(headers)
            if value is not None:
                name = kind.type if issubclass(kind, FulfillmentEvent) else kind.__name__
                records[topic.name][name] = facts(value)
    return {"topics": topics, "records": records}


def facts(schema: Schema) -> dict[str, list[str]]:
    """Path -> what may stand there, sorted; `[]` is any item of a list, `*` any key of a map."""
    walked = _walk(schema, "", schema.get("$defs", {}), frozenset())
    return {path: sorted(found) for path, found in walked}


def _walk(
    schema: Schema, path: str, defs: Mapping[str, Schema], above: frozenset[str]
) -> Iterator[tuple[str, set[str]]]:
    """`above`: the definitions we are in; one that holds itself is walked once."""
    names = set(_references(schema))
    if names & above:
        yield path, names
        return
    options = list(_options(schema, defs))
    yield path, {word for option in options for word in _words(option)}
    for name, parts in _parts(options).items():
        below: dict[str, set[str]] = {}
        for part in parts:
            for place, found in _walk(part, f"{path}/{name}", defs, above | names):
                below.setdefault(place, set()).update(found)
        if name not in ("[]", "*") and not all(_always(option, name) for option in options):
            below[f"{path}/{name}"].add(ABSENT)
        yield from below.items()


def _references(schema: Schema) -> Iterator[str]:
    """The names of the definitions that its alternatives are."""
    if "$ref" in schema:
        yield schema["$ref"].rsplit("/", 1)[-1]
    for alternative in schema.get("anyOf") or schema.get("oneOf") or ():
        yield from _references(alternative)


def _options(schema: Schema, defs: Mapping[str, Schema]) -> Iterator[Schema]:
    """The alternatives, references followed."""
    if "$ref" in schema:
        yield from _options(defs[schema["$ref"].rsplit("/", 1)[-1]], defs)
    elif alternatives := schema.get("anyOf") or schema.get("oneOf"):
        for alternative in alternatives:
            yield from _options(alternative, defs)
    elif isinstance(schema.get("type"), list):
        yield from ({**schema, "type": name} for name in schema["type"])
    else:
        yield schema


def _words(option: Schema) -> Iterator[str]:
    if "enum" in option or "const" in option:
        values = option.get("enum", [option.get("const")])
        yield from (json.dumps(value) for value in values)
        return
    name = option.get("type", ANYTHING)
    limits = [option[limit] for limit in ("format", "pattern") if limit in option]
    yield " ".join([name, *limits]) if name == "string" else name


def _parts(options: list[Schema]) -> dict[str, list[Schema]]:
    """What lies below: fields by name, items as `[]`, values of a map as `*`."""
    found: dict[str, list[Schema]] = {}
    for option in options:
        for name, part in option.get("properties", {}).items():
            found.setdefault(name, []).append(part)
        for name, keyword in (("[]", "items"), ("*", "additionalProperties")):
            if isinstance(option.get(keyword), dict):
                found.setdefault(name, []).append(option[keyword])
    return found


def _always(option: Schema, name: str) -> bool:
    """Whether an object of this kind has the field; what is no object does not lack it."""
    return name in option.get("required", ()) or option.get("type") not in (None, "object")


def breaks(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What of `before` no longer holds in `after`, a sentence each; none: it may be released."""
    found = []
    for name, topic in before["topics"].items():
        if name not in after["topics"]:
            found.append(f"topic {name} is gone")
            continue
        found += [f"topic {name}: {text}" for text in _moved(topic, after["topics"][name])]
        public = topic["audience"] == "consumers"
        for kind, old in before["records"][name].items():
            new = after["records"][name].get(kind)
            texts = ["is gone"] if new is None else _changed(old, new, public=public)
            found += [f"{name}: {kind}: {text}" for text in texts]
    return found


def _moved(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for what in ("key", "partitions", "cleanup"):
        if old[what] != new[what]:
            yield f"{what} was {old[what]!r}, is {new[what]!r}"
    if (old["audience"], new["audience"]) == ("consumers", "services"):
        yield "was for consumers"
    if old["retention_ms"] and new["retention_ms"] and new["retention_ms"] < old["retention_ms"]:
        yield f"kept {old['retention_ms']} ms, now {new['retention_ms']} ms"


def _changed(old: Facts, new: Facts, *, public: bool) -> Iterator[str]:
    for path in sorted({*old, *new}):
        parent = path.rpartition("/")[0]
        if path and (parent not in old or parent not in new):
            continue  # the parent tells: it came or went whole
        if path not in new:
            if public:
                yield f"{path} is gone"
        elif path not in old:
            if ABSENT not in new[path]:
                yield f"{path} is new and has no default: records written before lack it"
        else:
            yield from _turned(path, set(old[path]), set(new[path]), public=public)


def _turned(path: str, old: set[str], new: set[str], *, public: bool) -> Iterator[str]:
    lost, gained = _beyond(old, new), _beyond(new, old)
    if lost:
        yield f"{path} was {_list(old)}; records written before may hold {_list(lost)}"
    if public and gained:
        yield f"{path} was {_list(old)}; a consumer does not expect {_list(gained)}"


def _beyond(words: set[str], known: set[str]) -> set[str]:
    """Those of `words` that who takes `known` cannot take: any text takes each text."""
    taken = set(known)
    if "string" in known:
        taken |= {word for word in words if word.startswith(('"', "string "))}
    if ANYTHING in known:
        taken |= words - {ABSENT}
    return words - taken


def _list(words: set[str]) -> str:
    return " or ".join(sorted(words))
