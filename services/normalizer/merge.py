"""An observation folded into what is known: pure, so the same raw log gives the same bytes.

Older than what is known: ignored.  The same again: nothing at all is written.  A newer version
with the same content still moves the state's version, so that a late older one cannot pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.events import FulfillmentEvent
from schemas.fulfillment import (
    LEFT,
    LIVE,
    Fulfillment,
    FulfillmentStatus,
    Identity,
    Package,
    PackageStatus,
    RawRef,
)
from schemas.raw import Provenance
from services.normalizer.diff import diff, shipped_event_id
from services.normalizer.identity import mint, pair
from services.normalizer.mapper import Seen, Snapshot
from services.normalizer.ordering import order_of
from services.normalizer.stubs import late


@dataclass(frozen=True, slots=True)
class Outcome:
    """`state` None: nothing to write; `stale` tells an older observation from an equal one."""

    state: Fulfillment | None = None
    events: tuple[FulfillmentEvent, ...] = ()
    stale: bool = False


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
    key = stored.key if stored else provenance.key
    packages = _packages(key, stored.packages if stored else (), snapshot.packages)
    if stored and order == "equal" and _same(stored, snapshot, packages):
        return Outcome()
    state = Fulfillment(
        key=key,
        source=provenance.source,
        account=provenance.account,
        resource=provenance.resource,
        upstream_id=provenance.upstream_id,
        scope=snapshot.scope,
        orders=snapshot.orders,
        status=_status(snapshot, packages),
        status_raw=snapshot.status_raw,
        final=snapshot.final,
        echo=snapshot.echo,
        created_at=snapshot.created_at,
        updated_at=snapshot.updated_at,
        observed_at=provenance.observed_at,
        revision=stored.revision + 1 if stored else 1,
        raw=raw,
        line_items=snapshot.line_items,
        canceled_items=snapshot.canceled_items,
        packages=packages,
    )
    events = diff(
        stored,
        state,
        time=provenance.observed_at,
        provisional=snapshot.provisional,
        backfill=provenance.backfill and stored is None,
        lines=snapshot.announced_lines,
    )
    if stored and stored.stub:
        return Outcome(*late(stored, state, events))
    return Outcome(state, events)


def _same(stored: Fulfillment, snapshot: Snapshot, packages: tuple[Package, ...]) -> bool:
    return (
        all(old is new for old, new in zip(stored.packages, packages, strict=False))
        and len(stored.packages) == len(packages)
        and stored.status == _status(snapshot, packages)
        and stored.status_raw == snapshot.status_raw
        and stored.final == snapshot.final
        and stored.echo == snapshot.echo
        and stored.scope == snapshot.scope
        and stored.orders == snapshot.orders
        and stored.created_at == snapshot.created_at
        and stored.updated_at == snapshot.updated_at
        and stored.line_items == snapshot.line_items
        and stored.canceled_items == snapshot.canceled_items
    )


def _packages(key: str, stored: Sequence[Package], seen: Sequence[Seen]) -> tuple[Package, ...]:
    """Known packages in their old places, then the new; an unchanged one is the same object."""
    pairs = pair(stored, seen)
    shown = {old: seen[new] for new, old in pairs.items()}
    after = [
        _seen_again(key, package, shown[index]) if index in shown else _gone(package)
        for index, package in enumerate(stored)
    ]
    fresh = [(index, package) for index, package in enumerate(seen) if index not in pairs]
    ids = mint(key, fresh, (package.id for package in stored)) if fresh else {}
    after += [_first_seen(key, package, *ids[index]) for index, package in fresh]
    return tuple(after)


def _first_seen(key: str, seen: Seen, package_id: str, identity: Identity) -> Package:
    announced = shipped_event_id(key, package_id) if seen.left else None
    return Package(
        id=package_id,
        identity=identity,
        revision=1,
        shipped_event_id=announced,
        **_shown(None, seen, seen.upstream_id),
    )


def _seen_again(key: str, old: Package, seen: Seen) -> Package:
    announced = old.shipped_event_id
    if announced is None and seen.left:
        announced = shipped_event_id(key, old.id)
    shown = _shown(old, seen, seen.upstream_id or old.upstream_id)
    if announced == old.shipped_event_id and all(
        getattr(old, name) == value for name, value in shown.items()
    ):
        return old
    changed = {**shown, "shipped_event_id": announced, "revision": old.revision + 1}
    return old.model_copy(update=changed)


def _gone(old: Package) -> Package:
    if old.status == "removed":
        return old
    return old.model_copy(update={"status": "removed", "revision": old.revision + 1})


def _shown(old: Package | None, seen: Seen, upstream_id: str | None) -> dict[str, Any]:
    """The fields of a package that follow the source."""
    return {
        "upstream_id": upstream_id,
        "status": _package_status(old, seen),
        "status_raw": seen.status_raw,
        "carrier": seen.carrier,
        "service_level": seen.service_level,
        "trackings": seen.trackings,
        "shipped_at": seen.shipped_at,
        "delivered_at": seen.delivered_at,
        "line_items": seen.line_items,
    }


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
