"""An observation folded into what is known: pure, so the same raw log gives the same bytes.

Older than what is known: ignored.  The same again: nothing at all is written.  A newer version
with the same content still moves the state's version, so that a late older one cannot pass, but not
its revision: how often a record was read again shows in no event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.fulfillment import LEFT, LIVE, FulfillmentStatus, Identity, PackageStatus
from schemas.raw import Provenance
from services.normalizer.backfill import backfill_of
from services.normalizer.diff import delivered_event_id, diff, shipped_event_id
from services.normalizer.evidence import positional_kinds, shared_ids
from services.normalizer.flapping import after, last_told
from services.normalizer.identity import distinct, mint, pair
from services.normalizer.mapper import Seen, Snapshot
from services.normalizer.model import (
    Event,
    Flapping,
    Fulfillment,
    LineItem,
    Package,
    RawRef,
    UpstreamId,
)
from services.normalizer.ordering import order_of
from services.normalizer.stubs import late


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """`state` None: nothing to write; `stale` tells an older observation from an equal one.

    `degraded` is the snapshot's.
    """

    state: Fulfillment | None = None
    events: tuple[Event, ...] = ()
    stale: bool = False
    degraded: tuple[str, ...] = ()


def merge(
    stored: Fulfillment | None, snapshot: Snapshot, provenance: Provenance, raw: RawRef
) -> Outcome:
    """What one observation makes of a fulfillment.

    `ordering` says which of two observations is the newer one, `stubs` what becomes of a late one.
    """
    order = order_of(stored, snapshot.updated_at, provenance, raw)
    if order in {"older", "told"}:
        return Outcome(stale=order == "older")
    if stored and stored.stub and order == "equal":
        return Outcome()
    if stored:
        snapshot = _with_what_is_known(snapshot, stored)
    told = last_told(stored) if stored else None
    positional = _positional(told, snapshot.packages)
    if len(snapshot.packages) > 1:
        snapshot = _with_each_once(snapshot, told)
    remap = bool(provenance.remap_of)
    packages = _packages(provenance.key, told, snapshot, positional, remap=remap)
    status = _status(snapshot, packages, told.status if told else None)
    same = stored is not None and _same(stored, snapshot, status, packages)
    flapping, tells = stored.flapping if stored else None, True
    if stored and _is_newer_version(stored, snapshot):
        flapping = None
    elif stored and not stored.stub and (told is not stored or not (same or remap)):
        known = status, snapshot.canceled_items, packages
        flapping, tells = after(stored, *known, provenance.observed_at, same=same)
    before = (stored.updated_at, stored.positional_ids, stored.flapping) if stored else None
    if same and order == "equal" and before == (snapshot.updated_at, positional, flapping):
        return Outcome()
    waited = told is not stored and tells
    state = _state(
        snapshot,
        provenance,
        raw,
        packages,
        status,
        revision=(stored.revision if stored else 0) + (waited or not same),
        positional=positional,
        flapping=flapping,
    )
    if not tells or (same and not waited and not (stored and stored.stub)):
        return Outcome(state)
    events = diff(
        told,
        state,
        provisional=snapshot.provisional,
        backfill=backfill_of(told, state, provenance),
        lines=snapshot.announced_lines,
    )
    if stored and stored.stub:
        return Outcome(*late(stored, state, events))
    return Outcome(state, events)


def _state(
    snapshot: Snapshot,
    provenance: Provenance,
    raw: RawRef,
    packages: tuple[Package, ...],
    status: FulfillmentStatus,
    *,
    revision: int,
    positional: tuple[str, ...],
    flapping: Flapping | None,
) -> Fulfillment:
    """Return the fulfillment as this observation shows it, with what no record shows."""
    return Fulfillment(
        key=provenance.key,
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
        revision=revision,
        field_mappings=snapshot.field_mappings,
        raw=raw,
        line_items=snapshot.line_items,
        canceled_items=snapshot.canceled_items,
        packages=packages,
        remote_data=snapshot.remote_data,
        positional_ids=positional,
        flapping=flapping,
    )


def _is_newer_version(stored: Fulfillment, snapshot: Snapshot) -> bool:
    """Whether the source's own version says that it is newer."""
    known, shown = stored.updated_at, snapshot.updated_at
    return known is not None and shown is not None and shown > known


