"""`shipfeed remap`: every stored fulfillment of a source beside its raw record, mapped again.

Partition by partition.  The state topic is read twice: first for where the newest record of each
key is, then for those records, a few hundred at a time; the raw records they follow from are read
in order of offset.  So memory holds an offset for each fulfillment of one partition, and one chunk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from bus import reading
from bus.errors import Misuse
from bus.settings import KafkaSettings
from console.appending import Appending, appending
from schemas.keys import quoted
from schemas.topics import FULFILLMENTS, RAW
from services.normalizer.mapper import Mapper
from services.normalizer.model import Fulfillment
from services.normalizer.observation import restored
from services.normalizer.remapping import Remapped, copied, remapped

CHUNK_STATES = 500
EXAMPLES_MAX = 3  # of each kind


@dataclass(slots=True)
class Tally:
    """What mapping everything of a source again changes, or would change.

    `expired`: their raw record is past its retention; `stubs` are too old to have one;
    `refused` cannot be mapped any more; `moved` were written anew while they were read.
    """

    fulfillments: int = 0
    unchanged: int = 0
    changed: int = 0
    expired: int = 0
    stubs: int = 0
    refused: int = 0
    moved: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def take(self, found: Remapped) -> None:
        """Count one that was mapped again."""
        if found.refused:
            self.refused += 1
            self._example("cannot be mapped", f"{found.key}: {found.refused}")
        elif not found.changes:
            self.unchanged += 1
        else:
            self.changed += 1
        for kind, words in found.changes:
            self.kinds[kind] += 1
            self._example(kind, f"{found.key}: {words}" if words else found.key)

    def _example(self, kind: str, text: str) -> None:
        known = self.examples.setdefault(kind, [])
        if len(known) < EXAMPLES_MAX:
            known.append(text)


async def remap(
    kafka: KafkaSettings, source: str, mappers: Mapping[str, Mapper], *, apply: bool
) -> Tally:
    """Compare everything of a source; with `apply` append what changes to raw again.

    Raises Misuse for a system without a mapper, RetryLater, KafkaError, TimeoutError.
    """
    if source not in mappers:
        raise Misuse(f"no mapper for {source!r}; there are: {', '.join(sorted(mappers))}")
    tally = Tally()
    if not apply:
        await _all(kafka, source, mappers, tally, None)
        return tally
    async with appending(kafka, f"remap.{source}") as raw:
        await _all(kafka, source, mappers, tally, raw)
    return tally


async def _all(
    kafka: KafkaSettings,
    source: str,
    mappers: Mapping[str, Mapper],
    tally: Tally,
    append: Appending | None,
) -> None:
    for partition in range(kafka.partition_count(FULFILLMENTS)):
        async with (
            reading.picking(kafka, RAW, partition) as raw,
            aclosing(_states(kafka, partition, f"{quoted(source)}/", tally)) as chunks,
        ):
            async for states in chunks:
                async with aclosing(raw.at(sorted(states))) as records:
                    async for offset, record in records:
                        if record is None:
                            tally.expired += 1
                            continue
                        found = remapped(states[offset], record, mappers)
                        tally.take(found)
                        if append is not None and found.changes:
                            await append.add(copied(record, found.key))


async def _states(
    kafka: KafkaSettings, partition: int, prefix: str, tally: Tally
) -> AsyncGenerator[dict[int, Fulfillment]]:
    """The stored states whose keys begin with `prefix`, by the offset of their raw record."""
    newest: dict[str, int] = {}
    async with aclosing(reading.scan(kafka, FULFILLMENTS, partition=partition)) as records:
        async for record in records:
            key = (record.key or b"").decode()
            if not key.startswith(prefix):
                continue
            if record.value is None:
                newest.pop(key, None)
            else:
                newest[key] = record.offset
    tally.fulfillments += len(newest)
    chunk: dict[int, Fulfillment] = {}
    async with aclosing(reading.scan(kafka, FULFILLMENTS, partition=partition)) as records:
        async for record in records:
            key = (record.key or b"").decode()
            if newest.get(key) != record.offset:
                continue
            del newest[key]
            state = restored(key, record.value)
            if state is None or state.stub:
                tally.stubs += 1
            elif (state.raw.topic, state.raw.partition) != (kafka.topic(RAW), partition):
                tally.expired += 1
            else:
                chunk[state.raw.offset] = state
            if len(chunk) == CHUNK_STATES:
                yield chunk
                chunk = {}
    tally.moved += len(newest)
    yield chunk
