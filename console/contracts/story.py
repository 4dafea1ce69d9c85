"""The life of one made-up fulfillment in which every event type happens: the pages' examples.

It goes through the normalizer's own pairing, merging and diffing, so that what is shown is what
is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from schemas.fulfillment import FulfillmentStatus
from schemas.message import iso
from schemas.raw import Provenance
from services.normalizer.mapper import Seen, Snapshot, carrier, ids, tracking
from services.normalizer.merge import merge
from services.normalizer.model import Event, LineItem, OrderRef, RawRef

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MUG = LineItem(sku="MUG-RED", line_id="1", quantity="2")
TRAY = LineItem(sku="TRAY-OAK", line_id="2", quantity="1")
TRAYS = LineItem(sku="TRAY-OAK", line_id="2", quantity="2")
JAR = LineItem(sku="JAR-1L", line_id="3", quantity="1")

FIRST = Seen(
    "pending",
    upstream_ids=ids(parcel_id="1"),
    status_raw="packed",
    carrier=carrier("UPS"),
    trackings=tracking("1Z1000042019398702"),
    line_items=(MUG,),
)
FIRST_LEFT = replace(
    FIRST,
    status="shipped",
    status_raw="dispatched",
    shipped_at=iso(NOON + timedelta(hours=1)),
)
CORRECTED = replace(FIRST_LEFT, trackings=tracking("1Z1000043108686001"))
OTHER_CARRIER = replace(CORRECTED, carrier=carrier("UPS Mail Innovations"))
OTHER_DAY = replace(OTHER_CARRIER, shipped_at=iso(NOON - timedelta(days=1)))
ARRIVED = replace(OTHER_DAY, status="delivered", delivered_at=iso(NOON + timedelta(hours=8)))
SECOND = Seen("pending", upstream_ids=ids(parcel_id="2"), status_raw="packed", line_items=(TRAY,))
SECOND_FULLER = replace(SECOND, line_items=(TRAYS,))
SECOND_LEFT = replace(
    SECOND_FULLER,
    status="shipped",
    status_raw="dispatched",
    carrier=carrier("FedEx"),
    trackings=tracking("794644792798"),
    shipped_at=iso(NOON + timedelta(hours=7)),
)
SECOND_CALLED_OFF = replace(SECOND_LEFT, status="canceled", status_raw="voided")


def examples() -> dict[str, Event]:
    """Type -> the first event of it."""
    found: dict[str, Event] = {}
    for event in told():
        found.setdefault(event.type, event)
    return found


def told() -> Iterator[Event]:
    """All its events, in order."""
    stored = None
    for hour, snapshot in enumerate(_snapshots()):
        seen_at = NOON + timedelta(hours=hour, minutes=5)
        provenance = Provenance(
            source="shop",
            account="acme",
            resource="orders",
            stream="orders",
            upstream_id="1001",
            observed_at=seen_at,
        )
        raw = RawRef(topic="shipfeed.raw", partition=3, offset=40 + hour)
        outcome = merge(stored, snapshot, provenance, raw)
        yield from outcome.events
        stored = outcome.state


def _snapshots() -> Iterator[Snapshot]:
    yield _shown([FIRST, SECOND])
    yield _shown([FIRST_LEFT, SECOND])
    yield _shown([CORRECTED, SECOND])
    yield _shown([OTHER_CARRIER, SECOND])
    yield _shown([OTHER_DAY, SECOND])
    yield _shown([OTHER_DAY, SECOND_FULLER])
    yield _shown([OTHER_DAY, SECOND_FULLER], canceled=[JAR])
    yield _shown([OTHER_DAY, SECOND_LEFT], canceled=[JAR])
    yield _shown([ARRIVED, SECOND_LEFT], canceled=[JAR])
    yield _shown([ARRIVED], canceled=[JAR])
    yield _shown([ARRIVED, SECOND_LEFT], canceled=[JAR])
    yield _shown([ARRIVED, SECOND_CALLED_OFF], canceled=[JAR])
    yield _shown([ARRIVED, SECOND_CALLED_OFF], canceled=[JAR], status="canceled")
    yield _shown([ARRIVED, SECOND_CALLED_OFF], canceled=[JAR], status="open")


def _shown(
    packages: Sequence[Seen],
    *,
    canceled: Sequence[LineItem] = (),
    status: FulfillmentStatus | None = None,
) -> Snapshot:
    return Snapshot(
        scope="shipment",
        orders=(OrderRef(id="1001", number="#1001"),),
        status=status,
        created_at=NOON - timedelta(hours=1),
        line_items=(MUG, TRAYS, JAR),
        canceled_items=tuple(canceled),
        packages=tuple(packages),
    )
