"""Merging: what is told about a change, in which order, and when nothing is written at all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.normalizer.copies import outcome, seen
from tests.unit.normalizer.feed import NOON, Feed, box, order

A, B = {"MUG": 1}, {"MUG": 2, "POT": 1}
SHIPPED = box(A, tracking="T1", shipped=0)


def told(*orders: dict[str, Any]) -> list[list[str]]:
    """The types of the events of each observation; versions count up unless given."""
    feed = Feed()
    return [feed.see(shown) for shown in orders]


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        pytest.param(
            order(box(A)),
            order(box(A, tracking="T1"), updated=1),
            ["package.tracking_changed", "package.shipped"],
            id="a label gets its number",
        ),
        pytest.param(
            order(SHIPPED),
            order(box(A, tracking="T-1", shipped=0), updated=1),
            [],
            id="a number in another dress",
        ),
        pytest.param(
            order(SHIPPED),
            order(box(A, tracking="T9", shipped=0), updated=1),
            ["package.tracking_changed"],
            id="a corrected number ships nothing again",
        ),
        pytest.param(
            order(SHIPPED),
            order(box(A, shipped=0), updated=1),
            ["package.tracking_changed"],
            id="a number withdrawn",
        ),
        pytest.param(
            order(SHIPPED),
            order(box(B, tracking="T1", shipped=0), updated=1),
            ["package.contents_changed"],
            id="contents",
        ),
        pytest.param(
            order(SHIPPED),
            order(updated=1),
            ["package.removed", "package.shipment_retracted"],
            id="removed",
        ),
        pytest.param(
            order(SHIPPED),
            order(SHIPPED, status="SHIPPED", updated=1),
            ["fulfillment.shipped"],
            id="all of it",
        ),
        pytest.param(order(SHIPPED), order(SHIPPED, updated=1), [], id="only touched"),
        pytest.param(
            order(SHIPPED, status="SHIPPED"),
            order(SHIPPED, status="RETURN_REQUESTED", updated=1),
            [],
            id="a return asked for",
        ),
        pytest.param(
            order(SHIPPED, status="RETURNED"),
            order(SHIPPED, status="SHIPPED", updated=1),
            [],
            id="a return taken back",
        ),
        pytest.param(
            order(box(A, tracking="T1"), status="PENDING"),
            order(box(A, tracking="T1"), status="SHIPPED", updated=1),
            ["package.shipped", "fulfillment.shipped"],
            id="the order's status proves the number",
        ),
        pytest.param(
            order(box(A), status="PENDING"),
            order(status="CANCELLED", updated=1),
            ["package.removed", "fulfillment.canceled"],
            id="canceled",
        ),
        pytest.param(
            order(status="CANCELLED"),
            order(SHIPPED, status="SHIPPED", updated=1),
            ["package.created", "package.shipped", "fulfillment.reopened", "fulfillment.shipped"],
            id="a cancellation taken back",
        ),
        pytest.param(
            order(box(A, tracking="T1"), box({"CUP": 3}), box({"PAN": 1}), status="PENDING"),
            order(
                box({"CUP": 3}, tracking="T2"),
                box({"HAT": 1}, tracking="T3"),
                box(B, tracking="T1"),
                status="SHIPPED",
                updated=1,
            ),
            [
                "package.created",
                "package.tracking_changed",
                "package.contents_changed",
                "package.shipped",
                "package.shipped",
                "package.shipped",
                "package.removed",
                "fulfillment.shipped",
            ],
            id="everything at once, in order",
        ),
    ],
)
def test_a_change_tells_exactly_its_facts_in_their_order(
    before: dict[str, Any], after: dict[str, Any], events: list[str]
) -> None:
    """Created < tracking < contents < shipped < removed < the fulfillment's own."""
    assert told(before, after)[1] == events


def test_first_sight_tells_no_change() -> None:
    """Created, shipped where there is evidence, and what the fulfillment is."""
    assert told(order(SHIPPED, box(B))) == [
        [
            "package.created",
            "package.created",
            "package.shipped",
            "fulfillment.partially_shipped",
        ]
    ]


