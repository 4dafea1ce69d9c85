"""Pairing: which seen package is which stored one."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import pytest

from services.normalizer.diff import shipped_event_id
from services.normalizer.evidence import contents_of, overlap
from services.normalizer.identity import pair
from services.normalizer.mapper import Seen, ids, tracking
from services.normalizer.model import Fulfillment, LineItem
from services.normalizer.tracking_numbers import normalized_number
from tests.unit.normalizer.feed import Feed, box, order
from tests.unit.normalizer.lives import seen_in_turn

A, B, C = {"MUG": 1}, {"MUG": 2, "POT": 1}, {"CUP": 5}


def untold(tracking: str) -> dict[str, Any]:
    """A package of which the source does not say what is inside."""
    return {**box(tracking=tracking), "products": None}


def pairing(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[int | None]:
    """For each package seen after: the place of the one it is, None for a new one."""
    feed = Feed()
    feed.see(order(*before))
    ids = [package.id for package in feed.state.packages]
    feed.see(order(*after, updated=60))
    return [ids.index(package.id) if package.id in ids else None for package in placed(feed, after)]


def placed(feed: Feed, seen: list[dict[str, Any]]) -> list[Any]:
    """The live packages in the order of `seen`, told apart by number and contents."""
    left = list(feed.live)
    found = []
    for one in seen:
        match = next(
            package
            for package in left
            if [t.number for t in package.trackings]
            == ([one["tracking"]] if one["tracking"] else [])
            and [(i.sku, i.quantity) for i in package.line_items or ()]
            == [(p["SKU"], str(p["quantity"])) for p in one["products"] or ()]
        )
        left.remove(match)
        found.append(match)
    return found


@pytest.mark.parametrize(
    ("before", "after", "pairs"),
    [
        pytest.param(
            [box(A, tracking="T1", package_id=1)],
            [box(C, tracking="T2", package_id=1, carrier="DHL", shipped=5)],
            [0],
            id="the same id, nothing else the same",
        ),
        pytest.param(
            [box(A, tracking="T1", package_id=1)],
            [box(A, tracking="T2", package_id=2)],
            [None],
            id="another id, equal contents: a replacement",
        ),
        pytest.param(
            [box(A, tracking="1Z 99-9.x")],
            [box(C, tracking="1Z999X", carrier="DHL")],
            [0],
            id="the same number in another spelling",
        ),
        pytest.param(
            [box(A), box(B)],
            [box(B, tracking="T2"), box(A, tracking="T1")],
            [1, 0],
            id="numbers join untracked packages of equal contents",
        ),
        pytest.param([box(A), box(A)], [box(A), box(A, tracking="T1")], [0, 1], id="twin labels"),
        pytest.param(
            [box(A, tracking="T1", shipped=5), box(B, tracking="T2", shipped=5)],
            [box(B, tracking="T9", shipped=5), box(A, tracking="T1", shipped=5)],
            [1, 0],
            id="a corrected number that moved",
        ),
        pytest.param(
            [box(A, tracking="T1"), box(B, tracking="T2")],
            [box(C, tracking="T3"), box(B, tracking="T2"), box(A, tracking="T9")],
            [None, 1, 0],
            id="a corrected number that moved, no ship time, beside a new package",
        ),
        pytest.param(
            [box({"MUG": 4}, tracking="T1", shipped=5)],
            [box({"MUG": 3}, tracking="T9", shipped=5)],
            [0],
            id="number and contents changed, shipped at the same instant",
        ),
        pytest.param(
            [box({"MUG": 4}, tracking="T1", shipped=5)],
            [box({"MUG": 1}, tracking="T9", shipped=5)],
            [None],
            id="less than half the contents the same",
        ),
        pytest.param(
            [box({"MUG": 4}, tracking="T1", shipped=5)],
            [box({"MUG": 3}, tracking="T9", shipped=6)],
            [None],
            id="another instant, other contents",
        ),
        pytest.param(
            [box(A, tracking="T1", shipped=5)],
            [box(A, tracking="T9", shipped=7, carrier="DHL")],
            [0],
            id="the only one left and the only one new, equal contents",
        ),
        pytest.param(
            [box(A, tracking="T1"), box(C, tracking="T1")],
            [box(C, tracking="T1"), box(A, tracking="T1")],
            [1, 0],
            id="two boxes under one number",
        ),
        pytest.param(
            [box(A, tracking="T1"), box(A, tracking="T1")],
            [box(A, tracking="T1"), box(A, tracking="T1"), box(A, tracking="T1")],
            [0, 1, None],
            id="equal boxes under one number are as many as they are",
        ),
        pytest.param(
            [box(A), box(A)],
            [box(A, tracking="T1"), box(A, tracking="T2")],
            [0, 1],
            id="twin labels, both numbered",
        ),
        pytest.param(
            [box(A, shipped=5), box(A)],
            [box(A), box(A, tracking="T1", shipped=5)],
            [1, 0],
            id="twins of which one has left",
        ),
        pytest.param(
            [box(A, tracking="T1", shipped=5), box(A, tracking="T2", shipped=5)],
            [box(A, tracking="T8", shipped=5), box(A, tracking="T9", shipped=5)],
            [0, 1],
            id="twins corrected both: array order",
        ),
        pytest.param(
            [box(A, tracking="T1"), box(A, tracking="T2")],
            [box(A, tracking="T8"), box(A, tracking="T9")],
            [0, 1],
            id="as many left over as new ones, equal contents: array order",
        ),
        pytest.param(
            [box(A, tracking="T1"), box(A, tracking="T2")],
            [box(A, tracking="T7"), box(A, tracking="T8"), box(A, tracking="T9")],
            [None, None, None],
            id="more new ones than left over: nobody can tell",
        ),
        pytest.param(
            [untold("T1"), untold("T2")], [untold("T8"), untold("T9")], [0, 1], id="untold, as many"
        ),
        pytest.param(
            [untold("T1"), box(A, tracking="T2")],
            [box(B, tracking="T8"), box(B, tracking="T9")],
            [0, None],
            id="untold goes with any, told with its like",
        ),
        pytest.param([], [box(A), box(A)], [None, None], id="nothing known"),
    ],
)
def test_a_package_is_recognized_by_its_best_evidence(
    before: list[dict[str, Any]], after: list[dict[str, Any]], pairs: list[int | None]
) -> None:
    """The rules of reference C2, from certain to likely."""
    assert pairing(before, after) == pairs


def test_one_left_over_without_known_contents_is_the_same_package() -> None:
    """Contents not told on one side do not speak against it."""
    feed = Feed()
    feed.see(order({**box(tracking="T1"), "products": None}))
    (known,) = feed.live

    told = feed.see(order(box(A, tracking="T2"), updated=60))

    assert told == ["package.tracking_changed", "package.contents_changed"]
    assert [package.id for package in feed.live] == [known.id]


def test_ids_of_packages_do_not_depend_on_their_order_in_the_array() -> None:
    """Two boxes under one number and two labels: any order mints the same ids."""
    boxes = [box(A, tracking="T1"), box(C, tracking="T1"), box(A), box(B), box(A, package_id=3)]
    one, other = Feed(), Feed()

    one.see(order(*boxes))
    other.see(order(*reversed(boxes)))

    minted = [
        {package.id: contents_of(package.line_items) for package in feed.state.packages}
        for feed in (one, other)
    ]
    assert len(minted[0]) == 5
    assert minted[0] == minted[1]


def test_the_basis_of_an_id_is_recorded() -> None:
    """A source's own id, else the number, else the contents."""
    feed = Feed()
    feed.see(order(box(package_id=1, tracking="T1"), box(tracking="T2"), box()))

    assert [p.identity for p in feed.state.packages] == ["source_id", "tracking", "content"]


