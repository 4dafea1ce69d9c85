"""What is to be told about a change of state: pure, before and after in, events out.

The order within a snapshot is fixed: created and restored, tracking and carrier, contents,
shipped, delivered, what ends a package, then the fulfillment's own, so that "all of it has left" is
always last (reference C3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from hashlib import sha256

import msgspec

from schemas.cloudevents import Shared, event_id, sequence
from schemas.events import (
    FulfillmentCanceled,
    FulfillmentEvent,
    FulfillmentItemsCanceled,
    FulfillmentPartiallyShipped,
    FulfillmentReopened,
    FulfillmentShipped,
    PackageCanceled,
    PackageCarrierChanged,
    PackageContentsChanged,
    PackageCreated,
    PackageDelivered,
    PackageRemoved,
    PackageRestored,
    PackageShipmentRetracted,
    PackageShipped,
    PackageShippedAtChanged,
    PackageTrackingChanged,
)
from schemas.fulfillment import GONE, LEFT, LIVE, FulfillmentStatus
from schemas.message import iso
from services.normalizer.backfill import Backfill
from services.normalizer.evidence import contents_of
from services.normalizer.mapper import DATE_LENGTH
from services.normalizer.model import (
    Carrier,
    Change,
    Event,
    EventData,
    Fulfillment,
    Package,
    RestorationData,
    RetractionData,
)
from services.normalizer.statuses import plain
from services.normalizer.tracking_numbers import url_identity

ONCE = "once"  # the discriminator of what can happen to a package only once
DIGEST_DIGITS = 32  # hexadecimal, of a change

# Each of these implies that all of it has left: the first one tells it, the next is no new fact.
ALL_LEFT: frozenset[FulfillmentStatus] = frozenset({"shipped", "delivered", "returned"})

_ENCODER = msgspec.json.Encoder()

_Lines = frozenset[str] | None


class _Told(msgspec.Struct, frozen=True, gc=False):
    """What is to be told; `once`: it can happen to a package only once, whatever is forgotten.

    `shipped` is the package.shipped that it takes back, or lets hold again.
    """

    kind: type[FulfillmentEvent]
    changes: tuple[Change, ...] = ()
    once: bool = False
    shipped: str | None = None


def shipped_event_id(key: str, package_id: str) -> str:
    """The id of the one package.shipped a package can ever have."""
    return event_id(key, package_id, PackageShipped.type, ONCE)


def delivered_event_id(key: str, package_id: str) -> str:
    """The id of the one package.delivered a package can ever have."""
    return event_id(key, package_id, PackageDelivered.type, ONCE)


def diff(
    before: Fulfillment | None,
    after: Fulfillment,
    *,
    provisional: bool,
    backfill: Backfill,
    lines: _Lines = None,
) -> tuple[Event, ...]:
    """The events of one accepted change.

    Of changes to quantities only those of `lines` are told; None: of all.
    """
    told = [*_of_packages(before, after, lines), *_of_fulfillment(before, after, lines)]
    if not told:
        return ()
    at = after.observed_at
    shared = Shared.of(after.key, after.source, after.account, at)
    events = []
    for index, (package, one) in enumerate(told):
        flags = provisional, backfill.of(package), after.echo
        data, number = _data(after, package, one, flags), sequence(after.revision, index)
        events.append(Event(one.kind.type, _id(after, package, one), at, number, data, shared))
    return tuple(events)


def _id(after: Fulfillment, package: Package | None, told: _Told) -> str:
    """Return the same id for the same fact, and for no other one, also after a forget.

    A forget and a new baseline let revisions start again at 1, so a revision alone would come back
    for another fact (decision 0012).
    """
    package_id = package.id if package else None
    if package and told.once:
        known: dict[type[FulfillmentEvent], str | None] = {
            PackageShipped: package.shipped_event_id,
            PackageDelivered: package.delivered_event_id,
        }
        return known.get(told.kind) or event_id(after.key, package_id, told.kind.type, ONCE)
    revision = package.revision if package else after.revision
    change = sha256(_ENCODER.encode(told.changes)).hexdigest()[:DIGEST_DIGITS]
    version = iso(after.updated_at) if after.updated_at else ""
    return event_id(after.key, package_id, told.kind.type, f"{revision}/{change}/{version}")


def _data(
    after: Fulfillment,
    package: Package | None,
    told: _Told,
    flags: tuple[bool, bool, bool],
) -> EventData:
    if told.kind is PackageShipmentRetracted and told.shipped:
        return RetractionData(after, package, told.changes, *flags, retracts=told.shipped)
    if told.kind is PackageRestored:
        return RestorationData(after, package, told.changes, *flags, reinstates=told.shipped)
    return EventData(after, package, told.changes, *flags)


def _of_packages(
    before: Fulfillment | None, after: Fulfillment, lines: _Lines
) -> list[tuple[Package | None, _Told]]:
    known = {package.id: package for package in before.packages} if before else {}
    pairs = [(known.get(new.id), new) for new in after.packages]
    changed = [(old, new) for old, new in pairs if old is not new]
    if not changed:
        return []
    rules = _RULES if any(old for old, _ in changed) else _RULES_OF_NEW
    return [
        (new, told) for rule in rules for old, new in changed if (told := rule(old, new, lines))
    ]


def _created(old: Package | None, _new: Package, _lines: _Lines) -> _Told | None:
    return _Told(PackageCreated, once=True) if old is None else None


def _restored(old: Package | None, new: Package, _lines: _Lines) -> _Told | None:
    """What was gone is there again, or what was withdrawn has left again."""
    if old is None:
        return None
    left_again = old.shipped_event_id if new.status in LEFT and old.status not in LEFT else None
    if left_again is None and (old.status not in GONE or new.status not in LIVE):
        return None
    return _Told(PackageRestored, _departure_changes(old, new), shipped=left_again)


def _tracking(old: Package | None, new: Package, _lines: _Lines) -> _Told | None:
    if old is None or old.trackings == new.trackings or _numbers(old) == _numbers(new):
        return None
    return _Told(PackageTrackingChanged, (Change("trackings", old.trackings, new.trackings),))


def _carrier(old: Package | None, new: Package, _lines: _Lines) -> _Told | None:
    if old is None or _same_carrier(old.carrier, new.carrier):
        return None
    return _Told(PackageCarrierChanged, (Change("carrier", old.carrier, new.carrier),))


def _contents(old: Package | None, new: Package, lines: _Lines) -> _Told | None:
    if old is None or old.line_items == new.line_items:
        return None
    if contents_of(old.line_items, lines) == contents_of(new.line_items, lines):
        return None
    return _Told(PackageContentsChanged, (Change("line_items", old.line_items, new.line_items),))


def _shipped_at(old: Package | None, new: Package, _lines: _Lines) -> _Told | None:
    """A date that becomes an instant of that day, or the reverse, is the same told better.

    Of a departure that is taken back or holds again, the event that says so tells it.
    """
    if old is None or old.shipped_event_id is None or old.shipped_at == new.shipped_at:
        return None
    if (old.status in LEFT) != (new.status in LEFT):
        return None
    told = [one for one in (old.shipped_at, new.shipped_at) if one is not None]
    if len(told) > 1 and DATE_LENGTH in map(len, told) and _day(told[0]) == _day(told[1]):
        return None
    return _Told(PackageShippedAtChanged, (Change("shipped_at", old.shipped_at, new.shipped_at),))


def _shipped(old: Package | None, new: Package, _lines: _Lines) -> _Told | None:
    if new.shipped_event_id is None or (old is not None and old.shipped_event_id is not None):
        return None
    return _Told(PackageShipped, _status_change(old, new), once=True)


def _delivered(old: Package | None, new: Package, _lines: _Lines) -> _Told | None:
    if new.delivered_event_id is None or (old is not None and old.delivered_event_id is not None):
        return None
    return _Told(PackageDelivered, _status_change(old, new), once=True)


def _removed(old: Package | None, new: Package, _lines: _Lines) -> _Told | None:
    if old is None or new.status != "removed" or old.status not in LIVE:
        return None
    return _Told(PackageRemoved, _status_change(old, new))


def _canceled(old: Package | None, new: Package, _lines: _Lines) -> _Told | None:
    if new.status != "canceled" or (old is not None and old.status == "canceled"):
        return None
    return _Told(PackageCanceled, _status_change(old, new))


def _retracted(old: Package | None, new: Package, _lines: _Lines) -> _Told | None:
    if old is None or old.shipped_event_id is None:
        return None
    if old.status not in LEFT or new.status in LEFT:
        return None
    changes = _departure_changes(old, new)
    return _Told(PackageShipmentRetracted, changes, shipped=old.shipped_event_id)


_Rule = Callable[[Package | None, Package, _Lines], _Told | None]
_RULES: tuple[_Rule, ...] = (
    _created,
    _restored,
    _tracking,
    _carrier,
    _contents,
    _shipped_at,
    _shipped,
    _delivered,
    _removed,
    _canceled,
    _retracted,
)
# Those that a package never seen before can fulfill; most packages that have changed are such.
_RULES_OF_NEW: tuple[_Rule, ...] = (_created, _shipped, _delivered, _canceled)


def _of_fulfillment(
    before: Fulfillment | None, after: Fulfillment, lines: _Lines
) -> Iterator[tuple[Package | None, _Told]]:
    if after.canceled_items and _more_canceled(before, after, lines):
        canceled = before.canceled_items if before else ()
        change = Change("canceled_items", canceled, after.canceled_items)
        yield None, _Told(FulfillmentItemsCanceled, (change,))
    entered = before.status if before else None
    if entered != after.status:
        changes = (Change("status", entered, after.status),) if before else ()
        for kind in _entered(entered, after):
            yield None, _Told(kind, changes)


def _more_canceled(old: Fulfillment | None, new: Fulfillment, lines: _Lines) -> bool:
    """Of any line more than before; less of one is no fact of its own."""
    if old and old.canceled_items == new.canceled_items:
        return False
    known = dict(contents_of(old.canceled_items, lines) or ()) if old else {}
    told = contents_of(new.canceled_items, lines) or ()
    return any(
        count is not None and Decimal(count) > Decimal(known.get(product) or 0)
        for product, count in told
    )


def _entered(
    before: FulfillmentStatus | None, after: Fulfillment
) -> Iterator[type[FulfillmentEvent]]:
    if after.status == "canceled":
        yield FulfillmentCanceled
    if _reopened(before, after):
        yield FulfillmentReopened
    if after.status == "partially_shipped" and not _order_had_left(before, after):
        yield FulfillmentPartiallyShipped
    elif after.status in ALL_LEFT and before not in ALL_LEFT and _all_left(after):
        yield FulfillmentShipped


def _all_left(after: Fulfillment) -> bool:
    """Whether a status that implies it can be believed: money is returned for what never left, too.

    A shipment that came back must show a package that left.
    """
    if after.status != "returned" or after.scope == "order":
        return True
    return any(package.shipped_event_id is not None for package in after.packages)


def _reopened(before: FulfillmentStatus | None, after: Fulfillment) -> bool:
    """Of shipments only what was canceled: their packages tell the rest themselves."""
    if before == "canceled":
        return True
    return after.status in ("open", "partially_shipped") and _order_had_left(before, after)


def _order_had_left(before: FulfillmentStatus | None, after: Fulfillment) -> bool:
    return after.scope == "order" and before in ALL_LEFT


def _numbers(package: Package) -> set[tuple[str | None, str | None]]:
    """Return what counts as another tracking: numbers, and URLs of those that have no number.

    Spaces and hyphens do not count, nor does a URL beside a number or the signature of a URL.
    """
    return {
        (found.number_normalized, None)
        if found.number_normalized
        else (None, found.url and url_identity(found.url))
        for found in package.trackings
    }


def _same_carrier(old: Carrier | None, new: Carrier | None) -> bool:
    """Return whether both are one: by our code, else by the source's words in any spelling.

    A code alone says nothing new: our table may have learned a name meanwhile.
    """
    if old is None or new is None:
        return old is new
    if old.code is not None and old.code == new.code:
        return True
    return _words(old) == _words(new)


def _words(carrier: Carrier) -> tuple[str, str]:
    return plain(carrier.name_raw or ""), plain(carrier.code_raw or "")


def _day(moment: str) -> str:
    return moment[:DATE_LENGTH]


def _departure_changes(old: Package, new: Package) -> tuple[Change, ...]:
    """The status, and the ship time where it differs."""
    if old.shipped_at == new.shipped_at or old.shipped_event_id is None:
        return _status_change(old, new)
    moved = Change("shipped_at", old.shipped_at, new.shipped_at)
    return (*_status_change(old, new), moved)


def _status_change(old: Package | None, new: Package) -> tuple[Change, ...]:
    return (Change("status", old.status, new.status),) if old else ()
