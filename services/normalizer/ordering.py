"""Whether an observation is newer than what is known.  Pure.

Observations are ordered by the source's own version, without one by the instant of observation
(design 4).  Of two equal ones the later offset wins, so what raw gives again from an earlier
offset has been told already.

What an operator puts on raw again has a later offset than what it is a copy of, so its offset says
nothing.  A remap is the same observation once more: it counts as long as the state still follows
from the record that was copied, and then whatever its version reads like now.  A record from a
dead letter is as old as its observation.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from schemas.raw import Provenance
from services.normalizer.model import Fulfillment, RawRef

VERSION_AHEAD_MAX = timedelta(days=1)  # clocks and zones differ by less

Order = Literal["newer", "equal", "older", "told"]


def order_of(
    stored: Fulfillment | None, version: datetime | None, provenance: Provenance, raw: RawRef
) -> Order:
    """What an observation at `raw`, of `version`, is beside what is known."""
    if stored is None:
        return "newer"
    if provenance.remap_of:
        return "equal" if provenance.remap_of == place_of(stored.raw) else "older"
    versions = (
        plausible(stored.updated_at, stored.observed_at),
        plausible(version, provenance.observed_at),
    )
    if versions[0] is not None and versions[1] is not None:
        known, seen = versions[0], versions[1]
    else:
        known, seen = stored.observed_at, provenance.observed_at
    if seen != known:
        return "newer" if seen > known else "older"
    if provenance.redriven and provenance.observed_at < stored.observed_at:
        return "older"
    return "told" if _read_again(raw, stored.raw) else "equal"


def plausible(version: datetime | None, observed_at: datetime) -> datetime | None:
    """Return the version; None for one that lies too far ahead of its observation to order.

    A record of the year 2062 would let every later one pass as older for decades.
    """
    late = version is not None and version > observed_at + VERSION_AHEAD_MAX
    return None if late else version


def place_of(raw: RawRef) -> str:
    """`topic/partition/offset`, as the header of a copy names it."""
    return f"{raw.topic}/{raw.partition}/{raw.offset}"


def _read_again(raw: RawRef, last: RawRef) -> bool:
    """Whether a record of the same partition lies no further than the one that was merged last."""
    return (raw.topic, raw.partition) == (last.topic, last.partition) and raw.offset <= last.offset
