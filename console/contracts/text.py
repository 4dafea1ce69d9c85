"""JSON and YAML as they are committed: stable, and short enough to read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

WIDTH = 100


def pretty(value: Any, indent: int = 0) -> str:
    """JSON; what fits on a line stays on one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= WIDTH or not isinstance(value, dict | list) or not value:
        return line
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        parts = [
            f"{pad}{json.dumps(name)}: {pretty(part, indent + 2)}" for name, part in value.items()
        ]
        return "{\n" + ",\n".join(parts) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(pad + pretty(part, indent + 2) for part in value) + f"\n{pad[2:]}]"


def yaml(value: Mapping[str, Any]) -> str:
    """YAML in block style; every text stands in JSON's quotes, which YAML reads the same."""
    return "\n".join(_block(value, "")) + "\n"


def _block(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, part in value.items():
        key = f"{indent}{json.dumps(name) if name.startswith('$') or ' ' in name else name}:"
        if isinstance(part, Mapping) and part:
            yield key
            yield from _block(part, indent + "  ")
        elif isinstance(part, list) and part:
            yield key
            yield from _items(part, indent + "  ")
        else:
            yield f"{key} {json.dumps(part, ensure_ascii=False)}"


def _items(parts: list[Any], indent: str) -> Iterator[str]:
    for part in parts:
        if isinstance(part, Mapping) and part:
            first, *rest = _block(part, indent + "  ")
            yield f"{indent}- {first.strip()}"
            yield from rest
        else:
            yield f"{indent}- {json.dumps(part, ensure_ascii=False)}"