def test_a_package_that_comes_back_is_told_but_not_shipped_again() -> None:
    """Removed, then there again: the same id; it names the announcement that holds again."""
    feed = Feed()
    feed.see(order(SHIPPED))
    feed.see(order(updated=1))
    (known,) = feed.state.packages

    outcome = feed.outcome(order(SHIPPED, updated=2))

    (event,) = outcome.events
    assert event.type == "package.restored"
    assert getattr(event.data, "reinstates", None) == known.shipped_event_id is not None
    (change,) = event.data.changes
    assert (change.field, change.before, change.after) == ("status", "removed", "shipped")
    assert [(package.id, package.status) for package in feed.live] == [(known.id, "shipped")]


def test_each_entry_into_partially_shipped_and_shipped_is_told_once() -> None:
    """A second package in the same state tells nothing of the fulfillment; a new entry does."""
    second = box(B, tracking="T2", shipped=1)
    feed = Feed()

    types = [
        [event.split(".")[1] for event in feed.see(shown) if event.startswith("fulfillment")]
        for shown in (
            order(SHIPPED),
            order(SHIPPED, second, updated=1),
            order(SHIPPED, second, status="SHIPPED", updated=2),
            order(SHIPPED, second, updated=3),
            order(SHIPPED, second, status="SHIPPED", updated=4),
        )
    ]

    assert types == [["partially_shipped"], [], ["shipped"], ["partially_shipped"], ["shipped"]]
    assert len({event.id for event in feed.events}) == len(feed.events)


def test_the_same_change_back_and_forth_has_ids_of_its_own() -> None:
    """Number A, B, A, B: three corrections, three ids."""
    feed = Feed()
    for turn, number in enumerate(("T1", "T2", "T1", "T2")):
        feed.see(order(box(A, tracking=number, shipped=0), updated=turn))

    ids = [event.id for event in feed.events if event.type == "package.tracking_changed"]
    assert len(set(ids)) == len(ids) == 3


def test_an_equal_version_with_other_content_wins_by_its_offset() -> None:
    """Two changes within one tick of the source's clock: the later record counts."""
    feed = Feed()
    feed.see(order(SHIPPED))

    feed.see(order(box(A, tracking="T9", shipped=0)))

    assert [package.trackings[0].number for package in feed.live] == ["T9"]


def test_an_equal_observation_writes_nothing() -> None:
    """The same version and content again, from a later poll: no state, no event."""
    feed = Feed()
    feed.see(order(SHIPPED))

    outcome = feed.outcome(order(SHIPPED), observed_seconds=500)

    assert (outcome.state, outcome.events, outcome.stale) == (None, (), False)


def test_an_older_observation_is_stale_even_when_observed_later() -> None:
    """The source's own version orders, not the instant of reading."""
    feed = Feed()
    feed.see(order(SHIPPED, updated=10))

    outcome = feed.outcome(order(updated=9), observed_seconds=500)

    assert (outcome.state, outcome.stale) == (None, True)


def test_a_touch_moves_the_version_so_that_an_older_one_cannot_pass() -> None:
    """Version 3 said the same as 1; version 2, late, must not undo it."""
    feed = Feed()
    feed.see(order(SHIPPED, updated=1))
    feed.see(order(SHIPPED, updated=3))

    assert feed.outcome(order(updated=2)).stale
    assert (feed.state.updated_at, feed.state.revision) == (NOON + timedelta(seconds=3), 1)


@pytest.mark.parametrize(("seconds", "stale"), [(-1, True), (0, False), (1, False)])
def test_without_a_version_the_instant_of_observation_decides(seconds: float, stale: bool) -> None:
    """Older is ignored; the same instant or a later one is taken."""
    feed = Feed()
    feed.see(order(SHIPPED, updated=None))

    outcome = feed.outcome(order(updated=None), observed_seconds=seconds)

    assert outcome.stale is stale
    assert (outcome.state is None) is stale


