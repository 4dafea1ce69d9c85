"""Records of every system, broken in every way a network or a program breaks them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from bus.errors import SetAside
from schemas.events import EventData
from schemas.fulfillment import Fulfillment
from schemas.raw import Provenance
from services.normalizer import model
from services.normalizer.mappers import discovered
from services.normalizer.observation import observed
from tests.unit.normalizer.feed import raw_record
from tests.unit.normalizer.samples import START, Path, leaves, samples

SEED = 7
RECORDS_PER_SOURCE = 4000
MUTATIONS = (1, 1, 1, 1, 2, 3)
DEPTH = 3000
HUGE = "9" * 400
MAPPERS = discovered()
# A path into the record, or what of the record as a whole cannot be read.
PATH = re.compile(r"\$(\.[^.\[\]]+|\[\d+\]|\[\.\.\.\])*")

# Where a record's identity, version and evidence stand: what may cost it as a whole.
NEEDED = {
    "zentail": r"orderNumber|lastUpdatedTs|status|packages|products",
    "tradecloud": r"id|buyerOrder|purchaseOrderNumber|lastUpdatedAt|meta|status|processStatus"
    r"|locations|loadCarriers|lines",
    "shoplazza": r"id|order_id|updated_at|status|line_items|tracking_items",
    "digital_river": r"id|orderId|items",
    "panora": r"id|tracking_numbers|tracking_urls|remote_data",
}
# Or it is no JSON that any program holds, wherever that stands in it.
UNREADABLE = re.compile("Number out of range|what no program can|most 1000 are read")
TITLE = f"{RECORDS_PER_SOURCE} broken records of each system"

Values = Callable[[Random], Any]
VALUES: list[Values] = [
    lambda _: None,
    lambda _: True,
    lambda _: [],
    lambda _: {},
    lambda _: "",
    lambda _: " \t\n",
    lambda _: "\ud83d",
    lambda _: "caf\u00e9 \U0001f4e6 \u0000",
    lambda _: "2026-13-45T99:99:99Z",
    lambda _: "0001-01-01T00:00:00+23:59",
    lambda _: int(HUGE),
    lambda _: -1,
    lambda _: 2.5,
    lambda _: 0.0000001,
    lambda _: "1e999999",
    lambda _: "NaN",
    lambda _: "-0",
    lambda rng: rng.randrange(-(2**70), 2**70),
    lambda rng: "x" * rng.randrange(1, 5000),
    lambda rng: [{"id": rng.random()}] * rng.randrange(1, 1200),
    lambda rng: {"a": [rng.random(), {"b": None}]},
]


def mutated(record: dict[str, Any], rng: Random) -> bytes:
    """The record with some values swapped, taken away or added; sometimes its bytes spoiled."""
    value = json.loads(json.dumps(record))
    for _ in range(rng.choice(MUTATIONS)):
        paths = list(leaves(value))
        if not paths:
            break
        value = swapped(value, rng.choice(paths), rng)
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5).encode(errors="surrogatepass")
    return spoiled(text, rng) if rng.random() < 0.15 else text


def swapped(value: Any, path: Path, rng: Random) -> Any:
    """Another value at the path or at one above it."""
    path = path[: rng.randint(1, len(path))]
    place = value
    for part in path[:-1]:
        place = place[part]
    if rng.random() < 0.15 and isinstance(place, dict):
        del place[path[-1]]
    else:
        place[path[-1]] = rng.choice(VALUES)(rng)
    return value


def spoiled(text: bytes, rng: Random) -> bytes:
    """Cut off, flipped, nested too deeply, or with a number no program holds."""
    at = rng.randrange(len(text))
    number = re.sub(rb": \d+", b": 1e" + HUGE.encode(), text, count=1)
    nested = text.replace(b"null", b"[" * DEPTH + b"]" * DEPTH, 1)
    flipped = text[:at] + bytes([rng.randrange(256)]) + text[at + 1 :]
    return rng.choice([text[:at], flipped, nested, number, b"", b"null", b"[]", text + text])


@pytest.mark.parametrize("source", MAPPERS)
def test_each_of_4000_broken_records_is_mapped_or_set_aside_with_the_place(
    source: str, record_property: Callable[[str, object], None]
) -> None:
    """None is lost, and only what lacks identity, version or evidence is set aside."""
    needed = re.compile(rf"\$|\$\.({NEEDED.get(source, '.*')})\b.*")
    rng, good = Random(f"{SEED}/{source}"), samples(source)
    ends: Counter[str] = Counter()
    degraded = 0
    unexplained: list[tuple[int, str, str]] = []
    for number in range(RECORDS_PER_SOURCE):
        sample = rng.choice(good)
        before, raw = json.dumps(sample.record).encode(), mutated(sample.record, rng)
        key = "orderNumber" if "orderNumber" in sample.record else "id"
        upstream_id = str(sample.record[key])
        seen = Provenance(
            source, "acme", sample.resource, "head", upstream_id, START, options=sample.options
        )
        record = raw_record(seen.key.encode(), raw, seen.headers(), offset=1)
        known = observed(raw_record(seen.key.encode(), before, ()), seen, MAPPERS, lambda: None)
        try:
            outcome = observed(record, seen, MAPPERS, lambda known=known: known.state)  # type: ignore[misc]
        except SetAside as error:
            ends["set aside"] += 1
            lost = needed.fullmatch(error.path) or UNREADABLE.search(error.reason)
            faulty = re.search("failed|be merged", error.reason)
            if not PATH.fullmatch(error.path) or faulty or not lost:
                unexplained.append((number, error.path, error.reason))
            continue
        told = "announced" if outcome.events else "silent"
        ends[told if outcome.state else "stale" if outcome.stale else "unchanged"] += 1
        degraded += bool(outcome.degraded)
        if outcome.state is not None:
            readable(outcome.state)
        for event in outcome.events:
            EventData.model_validate_json(event.data.to_json())
    for end, count in {**ends, "of them degraded": degraded}.items():
        record_property("figures", [TITLE, end, source, str(count)])

    assert unexplained == []
    assert ends.total() == RECORDS_PER_SOURCE
    assert min(ends["announced"], ends["silent"], ends["set aside"], degraded) > 0


def readable(state: model.Fulfillment) -> None:
    """Both the normalizer and its consumers read what was written."""
    written = state.to_json()
    assert model.Fulfillment.from_json(written) == state
    Fulfillment.model_validate_json(written)
