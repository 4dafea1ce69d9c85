"""What is published is what the classes give, and it keeps what was promised."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from console.contracts import asyncapi
from console.contracts.__main__ import FOLDER, RELEASED, ROOT, broken, files
from schemas.events import EVENT_CLASSES, FulfillmentEvent, PackageEvent
from schemas.fulfillment import FulfillmentHeader
from schemas.message import StateRecord
from schemas.topics import TOPICS
from tests.published import schema

FILES = files()
DOCUMENT = asyncapi.document()
SCHEMAS = sorted(path.stem for path in FILES if path.parent == FOLDER)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_each_published_file_is_the_one_the_classes_give(path: Path) -> None:
    """When it is not: python -m console.contracts."""
    assert FILES[path] == (ROOT / path).read_text(encoding="utf-8")


def test_no_other_schema_is_published() -> None:
    """What is gone from the classes is gone from the folder."""
    found = {path.relative_to(ROOT) for path in (ROOT / FOLDER).iterdir()}

    assert found == {path for path in FILES if path.parent == FOLDER}


def test_what_was_released_still_holds() -> None:
    """A change that breaks it needs another way or a new major: docs/consuming.md has the rule."""
    assert (ROOT / RELEASED).exists()
    assert broken() == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_one(name: str) -> None:
    """JSON Schema 2020-12, under the id that its records tell."""
    Draft202012Validator.check_schema(schema(name))

    assert schema(name)["$id"] == f"urn:shipfeed:v1:{name}"


def test_every_record_that_outlives_its_writer_is_on_a_topic() -> None:
    """A class that no topic names would be published nowhere."""
    named = {kind for topic in TOPICS for kind in topic.kinds}

    assert set(_below(FulfillmentEvent)) - {PackageEvent} == set(EVENT_CLASSES)
    assert set(_below(StateRecord)) - {FulfillmentHeader} <= named


def _below(cls: type[Any]) -> Iterator[type[Any]]:
    for one in cls.__subclasses__():
        if one.__module__.startswith("schemas."):
            yield one
        yield from _below(one)


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    """To a part of it, or into a schema beside it."""
    for reference in _references(DOCUMENT):
        file, _, pointer = reference.partition("#")
        target: Any = schema(Path(file).stem) if file else DOCUMENT
        assert not file or (ROOT / "schemas" / file).exists()
        for name in pointer.strip("/").split("/") if pointer else ():
            target = target[name]


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for one in part.values():
            yield from _references(one)
    elif isinstance(part, list):
        for one in part:
            yield from _references(one)


def test_the_asyncapi_document_has_every_topic_and_event() -> None:
    """Each topic a channel that is written to, each event type a message of its channel."""
    channels = DOCUMENT["channels"]
    written = {one["channel"]["$ref"] for one in DOCUMENT["operations"].values()}

    assert {f"shipfeed.{topic.name}" for topic in TOPICS} == {
        channel["address"] for channel in channels.values()
    }
    assert written == {f"#/channels/{name}" for name in channels}
    assert {cls.type for cls in EVENT_CLASSES} == set(channels["events"]["messages"])