def test_without_a_version_the_same_again_still_moves_the_instant() -> None:
    """Seen at 0 and at 20 alike: what was seen at 10, redriven late, must not undo it."""
    feed = Feed()
    feed.see(order(SHIPPED, updated=None))

    again = feed.outcome(order(SHIPPED, updated=None), observed_seconds=20)

    assert again.state is not None
    assert again.events == ()
    assert feed.outcome(order(updated=None), observed_seconds=10).stale


def test_backfill_marks_the_first_sight_of_the_fulfillment_only() -> None:
    """What happens to an old order from now on is news."""
    feed = Feed()
    feed.see(order(SHIPPED), backfill=True)
    first = len(feed.events)
    feed.see(order(SHIPPED, box(B, tracking="T2", shipped=5), updated=5), backfill=True)

    assert {event.data.backfill for event in feed.events[:first]} == {True}
    assert {event.data.backfill for event in feed.events[first:]} == {False}


DAY = 86_400.0
OLD = box(A, tracking="T1", shipped=-90 * DAY)


def flags(feed: Feed) -> dict[tuple[str, int], bool]:
    """Whether each event is backfill, by type and place of its package (-1: none)."""
    places = {package.id: place for place, package in enumerate(feed.state.packages)}
    return {
        (one.type, places.get(one.data.package.id, -1) if one.data.package else -1): (
            one.data.backfill
        )
        for one in feed.events
    }


def test_an_old_package_of_an_order_touched_after_the_connection_is_history() -> None:
    """Its ship time says so; what left after the connection is news beside it."""
    feed = Feed()
    feed.see(order(OLD, box(B, tracking="T2", shipped=5)), connected_seconds=0)

    assert flags(feed) == {
        ("package.created", 0): True,
        ("package.created", 1): False,
        ("package.shipped", 0): True,
        ("package.shipped", 1): False,
        ("fulfillment.partially_shipped", -1): False,
    }


def test_the_fulfillment_is_history_where_all_its_packages_are() -> None:
    """Nothing of an order that left months before the connection is announced as news."""
    feed = Feed()
    feed.see(
        order(OLD, box(B, tracking="T2", shipped=-2 * DAY), status="SHIPPED"), connected_seconds=0
    )

    assert ("fulfillment.shipped", -1) in flags(feed)
    assert set(flags(feed).values()) == {True}


@pytest.mark.parametrize(
    ("shipped", "connected", "expected"),
    [
        pytest.param(-DAY - 1, 0.0, True, id="more than a day before"),
        pytest.param(-DAY, 0.0, False, id="a day before"),
        pytest.param(-90 * DAY, None, False, id="no connection known: the poller's rule"),
    ],
)
def test_a_ship_time_is_history_more_than_a_day_before_the_connection(
    shipped: float, connected: float | None, expected: bool
) -> None:
    """A day covers a local time taken for UTC, and a clock that is wrong."""
    feed = Feed()
    feed.see(order(box(A, tracking="T1", shipped=shipped)), connected_seconds=connected)
    assert set(flags(feed).values()) == {expected}


def test_a_package_known_as_pending_is_news_whatever_its_ship_time() -> None:
    """It was seen waiting after the connection, so that it left is told now."""
    feed = Feed()
    feed.see(order(box(A)), connected_seconds=0)
    feed.see(order(box(A, tracking="T1", shipped=-90 * DAY), updated=1), connected_seconds=0)

    assert ("package.shipped", 0) in flags(feed)
    assert set(flags(feed).values()) == {False}


def test_an_old_package_that_a_known_order_shows_first_now_is_history() -> None:
    """First sight is each package's own."""
    feed = Feed()
    feed.see(order(box(B)), connected_seconds=0)
    feed.see(order(box(B), OLD, updated=1), connected_seconds=0)

    assert flags(feed)[("package.shipped", 1)]
    assert not flags(feed)[("fulfillment.partially_shipped", -1)]


@pytest.mark.parametrize(
    ("source", "more"),
    [
        ("zentail", {}),
        ("tradecloud", {}),
        ("shoplazza", {}),
        ("digital_river", {}),
        ("panora", {}),
    ],
)
def test_history_by_ship_time_holds_for_every_system(source: str, more: dict[str, Any]) -> None:
    """Where it tells no ship time, its package is what the poller says."""
    found = outcome(seen(source, connected_at=NOON + timedelta(days=99), **more), None)
    (package,) = found.state.packages if found.state else ()
    assert {event.data.backfill for event in found.events} == {package.shipped_at is not None}


