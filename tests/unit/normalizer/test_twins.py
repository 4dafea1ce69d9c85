"""Packages listed twice, and packages whose own ids have changed: which is which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from services.normalizer.evidence import contents_of
from services.normalizer.mapper import Seen, carrier, ids, tracking
from services.normalizer.model import Fulfillment, LineItem
from tests.unit.normalizer.feed import Feed, box, order
from tests.unit.normalizer.lives import seen_in_turn

A, B, C = {"MUG": 1}, {"POT": 2}, {"CUP": 5}
SSCC = "387123450000000017"
GONE = ["package.removed", "package.shipment_retracted"]
NEW = ["package.created", "package.shipped"]
BECAME = ["package.tracking_changed", "package.contents_changed"]


def parcel(
    contents: Mapping[str, int] = A,
    *,
    number: str | None = None,
    at: str | None = None,
    by: str = "UPS",
    **own: str,
) -> Seen:
    """A package that has left, with these ids of its own."""
    return Seen(
        "shipped",
        upstream_ids=ids(**own),
        carrier=carrier(by),
        trackings=tracking(number),
        shipped_at=at,
        line_items=tuple(LineItem(sku=sku, quantity=str(n)) for sku, n in contents.items()),
    )


def told(*turns: Sequence[Seen]) -> list[str]:
    """What is told of the last of the turns."""
    before = seen_in_turn([tuple(one) for one in turns[:-1]])[0]
    return [one.type for one in seen_in_turn([tuple(one) for one in turns])[0][len(before) :]]


def live(state: Fulfillment) -> list[Any]:
    """Own ids and contents of the packages that are there."""
    return [
        ([one.id for one in package.upstream_ids], contents_of(package.line_items))
        for package in state.packages
        if package.status != "removed"
    ]


a, b, c = parcel(A, number="TA"), parcel(B, number="TB"), parcel(C, number="TC")


def numbered(*packages: Seen, start: int = 1, kind: str = "package_id") -> tuple[Seen, ...]:
    """The packages with their places as ids."""
    return tuple(
        Seen(
            one.status,
            upstream_ids=ids(**{kind: str(place)}),
            carrier=one.carrier,
            trackings=one.trackings,
            shipped_at=one.shipped_at,
            line_items=one.line_items,
        )
        for place, one in enumerate(packages, start)
    )


@pytest.mark.parametrize(
    ("turns", "events"),
    [
        pytest.param([[a, b], [b]], GONE, id="the first one gone"),
        pytest.param([[a, b, c], [b, c]], GONE, id="two moved up"),
        pytest.param([[a, b], [c, a, b]], NEW, id="one put before them"),
        pytest.param([[a, b], [b], [b]], [], id="moved up, then unchanged"),
        pytest.param([[a, b], [b], [a, b]], ["package.restored"], id="there again"),
        pytest.param([[a, b], [b], [a]], ["package.restored", *GONE], id="the other way round"),
        pytest.param([[], [a, b], [b]], GONE, id="first seen without packages"),
        pytest.param(
            [[a, b], [], [b]], ["package.restored", "fulfillment.shipped"], id="none for a while"
        ),
        pytest.param(
            [[a, b], [b], [parcel(B, number="TX")]],
            ["package.tracking_changed"],
            id="moved up, then corrected",
        ),
    ],
)
@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("kind", ["package_id", "fulfillment_package_id", "container_number"])
def test_packages_numbered_by_their_place_are_known_by_number_and_contents(
    turns: list[list[Seen]], events: list[str], start: int, kind: str
) -> None:
    """A package that moves up in the list stays itself, whatever place it has now."""
    assert told(*(numbered(*turn, start=start, kind=kind) for turn in turns)) == events


@pytest.mark.parametrize(
    ("turns", "events"),
    [
        pytest.param(
            [
                (parcel(A, number="TA", package_id="7"), parcel(B, number="TB", package_id="8")),
                (parcel(B, number="TB", package_id="7"),),
            ],
            [*BECAME, *GONE],
            id="ids that were never places",
        ),
        pytest.param(
            [numbered(a, b), numbered(a, b)[::-1], numbered(b)],
            [*BECAME, *GONE],
            id="once in another order",
        ),
        pytest.param(
            [numbered(a, b), numbered(parcel(C, number="TB"))],
            [*BECAME, *GONE],
            id="the number alone",
        ),
        pytest.param(
            [numbered(a, parcel(B, at="2026-03-01")), numbered(parcel(B, at="2026-03-01"))],
            [*BECAME, "package.shipped_at_changed", *GONE],
            id="the contents alone",
        ),
        pytest.param([numbered(a, b, b), numbered(b, b)], [*BECAME, *GONE], id="one of two"),
    ],
)
def test_every_other_id_decides(turns: list[tuple[Seen, ...]], events: list[str]) -> None:
    """Only places yield, and only where number and contents both name one other package."""
    assert told(*turns) == events


def test_that_ids_are_places_is_remembered_as_long_as_it_holds() -> None:
    """The kinds of which it has been so in every observation."""
    feed = Feed()
    one, two = box(A, tracking="T1", package_id=1), box(B, tracking="T2", package_id=2)
    turns = [(), (one,), (one, two), (), (two, one), (one,)]
    kinds = [(), ("package_id",), ("package_id",), ("package_id",), (), ()]
    for second, (packages, kind) in enumerate(zip(turns, kinds, strict=True)):
        feed.see(order(*packages, updated=second))
        assert feed.state.positional_ids == kind


DAY = "2026-03-01"


@pytest.mark.parametrize("kind", ["package_id", "sscc", "container_number"])
@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        pytest.param({}, {}, [], id="the same"),
        pytest.param({}, {"by": "DHL"}, [*NEW, *GONE], id="another carrier"),
        pytest.param({}, {"at": "2026-03-02"}, [*NEW, *GONE], id="another ship time"),
        pytest.param({}, {"contents": B}, [*NEW, *GONE], id="other contents"),
        pytest.param({}, {"number": "T1"}, [*NEW, *GONE], id="a number on one side"),
        pytest.param({"at": None}, {"at": None}, [*NEW, *GONE], id="no ship time"),
        pytest.param({"contents": {}}, {"contents": {}}, [*NEW, *GONE], id="nothing inside"),
        pytest.param(
            {"number": "T1"}, {"number": "T2"}, [*NEW, *GONE], id="two numbers: a replacement"
        ),
    ],
)
def test_a_package_under_another_id_is_the_same_by_ship_time_carrier_and_contents(
    kind: str, before: dict[str, Any], after: dict[str, Any], events: list[str]
) -> None:
    """Without a number all three together say so; anything less is another package."""
    one = parcel(**{"at": DAY, **before, kind: "70551"})
    other = parcel(**{"at": DAY, **after, kind: "80662"})
    found = told([one], [other])
    assert sorted(found) == sorted(events)


def test_a_replaced_id_is_remembered() -> None:
    """The new id names the package from then on, also once it is seen after a removal."""
    one, two, three = [parcel(at=DAY, package_id=own) for own in ("1x", "2x", "3x")]
    events, state = seen_in_turn([(one,), (two,), (), (three,)])
    assert [event.type for event in events].count("package.shipped") == 1
    assert live(state) == [(["3x"], contents_of(one.line_items))]


def test_equal_packages_with_new_ids_stay_as_many_as_they_are() -> None:
    """Two become three: one is new.  Two become one: one is gone."""
    two, three = [
        [parcel(at=DAY, package_id=f"{turn}{n}") for n in range(count)]
        for turn, count in (("x", 2), ("y", 3))
    ]
    assert told(two, three) == NEW
    assert told(three, two) == GONE


def listed(*packages: dict[str, Any], mugs: int = 2, canceled: int = 0) -> dict[str, Any]:
    """An order of so many mugs."""
    line = {"lineItemId": "1", "SKU": "MUG", "quantity": mugs, "cancelQuantity": canceled}
    return order(*packages, status="SHIPPED", products=[line])


TWO = {"MUG": 2}
LABELED = box(TWO, tracking="T1")


@pytest.mark.parametrize(
    ("value", "packages"),
    [
        pytest.param(listed(*[box(tracking="T1", package_id=7)] * 2), 1, id="one id"),
        pytest.param(listed(*[box(package_id=7, shipped=1)] * 3), 1, id="one id, no number"),
        pytest.param(
            listed(box(tracking="T1", package_id=7), box(tracking="T1", package_id=8)), 2, id="ids"
        ),
        pytest.param(
            listed(box(tracking="T1", package_id=7), box(tracking="T2", package_id=7)),
            2,
            id="one id, two numbers",
        ),
        pytest.param(
            listed(box(A, tracking="T1", package_id=7), box(B, tracking="T1", package_id=7)),
            2,
            id="one id, other contents",
        ),
        pytest.param(listed(*[box(tracking="T1", package_id=0)] * 2), 2, id="an id that is unset"),
        pytest.param(listed(*[LABELED] * 2), 1, id="more than ordered"),
        pytest.param(listed(*[LABELED] * 2, mugs=3), 1, id="one and a half"),
        pytest.param(listed(*[LABELED] * 2, mugs=4), 2, id="as many as ordered"),
        pytest.param(listed(*[LABELED] * 3, mugs=5), 2, id="two of three"),
        pytest.param(listed(*[LABELED] * 2, mugs=1), 1, id="even one is too much"),
        pytest.param(listed(*[LABELED] * 2, mugs=4, canceled=2), 2, id="some canceled later"),
        pytest.param(listed(*[box(TWO, shipped=1)] * 2), 2, id="no number"),
        pytest.param(listed(LABELED, box(TWO, tracking="T2")), 2, id="two numbers"),
        pytest.param(listed(LABELED, box(TWO, tracking="T1", carrier="DHL")), 2, id="not equal"),
        pytest.param(listed(*[box(C, tracking="T1")] * 2), 2, id="not of this order's lines"),
        pytest.param(
            listed(box(TWO, tracking="T9"), *[box(tracking="T1")] * 2, mugs=3),
            2,
            id="what else has left counts",
        ),
        pytest.param(
            listed(*[{**box(tracking="T1"), "products": None}] * 2), 2, id="contents not told"
        ),
        pytest.param(
            listed(*[LABELED] * 2) | {"products": [{"SKU": "MUG", "quantity": None}]},
            2,
            id="not known how many were ordered",
        ),
    ],
)
def test_a_package_listed_twice_is_one_where_the_record_proves_it(
    value: dict[str, Any], packages: int
) -> None:
    """By its own id, or because both are more than was ordered; else they are two."""
    feed = Feed()
    types = feed.see(value)
    assert len(feed.live) == types.count("package.shipped") == packages
    assert feed.see({**value, "lastUpdatedTs": "2026-03-01T12:01:00Z"}) == []


def test_a_double_that_comes_and_goes_is_no_news() -> None:
    """With its own id, and as more than was ordered."""
    for one, other in ((LABELED, LABELED), [box(tracking="T1", package_id=7)] * 2):
        feed = Feed()
        feed.see(listed(one))
        assert feed.see(listed(one, other) | {"lastUpdatedTs": "2026-03-01T12:01:00Z"}) == []
        assert feed.see(listed(one) | {"lastUpdatedTs": "2026-03-01T12:02:00Z"}) == []


def test_two_that_are_known_stay_two_when_the_order_shrinks() -> None:
    """What has been announced is not taken back because of a number in another place."""
    feed = Feed()
    feed.see(listed(LABELED, LABELED, mugs=4))
    shrunk = listed(LABELED, LABELED, mugs=2) | {"lastUpdatedTs": "2026-03-01T12:01:00Z"}
    assert GONE[0] not in feed.see(shrunk)


@pytest.mark.parametrize(
    ("packages", "expected"),
    [
        pytest.param([parcel(A, sscc=SSCC), parcel(B, sscc=SSCC)], [A | B], id="joined"),
        pytest.param([parcel(A, sscc=SSCC), parcel(A, sscc=SSCC)], [A], id="a double"),
        pytest.param(
            [parcel(A, sscc=SSCC), parcel(C), parcel(B, sscc=SSCC)], [A | B, C], id="apart"
        ),
        pytest.param(
            [parcel(A, sscc=SSCC, container_number="X"), parcel(B, sscc=SSCC)], [A | B], id="crate"
        ),
        pytest.param([parcel(A, sscc="odd"), parcel(B, sscc="odd")], [A, B], id="no SSCC"),
        pytest.param([parcel(A, sscc="0" * 18), parcel(B, sscc="0" * 18)], [A, B], id="unset"),
        pytest.param(
            [parcel(A, container_number="X"), parcel(B, container_number="X")],
            [A, B],
            id="pallets in one container",
        ),
        pytest.param(
            [parcel(A, container_number="X"), parcel(A, container_number="X")],
            [A, A],
            id="equal pallets in one container",
        ),
    ],
)
def test_one_sscc_is_one_package(packages: list[Seen], expected: list[dict[str, int]]) -> None:
    """An SSCC names one logistic unit; a container holds several."""
    events, state = seen_in_turn([tuple(packages)])
    wanted = [contents_of(parcel(one).line_items) for one in expected]
    assert [contents for _, contents in live(state)] == wanted
    assert [one.type for one in events].count("package.shipped") == len(expected)


def test_a_joined_package_has_left_when_a_part_of_it_has() -> None:
    """An empty load carrier says nothing of the other one under its SSCC."""
    empty = Seen("pending", upstream_ids=ids(sscc=SSCC, container_number="X"), line_items=())
    _, state = seen_in_turn([(empty, parcel(A, sscc=SSCC, at=DAY))])
    (package,) = state.packages
    assert (package.status, package.shipped_at) == ("shipped", DAY)
    assert package.upstream_ids == ids(sscc=SSCC, container_number="X")
