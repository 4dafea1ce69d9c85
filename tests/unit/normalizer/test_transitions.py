"""What a fulfillment as a whole goes through: canceled, reopened, told in part, an echo."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.fulfillment import FulfillmentStatus
from schemas.raw import Provenance
from services.normalizer.mapper import Seen, Snapshot, ids
from services.normalizer.merge import merge
from services.normalizer.model import Event, Fulfillment, LineItem, OrderRef, RawRef

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def order(status: FulfillmentStatus = "open", **fields: Any) -> Snapshot:
    """An order of scope order: no packages, a status of its own."""
    told: dict[str, Any] = {"scope": "order", "orders": (OrderRef(id="1"),), "status": status}
    return Snapshot(**{**told, **fields})


def line(number: int, count: int = 1) -> LineItem:
    return LineItem(line_id=str(number), sku=f"S{number}", quantity=str(count))


def box(status: Any, raw: str, **fields: Any) -> Snapshot:
    """A shipment with one package whose line items are `fields`."""
    seen = Seen(status=status, upstream_ids=ids(parcel_id="p"), status_raw=raw, **fields)
    return order(status=None, scope="shipment", packages=(seen,))  # type: ignore[arg-type]


def told(*snapshots: Snapshot) -> list[Event]:
    """The events of observations one after the other."""
    return [event for events, _ in observed(snapshots) for event in events]


def observed(
    snapshots: Sequence[Snapshot],
) -> list[tuple[tuple[Event, ...], Fulfillment]]:
    """Events and state after each observation."""
    found: list[tuple[tuple[Event, ...], Fulfillment]] = []
    stored: Fulfillment | None = None
    for offset, snapshot in enumerate(snapshots):
        provenance = Provenance(
            source="acme",
            account="a",
            resource="orders",
            stream="head",
            upstream_id="1",
            observed_at=NOW + timedelta(seconds=offset),
        )
        reference = RawRef(topic="t.raw", partition=0, offset=offset)
        outcome = merge(stored, snapshot, provenance, reference)
        stored = outcome.state or stored
        assert stored is not None
        found.append((outcome.events, stored))
    return found


@pytest.mark.parametrize(
    ("statuses", "types"),
    [
        (("open", "partially_shipped", "shipped"), ["partially_shipped", "shipped"]),
        (("open", "shipped", "delivered"), ["shipped"]),
        (("delivered",), ["shipped"]),
        (("open", "delivered"), ["shipped"]),
        (("partially_shipped", "delivered"), ["partially_shipped", "shipped"]),
        (("returned",), ["shipped"]),
        (("open", "returned", "shipped", "delivered"), ["shipped"]),
        (("canceled", "delivered"), ["canceled", "reopened", "shipped"]),
        (("delivered", "partially_shipped", "delivered"), ["shipped", "reopened", "shipped"]),
        (("shipped", "unknown", "shipped"), ["shipped"]),
        (("canceled", "unknown", "canceled"), ["canceled"]),
        (("unknown", "shipped"), ["shipped"]),
        (("shipped", "partially_shipped"), ["shipped", "reopened"]),
        (("shipped", "open", "shipped"), ["shipped", "reopened", "shipped"]),
        (("partially_shipped", "open"), ["partially_shipped"]),
        (("open", "canceled"), ["canceled"]),
        (("canceled",), ["canceled"]),
        (("shipped", "canceled"), ["shipped", "canceled"]),
        (("canceled", "open"), ["canceled", "reopened"]),
        (("canceled", "partially_shipped"), ["canceled", "reopened", "partially_shipped"]),
        (("canceled", "canceled"), ["canceled"]),
    ],
)
def test_an_order_tells_what_it_enters(
    statuses: Sequence[FulfillmentStatus], types: list[str]
) -> None:
    """Once each time; every event has an id of its own."""
    events = told(*(order(status) for status in statuses))
    assert [event.type for event in events] == [f"fulfillment.{one}" for one in types]
    assert len({event.id for event in events}) == len(events)


def test_a_shipment_that_gets_another_package_is_not_reopened() -> None:
    """Its packages tell that themselves."""
    one = Seen(status="shipped", upstream_ids=ids(parcel_id="p"))
    two = Seen(status="pending", upstream_ids=ids(parcel_id="q"))
    before = order(None, scope="shipment", packages=(one,))  # type: ignore[arg-type]
    after = order(None, scope="shipment", packages=(one, two))  # type: ignore[arg-type]
    assert "fulfillment.reopened" not in {event.type for event in told(before, after)}


def test_only_changes_of_announced_lines_are_told_and_all_are_stored() -> None:
    """Canceled quantities and contents alike (tradecloud seed, line filters)."""
    first = order(canceled_items=())
    lines = frozenset({"1"})
    other = order(canceled_items=(line(2),), announced_lines=lines)
    mine = order(canceled_items=(line(1), line(2)), announced_lines=lines)
    (_, quiet, loud) = observed([first, other, mine])
    assert quiet[0] == ()
    assert [item.line_id for item in quiet[1].canceled_items] == ["2"]
    assert [event.type for event in loud[0]] == ["fulfillment.items_canceled"]


def test_contents_of_a_line_that_is_not_announced_change_silently() -> None:
    """The state holds the new ones."""
    before = box("shipped", "x", line_items=(line(1), line(2)))
    after = box("shipped", "x", line_items=(line(1), line(2, 5)))
    silent = Snapshot(**{**_fields(after), "announced_lines": frozenset({"1"})})
    events, state = observed([before, silent])[1]
    assert events == ()
    assert state.packages[0].line_items == (line(1), line(2, 5))
    assert [event.type for event in observed([before, after])[1][0]] == ["package.contents_changed"]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["finished"], "shipped"),
        (["finished", "finished"], "shipped"),
        (["shipped", "finished"], "delivered"),
        (["shipped", "finished", "finished"], "delivered"),
        (["waiting", "finished"], "shipped"),
    ],
)
def test_a_word_for_delivered_that_may_mean_less_needs_another_before_it(
    words: list[str], status: str
) -> None:
    """It always proves that the package left (shoplazza seed, `finished`)."""
    spoken = {"finished": "delivered", "shipped": "shipped", "waiting": "pending"}
    shown = [box(spoken[word], word, delivered_if_seen_left=True) for word in words]
    steps = observed(shown)
    assert steps[-1][1].packages[0].status == status
    types = [event.type for events, _ in steps for event in events]
    assert types.count("package.shipped") == 1


def test_an_echo_is_marked_and_suppresses_no_shipment() -> None:
    """On the state and on what is told of it."""
    events, state = observed([order("open"), order("shipped", echo=True)])[1]
    assert state.echo
    assert [(event.type, event.data.echo) for event in events] == [("fulfillment.shipped", True)]


def _fields(snapshot: Snapshot) -> dict[str, Any]:
    return {name: getattr(snapshot, name) for name in Snapshot.__struct_fields__}


@pytest.mark.parametrize(
    ("left", "types"),
    [
        (True, ["package.created", "package.shipped", "fulfillment.shipped"]),
        (False, ["package.created"]),
    ],
)
def test_a_returned_shipment_has_left_when_a_package_of_it_has(
    left: bool, types: list[str]
) -> None:
    """Money may be returned for what never left."""
    seen = Seen(status="shipped" if left else "pending", upstream_ids=ids(parcel_id="p"))
    first = order("returned", scope="shipment", packages=(seen,))

    assert [event.type for event in told(first)] == types


def test_a_package_first_met_as_delivered_tells_all_that_implies_in_order() -> None:
    """Created, shipped, delivered, and then that all of it has left."""
    types = [event.type for event in told(box("delivered", "arrived"))]

    assert types == [
        "package.created",
        "package.shipped",
        "package.delivered",
        "fulfillment.shipped",
    ]