def _positional(stored: Fulfillment | None, seen: Sequence[Seen]) -> tuple[str, ...]:
    """Return the kinds of ids that were places in the list in every observation so far."""
    if stored is None or not stored.packages:
        return positional_kinds(seen)
    if not stored.positional_ids or not seen:
        return stored.positional_ids
    return tuple([kind for kind in positional_kinds(seen) if kind in stored.positional_ids])


def _with_each_once(snapshot: Snapshot, stored: Fulfillment | None) -> Snapshot:
    """Return the snapshot without packages that it lists twice."""
    listed, ordered = snapshot.packages, (*snapshot.line_items, *snapshot.canceled_items)
    packages = distinct(listed, ordered, stored.packages if stored else ())
    if packages is listed:
        return snapshot
    items = snapshot.line_items
    if items == _items_of(listed):  # the lines are those of the packages
        items = _items_of(packages)
    return msgspec.structs.replace(snapshot, packages=packages, line_items=items)


def _items_of(packages: Sequence[Seen]) -> tuple[LineItem, ...]:
    return tuple([item for one in packages for item in one.line_items or ()])


def _with_what_is_known(snapshot: Snapshot, stored: Fulfillment) -> Snapshot:
    """Return the snapshot with what is known in place of what it could not read."""
    known: dict[str, Any] = {name: getattr(stored, name) for name in snapshot.unknown}
    for name in ("line_items", "canceled_items"):
        items = getattr(snapshot, name)
        if items and name not in known and _is_uncounted(items):
            known[name] = _counted(items, getattr(stored, name))
    return msgspec.structs.replace(snapshot, **known) if known else snapshot


def _is_uncounted(items: tuple[LineItem, ...]) -> bool:
    return None in [item.quantity for item in items]


def _counted(
    items: tuple[LineItem, ...], known: tuple[LineItem, ...] | None
) -> tuple[LineItem, ...]:
    """Return the items; where it is not told how many, as many as are known of that line.

    Of several items of one line, those that are told are taken from what is known first.
    """
    left: dict[tuple[str | None, ...], list[str | None]] = {}
    for item in known or ():
        left.setdefault(_line(item), []).append(item.quantity)
    for item in items:
        if item.quantity is not None and item.quantity in (counts := left.get(_line(item), [])):
            counts.remove(item.quantity)
    unknown = Counter(_line(item) for item in items if item.quantity is None)
    found = []
    for item in items:
        counts = left.get(_line(item), [])
        if item.quantity is None and counts and len(counts) == unknown[_line(item)]:
            unknown[_line(item)] -= 1
            item = msgspec.structs.replace(item, quantity=counts.pop(0))  # noqa: PLW2901
        found.append(item)
    return tuple(found)


def _line(item: LineItem) -> tuple[str | None, ...]:
    return item.order_id, item.line_id, item.sku, item.unit


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


def _packages(
    key: str,
    stored: Fulfillment | None,
    snapshot: Snapshot,
    positional: Sequence[str],
    *,
    remap: bool,
) -> tuple[Package, ...]:
    """Known packages in their old places, then the new; an unchanged one is the same object.

    A remap reads the same record again: what differs is our reading, which takes nothing back.
    """
    known, seen = stored.packages if stored else (), snapshot.packages
    pairs = pair(known, seen, positional) if known else {}
    shown = {old: seen[new] for new, old in pairs.items()}
    after = []
    for index, package in enumerate(known):
        if (one := shown.get(index)) is None:
            after.append(package if remap and package.status in LEFT else _gone(package))
            continue
        one = _with_the_known(one, package)
        status = _package_status(package, one)
        if stored and not _believed(stored, snapshot, package, one, status, remap=remap):
            status = package.status
        after.append(_package(key, one, status, package))
    if len(pairs) < len(seen):
        fresh = [(index, package) for index, package in enumerate(seen) if index not in pairs]
        shared = shared_ids(known, seen)
        ids = mint(key, fresh, [package.id for package in known], shared)
        after += [
            _package(key, one, _package_status(None, one), ids[index]) for index, one in fresh
        ]
    return tuple(after)


