"""The documents in tests/records, read and compared."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "records"
FIRST_DAY = date(2026, 3, 1)
_DATE = re.compile(r"2026-03-\d\d(?=[Tt ])", re.ASCII)


@dataclass(frozen=True)
class Case:
    """One document; tests/records/README.md names its members."""

    source: str
    name: str
    document: dict[str, Any]

    @property
    def id(self) -> str:
        """Its name among all cases."""
        return f"{self.source}-{self.name}"

    @property
    def observations(self) -> list[dict[str, Any]]:
        """What is read, in order."""
        return list(self.document["observations"])

    @property
    def events(self) -> list[str]:
        """The types of all events that it leads to."""
        return [one for step in self.observations for one in step.get("events", ())]

    @property
    def lasts_seconds(self) -> float:
        """How far its last observation is from its first."""
        return max(float(step.get("seconds", 0)) for step in self.observations)

    def on(self, day: date) -> Case:
        """Return the case with its first of March moved to `day`, and every other date with it."""
        moved = day - FIRST_DAY

        def later(found: re.Match[str]) -> str:
            return (date.fromisoformat(found[0]) + moved).isoformat()

        text = _DATE.sub(later, json.dumps(self.document))
        return Case(self.source, self.name, json.loads(text))


def text_of(step: dict[str, Any]) -> str:
    """Return the record of an observation as its source writes it."""
    return step["text"] if "text" in step else json.dumps(step["record"])


def cases() -> list[Case]:
    """Return every case there is."""
    return [
        Case(path.parent.name, path.stem, json.loads(path.read_text("utf-8")))
        for path in sorted(FOLDER.glob("*/*.json"))
    ]


def difference(expected: Any, found: Any, path: str = "$") -> list[str]:
    """Return where `found` differs; members that `expected` leaves out are not compared."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            one
            for name, value in expected.items()
            for one in difference(value, found.get(name), f"{path}.{name}")
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [
            one
            for index, value in enumerate(expected)
            for one in difference(value, found[index], f"{path}[{index}]")
        ]
    return [] if expected == found else [f"{path}: expected {expected!r}, found {found!r}"]