def test_an_id_that_is_taken_is_not_given_again() -> None:
    """A label became a tracked package; the next equal label is another one."""
    feed = Feed()
    feed.see(order(box(A)))
    feed.see(order(box(A, tracking="T1"), updated=1))
    feed.see(order(box(A, tracking="T1"), box(A), updated=2))

    assert len({package.id for package in feed.live}) == 2


def test_the_last_one_left_does_not_wake_a_removed_package() -> None:
    """A later package of equal contents, other number and time, is a replacement, and ships."""
    feed = Feed()
    feed.see(order(box(A, tracking="T1", shipped=0), box(B, tracking="T2", shipped=0)))
    feed.see(order(box(B, tracking="T2", shipped=0), updated=60))

    types = feed.see(
        order(box(B, tracking="T2", shipped=0), box(A, tracking="T9", shipped=90), updated=120)
    )

    assert types == ["package.created", "package.shipped"]


@pytest.mark.parametrize(
    ("removed", "back", "shipped"),
    [
        pytest.param(box(A, tracking="T1"), box(C, tracking="T1"), 1, id="by its number"),
        pytest.param(box(A, shipped=5), box(A, shipped=5), 1, id="as it was"),
        pytest.param(box(A, shipped=5), box(A, tracking="T1", shipped=5), 1, id="by its shipping"),
        pytest.param(box(A), box(A, tracking="T1", shipped=5), 1, id="a label, by its contents"),
        pytest.param(box(A, package_id=1), box(B, package_id=1), 0, id="by its id"),
    ],
)
def test_a_removed_package_comes_back_on_evidence_of_its_own(
    removed: dict[str, Any], back: dict[str, Any], shipped: int
) -> None:
    """The same id, and in all its lives no more than one shipped."""
    feed = Feed()
    feed.see(order(removed))
    feed.see(order(updated=60))
    feed.see(order(back, updated=120))

    assert len(feed.state.packages) == len(feed.live) == 1
    assert [event.type for event in feed.events].count("package.shipped") == shipped