def _believed(
    stored: Fulfillment,
    snapshot: Snapshot,
    old: Package,
    seen: Seen,
    status: PackageStatus,
    *,
    remap: bool,
) -> bool:
    """Whether a known package may be in `status` now.

    Only the record itself takes a departure back: its ship time is gone, its status is another one,
    or, where it has never had a status, its tracking numbers are gone.  Otherwise our reading of
    it has changed, and what is announced stays announced (decision 0013).
    """
    if old.status not in LEFT or status in LEFT:
        return True
    if remap:
        return False
    words = ((stored.status_raw, snapshot.status_raw), (old.status_raw, seen.status_raw))
    if any(after is not None and after != before for before, after in words):
        return status == "canceled" or not stored.stub
    worded = any(word is not None for pair_of_words in words for word in pair_of_words)
    if status == "canceled":
        return not worded
    numbers_gone = not worded and bool(old.trackings) and not seen.trackings
    return not stored.stub and (numbers_gone or (bool(old.shipped_at) and not seen.shipped_at))


def _package(
    key: str,
    seen: Seen,
    status: PackageStatus,
    known: Package | tuple[str, Identity],
) -> Package:
    """A package as it is now, with the ids of what is told of it once and for all.

    `known` is the package so far, or the id of one that was not known and the id's basis.
    """
    old, upstream_ids = None, seen.upstream_ids
    revision, shipped, delivered = 1, None, None
    if isinstance(known, Package):
        old, package_id, identity, revision = known, known.id, known.identity, known.revision
        shipped, delivered = known.shipped_event_id, known.delivered_event_id
        upstream_ids = _ids(known.upstream_ids, upstream_ids)
    else:
        package_id, identity = known
    if shipped is None and status in LEFT:
        shipped = shipped_event_id(key, package_id)
    if delivered is None and status == "delivered":
        delivered = delivered_event_id(key, package_id)
    new = Package(
        id=package_id,
        upstream_id=upstream_ids[0].id if upstream_ids else None,
        upstream_ids=upstream_ids,
        identity=identity,
        status=status,
        status_raw=seen.status_raw,
        carrier=seen.carrier,
        service_level=seen.service_level,
        trackings=seen.trackings,
        shipped_at=seen.shipped_at,
        delivered_at=seen.delivered_at,
        line_items=seen.line_items,
        revision=revision,
        shipped_event_id=shipped,
        delivered_event_id=delivered,
    )
    if old is None:
        return new
    return old if new == old else msgspec.structs.replace(new, revision=revision + 1)


def _with_the_known(seen: Seen, old: Package) -> Seen:
    """Return the package with what is known in place of what could not be read of it."""
    if not seen.unknown and not seen.line_items:
        return seen
    known: dict[str, Any] = {n: getattr(old, n) for n in seen.unknown if n != "status"}
    items = known.get("line_items", seen.line_items)
    if items and _is_uncounted(items):
        known["line_items"] = _counted(items, old.line_items)
    return msgspec.structs.replace(seen, **known) if known else seen


def _ids(known: tuple[UpstreamId, ...], told: tuple[UpstreamId, ...]) -> tuple[UpstreamId, ...]:
    """Return what is told now, then what was known of other kinds."""
    if known == told or not told:
        return known
    kinds = {one.kind for one in told}
    return (*told, *(one for one in known if one.kind not in kinds))


def _gone(old: Package) -> Package:
    if old.status == "removed":
        return old
    return msgspec.structs.replace(old, status="removed", revision=old.revision + 1)


def _package_status(old: Package | None, seen: Seen) -> PackageStatus:
    """The source's word; one for delivered that may mean less needs another one before it.

    Where the record says nothing of it, what is known stays.
    """
    if old is not None and "status" in seen.unknown:
        if old.status == "removed":
            return "shipped" if old.shipped_event_id else seen.status
        return old.status
    if seen.status != "delivered" or not seen.delivered_if_seen_left:
        return seen.status
    known = old is not None and old.status in LEFT and old.status_raw != seen.status_raw
    again = old is not None and old.status == "delivered"
    return "delivered" if known or again else "shipped"


def _status(
    snapshot: Snapshot, packages: Sequence[Package], known: FulfillmentStatus | None
) -> FulfillmentStatus:
    """Return what the source says, else what the packages say.

    A word that nobody knows leaves what is known as it is: it says nothing new.
    """
    if snapshot.status == "unknown" and known is not None:
        return known
    if snapshot.status is not None:
        return snapshot.status
    live = [package for package in packages if package.status in LIVE]
    left = [package for package in live if package.status in LEFT]
    if not left:
        return "open"
    return "shipped" if len(left) == len(live) else "partially_shipped"
