"""Writes the contracts into the checkout: `python -m console.contracts [--release]`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from console.contracts import asyncapi, catalogue
from console.contracts.jsonschemas import documents
from console.contracts.promises import breaks, promised
from console.contracts.text import pretty, yaml

ROOT = Path(__file__).parents[2]
FOLDER = Path("schemas/v1")
RELEASED = Path("schemas/released.json")


def files() -> dict[Path, str]:
    """Path in the checkout -> its text; no other file belongs in `FOLDER`."""
    schemas = {FOLDER / f"{name}.json": pretty(one) + "\n" for name, one in documents().items()}
    return {
        **schemas,
        Path("schemas/asyncapi.yaml"): yaml(asyncapi.document()),
        Path("docs/events.md"): catalogue.page(),
    }


def broken() -> list[str]:
    """What of the frozen promise does not hold now."""
    frozen = ROOT / RELEASED
    if not frozen.exists():
        return []
    return breaks(json.loads(frozen.read_text(encoding="utf-8")), promised())


def main(arguments: list[str]) -> int:
    """Write everything; with --release freeze the promise, unless the frozen one is broken."""
    texts = files()
    for path in (ROOT / FOLDER).glob("*.json"):
        if path.relative_to(ROOT) not in texts:
            path.unlink()
    for path, text in texts.items():
        (ROOT / path).parent.mkdir(exist_ok=True)
        (ROOT / path).write_text(text, encoding="utf-8")
    print(f"{len(texts)} files written")
    complaints = broken()
    for complaint in complaints:
        print(f"breaks {RELEASED}: {complaint}", file=sys.stderr)
    if complaints:
        return 1
    if arguments == ["--release"]:
        (ROOT / RELEASED).write_text(pretty(promised()) + "\n", encoding="utf-8")
        print(f"{RELEASED} frozen")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