def identified(contents: dict[str, int] = A, **own: str) -> Seen:
    """A package that has left, with these ids of the source's own."""
    items = tuple(LineItem(sku=sku, quantity=str(n)) for sku, n in contents.items())
    return Seen("shipped", upstream_ids=ids(**own), line_items=items)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        pytest.param(
            [identified(A, box="X"), identified(B, box="X")],
            [identified(B, box="X"), identified(A, box="X")],
            [],
            id="swapped",
        ),
        pytest.param(
            [identified(A, box="X"), identified(B, box="X")],
            [identified(B, box="X")],
            ["package.removed", "package.shipment_retracted"],
            id="the first one gone",
        ),
        pytest.param(
            [identified(A, box="X")],
            [identified(B, box="X"), identified(A, box="X")],
            ["package.created", "package.shipped"],
            id="shared from the second observation on",
        ),
        pytest.param(
            [identified(A, own="1", box="X"), identified(B, own="2", box="X")],
            [identified(C, own="2", box="X"), identified(A, own="1", box="X")],
            ["package.contents_changed"],
            id="an id of another kind still decides",
        ),
    ],
)
def test_an_id_that_two_packages_of_one_side_carry_is_no_id(
    before: list[Seen], after: list[Seen], told: list[str]
) -> None:
    """What is inside tells them apart, and nothing is announced of a change of places."""
    first, _ = seen_in_turn([tuple(before)])
    events, state = seen_in_turn([tuple(before), tuple(after)])
    live = [one for one in state.packages if one.status != "removed"]
    assert [event.type for event in events[len(first) :]] == told
    assert Counter(contents_of(one.line_items) for one in live) == Counter(
        contents_of(one.line_items) for one in after
    )


