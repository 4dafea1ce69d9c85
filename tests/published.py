"""The published schemas as a test holds records to them: from the files, as a consumer has them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

FOLDER = Path(__file__).parents[1] / "schemas" / "v1"


def schema(name: str) -> dict[str, Any]:
    """The committed schema of a topic, its headers, or an event type."""
    found = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def complaints(name: str, value: Any) -> list[str]:
    """What is wrong with a value written today: it has each field, and no other."""
    return _complaints(name, value, strict=True)


def header_complaints(name: str, headers: list[tuple[str, bytes]]) -> list[str]:
    """What is wrong with a record's headers."""
    texts = {key: text.decode() for key, text in headers}
    return _complaints(f"{name}.headers", texts, strict=False)


def _complaints(name: str, value: Any, *, strict: bool) -> list[str]:
    return [
        f"{name}: {error.json_path}: {error.message}"
        for error in _validator(name, strict).iter_errors(value)
    ]


@cache
def _validator(name: str, strict: bool) -> Draft202012Validator:
    found = schema(name)
    return Draft202012Validator(_complete(found) if strict else found)


def _complete(part: Any) -> Any:
    """The schema with every field required and no other allowed."""
    if isinstance(part, list):
        return [_complete(one) for one in part]
    if not isinstance(part, dict):
        return part
    whole = {name: _complete(one) for name, one in part.items()}
    if isinstance(part.get("properties"), dict) and part.get("type") == "object":
        return {**whole, "required": list(part["properties"]), "additionalProperties": False}
    return whole