def test_events_carry_the_instant_of_observation_and_a_sortable_sequence() -> None:
    """Time from the raw headers, revision and index in the sequence, provisional as told."""
    feed = Feed()
    feed.see(order(SHIPPED))
    feed.see(order(SHIPPED, box(B, tracking="T2"), status="SHIPPED", updated=1))

    sequences = [event.sequence for event in feed.events]
    assert sequences == sorted(sequences)
    assert len(set(sequences)) == len(sequences)
    assert {event.time.date() for event in feed.events} == {NOON.replace(day=2).date()}
    assert feed.events[0].data.provisional
    assert not feed.events[-1].data.provisional


def test_a_package_counts_its_own_changes_only() -> None:
    """Revision 1 at first sight; another package's change leaves it alone."""
    feed = Feed()
    feed.see(order(SHIPPED, box(B)))
    feed.see(order(SHIPPED, box(B, tracking="T2"), updated=1))

    assert [package.revision for package in feed.state.packages] == [1, 2]
    assert feed.state.revision == 2


def test_another_line_of_the_same_sku_is_no_change_of_contents() -> None:
    """Which line a SKU belongs to may become ambiguous; the box holds what it held."""
    lines = [{"lineItemId": n, "SKU": "MUG", "quantity": 1} for n in ("1", "2")]

    assert told(order(SHIPPED), order(SHIPPED, products=lines, updated=1))[1] == []


def test_a_removed_package_is_removed_once() -> None:
    """It stays in the state, and is not told again."""
    feed = Feed()
    feed.see(order(SHIPPED))

    assert feed.see(order(updated=1)) == ["package.removed", "package.shipment_retracted"]
    assert feed.see(order(box(B), updated=2)) == ["package.created"]
    assert [package.status for package in feed.state.packages] == ["removed", "pending"]


def ids(feed: Feed, *orders: dict[str, Any]) -> dict[str, str]:
    """The id of the last event of each type that these observations make."""
    return {event.type: event.id for one in orders for event in feed.outcome(one).events}


@pytest.mark.parametrize("version", [0, None])
def test_what_happens_once_keeps_its_id_when_it_is_seen_anew(version: float | None) -> None:
    """Forgotten and read again: the same facts, so the same ids."""
    shown = order(SHIPPED, status="SHIPPED", updated=version)

    first, again = ids(Feed(), shown), ids(Feed(), shown)

    assert {"package.created", "package.shipped"} <= first.keys()
    assert first == again


def test_once_means_once_whatever_version_it_is_seen_in() -> None:
    """A package that is forgotten and read in a later version was created and shipped only once."""
    first = ids(Feed(), order(SHIPPED, status="SHIPPED"))
    later = ids(Feed(), order(SHIPPED, status="SHIPPED", updated=9))

    once = {"package.created", "package.shipped"}
    assert {one: first[one] for one in once} == {one: later[one] for one in once}
    assert first["fulfillment.shipped"] != later["fulfillment.shipped"]


@pytest.mark.parametrize("versions", [(1, 1), (1, 2), (None, None)])
def test_another_change_at_the_same_revision_after_a_forget_has_another_id(
    versions: tuple[float | None, float | None],
) -> None:
    """Whether or not the source has a version of its own."""
    known, changed = "package.tracking_changed", []
    for version, number in zip(versions, ("T2", "T3"), strict=True):
        first = order(SHIPPED, updated=version and 0)
        second = order(box(A, tracking=number, shipped=0), updated=version)
        changed.append(ids(Feed(), first, second)[known])

    assert len(set(changed)) == 2


def test_the_same_change_in_a_later_version_after_a_forget_has_another_id() -> None:
    """The source's version tells the two apart."""
    second = box(A, tracking="T2", shipped=0)
    changed = [
        ids(Feed(), order(SHIPPED), order(second, updated=version))["package.tracking_changed"]
        for version in (1, 5)
    ]

    assert len(set(changed)) == 2