@pytest.mark.parametrize(
    ("turns", "shipped"),
    [
        pytest.param([{"box": "X"}, {"own": "7", "box": "X"}, {"own": "7"}], 1, id="better later"),
        pytest.param([{"own": "7", "box": "X"}, {"box": "X"}], 1, id="the better one gone"),
        pytest.param([{"own": "7"}, {"own": "7", "box": "Y"}, {"box": "Y"}], 1, id="another kind"),
        pytest.param(
            [{"own": "7", "box": "X"}, {"own": "7", "box": "Y"}], 1, id="the best decides"
        ),
        pytest.param([{"box": "X"}, {"own": "X"}], 1, id="same contents, ids of two kinds"),
        pytest.param([{"own": "7", "box": "X"}, {"own": "8", "box": "X"}], 2, id="best differs"),
        pytest.param([{"box": "X"}, {"box": "Y"}], 2, id="one kind, two ids"),
    ],
)
def test_only_ids_of_one_kind_contradict(turns: list[dict[str, str]], shipped: int) -> None:
    """A box that gets a better id, or shows only a worse one, is shipped once."""
    events, state = seen_in_turn([(identified(A, **own),) for own in turns])

    assert [event.type for event in events].count("package.shipped") == shipped
    assert len([one for one in state.packages if one.status != "removed"]) == 1
    if shipped == 1:
        known = {kind: own for turn in turns for kind, own in turn.items()}
        assert {one.kind: one.id for one in state.packages[0].upstream_ids} == known


def test_the_best_kind_of_id_is_the_same_whatever_comes_first_in_the_array() -> None:
    """One package carries the worse id of the known one, the other its better id."""
    after = identified(A, box="X"), identified(A, own="7", box="Z")
    for packages in (after, after[::-1]):
        _, state = seen_in_turn([(identified(A, own="7", box="X"),), packages])
        assert state.packages[0].upstream_ids == ids(own="7", box="Z")


def boxes(count: int, kind: str, turn: int) -> tuple[Seen, ...]:
    """As many packages as pallets of a large shipment, all different, as `kind` says."""
    return tuple(
        Seen(
            "shipped",
            upstream_ids=ids(
                sscc=f"{turn}-{n}" if kind == "ids" else None,
                container_number="X" if kind == "one id" else None,
            ),
            trackings=tracking({"one number": "T", "numbers": f"T{turn}-{n}"}.get(kind)),
            shipped_at="2026-03-01" if kind in {"ids", "shipping"} else None,
            line_items=(LineItem(sku="MUG", quantity=str(1 + n % (count // 2) + count * turn)),),
        )
        for n in range(count)
    )


def calls(stored: Fulfillment, seen: tuple[Seen, ...]) -> int:
    """How many Python functions pairing them calls."""
    made = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal made
        made += event == "call"

    sys.setprofile(count)
    try:
        pair(stored.packages, seen)
    finally:
        sys.setprofile(None)
    return made


@pytest.mark.parametrize("kind", ["one number", "numbers", "ids", "one id", "shipping", "nothing"])
@pytest.mark.parametrize("lost", [0, 1], ids=["as many", "one lost"])
def test_what_pairing_costs_grows_with_the_packages_and_not_with_their_square(
    kind: str, lost: int
) -> None:
    """A thousand packages of which each is another one now: at most 200 calls for each."""
    costs = []
    for count in (250, 1000):
        _, stored = seen_in_turn([boxes(count, kind, 0)])
        costs.append(calls(stored, boxes(count, kind, 1)[lost:]))

    assert costs[1] <= 200 * 1000
    assert costs[1] <= 6 * costs[0]


def test_overlap_counts_shared_units() -> None:
    """Shared by all units; two empty boxes are equal."""
    seen = Feed()
    seen.see(order(box({"MUG": 4, "POT": 1}), box({"MUG": 3}), box({})))
    one, other, empty = (contents_of(package.line_items) for package in seen.live)

    assert overlap(one, other) == 3 / 5
    assert overlap(one, empty) == 0.0
    assert overlap(empty, empty) == 1.0
    assert overlap(one, None) == 0.5


def test_numbers_are_compared_without_dress() -> None:
    """NFKC, upper case, no spaces, hyphens, dots; leading zeros stay."""
    assert normalized_number(" 00-1z.9\u20109\uff21 ") == "001Z99A"


def test_the_shipped_event_has_the_id_its_package_remembers() -> None:
    """The id kept in state is the one the event carries."""
    feed = Feed()
    outcome = feed.outcome(order(box(tracking="T1")))
    event = next(event for event in outcome.events if event.type == "package.shipped")
    (package,) = feed.live

    assert event.id == package.shipped_event_id == shipped_event_id(feed.state.key, package.id)
