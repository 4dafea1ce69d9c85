"""No value of an upstream's record is lost unseen: mapped, derived, or named as kept in raw."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from bus.errors import SetAside
from schemas.raw import Provenance
from services.normalizer.mapper import Snapshot
from services.normalizer.mappers import discovered
from tests.unit.normalizer.documented import Documented
from tests.unit.normalizer.samples import START, Path, leaves, samples

MAPPERS = discovered()


def spelled(path: Path) -> str:
    """As `Leaves` spells it: lines[].sku."""
    text = "".join("[]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def mapped(source: str, sample: Documented, record: dict[str, Any]) -> Snapshot | str:
    """What the record shows, or why it is set aside; its id stays that of the sample."""
    key = "orderNumber" if "orderNumber" in sample.record else "id"
    provenance = Provenance(
        source=source,
        account="acme",
        resource=sample.resource,
        stream="head",
        upstream_id=str(sample.record[key]),
        observed_at=START,
        options=sample.options,
    )
    try:
        return MAPPERS[source].map(json.dumps(record).encode(), provenance)
    except SetAside as error:
        return f"{error.path}: {error.reason}"


def altered(record: dict[str, Any], path: Path) -> Iterator[dict[str, Any]]:
    """The record with another value there, of the same type; and without that value."""
    value = record
    for part in path:
        value = value[part]  # type: ignore[index]
    for other in (_other(value), None):
        changed = copy.deepcopy(record)
        place: Any = changed
        for part in path[:-1]:
            place = place[part]
        if other is None and isinstance(place, dict):
            del place[path[-1]]
        else:
            place[path[-1]] = other
        yield changed


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return 2 * value + 1
    try:
        later = datetime.fromisoformat(value or "") - timedelta(days=30)
    except (TypeError, ValueError):
        return f"{value}x"
    return later.isoformat()[: len(value)] if later.tzinfo is None else later.isoformat()


@pytest.mark.parametrize("source", MAPPERS)
def test_every_value_of_a_record_has_its_place(source: str) -> None:
    """And is where the mapper says: what is mapped or derived shows, what is kept shows nowhere."""
    kinds: dict[str, str | None] = {}
    shows: set[str] = set()
    for sample in samples(source):
        before = mapped(source, sample, sample.record)
        assert isinstance(before, Snapshot), before
        for path in leaves(sample.record):
            name = spelled(path)
            kinds[name] = MAPPERS[source].LEAVES.kind(name)
            if any(mapped(source, sample, one) != before for one in altered(sample.record, path)):
                shows.add(name)
    counts = Counter(kinds.values())
    print(f"{source}: " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))  # noqa: T201 - told to whoever asks

    assert [name for name, kind in kinds.items() if kind is None] == []
    assert {name for name, kind in kinds.items() if kind != "kept"} ^ shows == set()
