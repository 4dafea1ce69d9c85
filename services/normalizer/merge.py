"""An observation folded into what is known: pure, so the same raw log gives the same bytes.

Older than what is known: ignored.  The same again: nothing at all is written.  A newer version
with the same content still moves the state's version, so that a late older one cannot pass, but not
its revision: how often a record was read again shows in no event.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from schemas.fulfillment import LEFT, LIVE, FulfillmentStatus, Identity, PackageStatus
from schemas.raw import Provenance
from services.normalizer.diff import delivered_event_id, diff, shipped_event_id
from services.normalizer.identity import mint, pair
from services.normalizer.mapper import Seen, Snapshot
from services.normalizer.model import Event, Fulfillment, Package, RawRef


class Outcome(NamedTuple):
    """`state` None: nothing to write; `stale` tells an older observation from an equal one."""

    state: Fulfillment | None = None
    events: tuple[Event, ...] = ()
    stale: bool = False


def merge(
    stored: Fulfillment | None, snapshot: Snapshot, provenance: Provenance, raw: RawRef
) -> Outcome:
    """What one observation makes of a fulfillment.

    The source's own version orders observations; without one the instant of observation does.
    Of two equal versions the later offset wins; what raw gives again from an earlier offset has
    been told already.
    """
    known, version = _versions(stored, snapshot, provenance)
    if known is not None and version < known:
        return Outcome(stale=True)
    if stored and version == known and _read_again(raw, stored.raw):
        return Outcome()
    key = stored.key if stored else provenance.key
    packages = _packages(key, stored.packages if stored else (), snapshot.packages)
    status = _status(snapshot, packages)
    same = stored is not None and _same(stored, snapshot, status, packages)
    if same and version == known:
        return Outcome()
    state = Fulfillment(
        key=key,
        source=provenance.source,
        account=provenance.account,
        resource=provenance.resource,
        upstream_id=provenance.upstream_id,
        remote_id=snapshot.remote_id,
        scope=snapshot.scope,
        orders=snapshot.orders,
        status=status,
        status_raw=snapshot.status_raw,
        final=snapshot.final,
        echo=snapshot.echo,
        created_at=snapshot.created_at,
        updated_at=snapshot.updated_at,
        observed_at=provenance.observed_at,
        revision=(stored.revision if stored else 0) + (not same),
        field_mappings=snapshot.field_mappings,
        raw=raw,
        line_items=snapshot.line_items,
        canceled_items=snapshot.canceled_items,
        packages=packages,
        remote_data=snapshot.remote_data,
    )
    if same:
        return Outcome(state)
    events = diff(
        stored,
        state,
        provisional=snapshot.provisional,
        backfill=provenance.backfill and stored is None,
        lines=snapshot.announced_lines,
    )
    return Outcome(state, events)


def _versions(
    stored: Fulfillment | None, snapshot: Snapshot, provenance: Provenance
) -> tuple[datetime | None, datetime]:
    """The versions of what is known and of what was seen, of one kind."""
    if stored is None:
        return None, provenance.observed_at
    if stored.updated_at is not None and snapshot.updated_at is not None:
        return stored.updated_at, snapshot.updated_at
    return stored.observed_at, provenance.observed_at


def _read_again(raw: RawRef, last: RawRef) -> bool:
    """Whether a record of the same partition lies no further than the one that was merged last."""
    return (raw.topic, raw.partition) == (last.topic, last.partition) and raw.offset <= last.offset


def _same(
    stored: Fulfillment,
    snapshot: Snapshot,
    status: FulfillmentStatus,
    packages: tuple[Package, ...],
) -> bool:
    """Whether it shows what is known, its version apart."""
    return (
        stored.packages == packages
        and stored.status == status
        and stored.status_raw == snapshot.status_raw
        and stored.final == snapshot.final
        and stored.echo == snapshot.echo
        and stored.scope == snapshot.scope
        and stored.orders == snapshot.orders
        and stored.remote_id == snapshot.remote_id
        and stored.created_at == snapshot.created_at
        and stored.line_items == snapshot.line_items
        and stored.canceled_items == snapshot.canceled_items
        and stored.field_mappings == snapshot.field_mappings
        and stored.remote_data == snapshot.remote_data
    )


def _packages(key: str, stored: tuple[Package, ...], seen: tuple[Seen, ...]) -> tuple[Package, ...]:
    """Known packages in their old places, then the new; an unchanged one is the same object."""
    pairs = pair(stored, seen)
    shown = {old: seen[new] for new, old in pairs.items()}
    after = [
        _seen_again(key, package, shown[index]) if index in shown else _gone(package)
        for index, package in enumerate(stored)
    ]
    if len(pairs) == len(seen):
        return tuple(after)
    fresh = [(index, package) for index, package in enumerate(seen) if index not in pairs]
    ids = mint(key, fresh, [package.id for package in stored])
    after += [_first_seen(key, package, *ids[index]) for index, package in fresh]
    return tuple(after)


def _first_seen(key: str, seen: Seen, package_id: str, identity: Identity) -> Package:
    return _told(
        key,
        Package(
            id=package_id,
            upstream_id=seen.upstream_id,
            identity=identity,
            status=_package_status(None, seen),
            status_raw=seen.status_raw,
            carrier=seen.carrier,
            service_level=seen.service_level,
            trackings=seen.trackings,
            shipped_at=seen.shipped_at,
            delivered_at=seen.delivered_at,
            line_items=seen.line_items,
            revision=1,
        ),
    )


def _seen_again(key: str, old: Package, seen: Seen) -> Package:
    new = Package(
        id=old.id,
        upstream_id=seen.upstream_id or old.upstream_id,
        identity=old.identity,
        status=_package_status(old, seen),
        status_raw=seen.status_raw,
        carrier=seen.carrier,
        service_level=seen.service_level,
        trackings=seen.trackings,
        shipped_at=seen.shipped_at,
        delivered_at=seen.delivered_at,
        line_items=seen.line_items,
        revision=old.revision,
        shipped_event_id=old.shipped_event_id,
        delivered_event_id=old.delivered_event_id,
    )
    return (
        old if new == old else _told(key, msgspec.structs.replace(new, revision=old.revision + 1))
    )


def _told(key: str, package: Package) -> Package:
    """With the ids of what is now told of it once and for all."""
    shipped, delivered = package.shipped_event_id, package.delivered_event_id
    if package.status in LEFT and shipped is None:
        shipped = shipped_event_id(key, package.id)
    if package.status == "delivered" and delivered is None:
        delivered = delivered_event_id(key, package.id)
    if (shipped, delivered) == (package.shipped_event_id, package.delivered_event_id):
        return package
    return msgspec.structs.replace(package, shipped_event_id=shipped, delivered_event_id=delivered)


def _gone(old: Package) -> Package:
    if old.status == "removed":
        return old
    return msgspec.structs.replace(old, status="removed", revision=old.revision + 1)


def _package_status(old: Package | None, seen: Seen) -> PackageStatus:
    """The source's word; one for delivered that may mean less needs another one before it."""
    if seen.status != "delivered" or not seen.delivered_if_seen_left:
        return seen.status
    known = old is not None and old.status in LEFT and old.status_raw != seen.status_raw
    again = old is not None and old.status == "delivered"
    return "delivered" if known or again else "shipped"


def _status(snapshot: Snapshot, packages: Sequence[Package]) -> FulfillmentStatus:
    """The source's word, else what the packages say (design 2, Words)."""
    if snapshot.status is not None:
        return snapshot.status
    live = [package for package in packages if package.status in LIVE]
    left = [package for package in live if package.status in LEFT]
    if not left:
        return "open"
    return "shipped" if len(left) == len(live) else "partially_shipped"
