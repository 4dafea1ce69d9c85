"""One raw record judged: what it makes of its fulfillment, or why it must be set aside.

Pure, and the only place that knows both Kafka's record and the fulfillment's state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from aiokafka import ConsumerRecord

from bus.errors import Blocked, SetAside
from bus.failures import NEVER_OF_A_RECORD
from schemas.raw import Provenance
from services.normalizer.mapper import Mapper, Snapshot
from services.normalizer.merge import Outcome, merge
from services.normalizer.model import Fulfillment, RawRef
from services.normalizer.ordering import plausible
from services.normalizer.returns import without_returns


class Unforeseen(SetAside):
    """Judging a record failed with `error`, which nobody planned for."""

    def __init__(self, what: str, error: Exception) -> None:
        super().__init__(f"{what}: {error!r}", "$")
        self.error = error


def provenance_of(record: ConsumerRecord) -> tuple[str, Provenance]:
    """Its key and where it came from.  Raises SetAside when key and headers do not agree."""
    try:
        provenance = Provenance.read(dict(record.headers))
    except ValueError as error:
        raise SetAside(f"headers cannot be read: {error}", "headers") from error
    key = provenance.key
    if record.key != key.encode():
        raise SetAside(f"the record's key is not {key}, as its headers say", "key")
    return key, provenance


def observed(
    record: ConsumerRecord,
    provenance: Provenance,
    mappers: Mapping[str, Mapper],
    stored: Callable[[], Fulfillment | None],
) -> Outcome:
    """The record merged into what is known, `stored`, once it is needed.

    Raises SetAside, and Blocked when the state cannot be read.
    """
    if record.value is None:
        raise SetAside("a tombstone: raw takes full snapshots only")
    snapshot = _mapped(record.value, provenance, mappers)
    reference = RawRef(topic=record.topic, partition=record.partition, offset=record.offset)
    known = stored()
    try:
        outcome = merge(known, snapshot, provenance, reference)
    except NEVER_OF_A_RECORD:
        raise
    except Exception as error:
        # A value that no mapper refused and no merge can hold costs this record; the process would
        # meet it again after every start.
        raise Unforeseen("it cannot be merged", error) from error
    degraded, version = snapshot.degraded, snapshot.updated_at
    if version is not None and plausible(version, provenance.observed_at) is None:
        degraded += ("updated_at",)
    return msgspec.structs.replace(outcome, degraded=degraded) if degraded else outcome


def restored(key: str, value: bytes | None) -> Fulfillment | None:
    """The state of `key`.

    Raises Blocked when this build cannot read it: another state in its place would announce again
    what has been announced.
    """
    if value is None:
        return None
    try:
        return Fulfillment.from_json(value)
    except (ValueError, RecursionError) as error:
        raise Blocked(
            f"the state of {key} cannot be read: {error}. Run the build that wrote it, or give "
            f"the state up with: shipfeed packages forget {key}"
        ) from error


def _mapped(value: bytes, provenance: Provenance, mappers: Mapping[str, Mapper]) -> Snapshot:
    mapper = mappers.get(provenance.source)
    if mapper is None:
        raise SetAside(
            f"there is no mapper for source {provenance.source!r}; there are: "
            + ", ".join(sorted(mappers)),
            "shipfeed-source",
        )
    try:
        snapshot = mapper.map(value, provenance)
        return without_returns(snapshot, value, getattr(mapper, "PACKAGES", ""))
    except (SetAside, *NEVER_OF_A_RECORD):
        raise
    except Exception as error:
        # A fault of the mapper's own costs the one record it met, never the partition behind it.
        raise Unforeseen(f"the mapper of {provenance.source} failed", error) from error
