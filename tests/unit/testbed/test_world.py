"""The seeded world: determinism, what it contains, and what it never does."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from testbed.audit import audit
from testbed.orders import Order, is_shipped
from testbed.simulators.zentail import ZentailSimulator
from testbed.timeline import Moment, timeline
from testbed.world import World
from tests.soak import sized
from tests.unit.testbed.pipeline import Pipeline

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
DURATION_SECONDS = 20.0
END = START + timedelta(seconds=DURATION_SECONDS)
SEEDS = range(sized(5, 30))
KINDS = {
    "placed",
    "labeled",
    "shipped",
    "label_shipped",
    "shipped_without_number",
    "shipped_without_time",
    "number_added",
    "number_corrected",
    "appeared_empty",
    "filled",
    "contents_grown",
    "contents_shrunk",
    "label_removed",
    "shipped_removed",
    "shipped_restored",
    "carrier_corrected",
    "time_corrected",
    "twins_shipped",
    "permuted",
    "canceled",
    "return_requested",
    "refunded",
    "touched",
}


def moments_of(seed: int, *, package_ids: bool = False, source: str = "zentail") -> list[Moment]:
    return timeline(
        seed,
        orders=60,
        duration_seconds=DURATION_SECONDS,
        start=START,
        package_ids=package_ids,
        source=source,
    )


def histories(moments: list[Moment]) -> dict[int, list[Order]]:
    by_number: dict[int, list[Order]] = defaultdict(list)
    for moment in moments:
        by_number[moment.order.number].append(moment.order)
    return by_number


def test_the_same_seed_makes_the_same_world_and_another_seed_another() -> None:
    """Everything that happens follows from the seed."""
    assert moments_of(7) == moments_of(7)
    assert moments_of(7) != moments_of(8)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_kind_of_mutation_happens_in_every_world(seed: int) -> None:
    """A run of sixty orders leaves no story out, whatever its seed."""
    assert {moment.kind for moment in moments_of(seed)} >= KINDS


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        ("zentail", {"renumbered", "id_replaced", "listed_twice", "listed_once"}),
        ("tradecloud", {"id_replaced", "listed_twice", "listed_once"}),
        ("shoplazza", set()),
    ],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_odd_ids_and_doubles_happen_where_a_system_can_show_them(
    source: str, kinds: set[str], seed: int
) -> None:
    """Packages numbered by place, given another id, or listed twice."""
    odd = {"renumbered", "id_replaced", "listed_twice", "listed_once"}
    assert {moment.kind for moment in moments_of(seed, source=source)} & odd == kinds


@pytest.mark.parametrize("seed", SEEDS)
def test_packages_of_one_order_never_share_contents_but_for_unchanging_twins(seed: int) -> None:
    """Without ids, contents are what an untracked or corrected package is known by."""
    for states in histories(moments_of(seed)).values():
        contents = defaultdict(set)
        numbers: dict[str, set[str | None]] = defaultdict(set)
        for order in states:
            for package in order.packages:
                contents[package.truth_id].add(package.contents)
                numbers[package.truth_id].add(package.tracking)
        corrected = [known for known in numbers.values() if len(known - {None}) > 1]
        assert len(corrected) <= 1
        for truth_id, known in numbers.items():
            twins = [other for other in numbers if numbers[other] & known - {None}]
            assert len(contents[truth_id]) == 1 or (known != {None} and len(known) == 1)
            for other in numbers.keys() - {*twins, truth_id}:
                assert not contents[truth_id] & contents[other]
            if len(twins) > 1:
                assert len(known) == len(contents[truth_id]) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_contents_change_and_shipped_packages_vanish_only_in_partially_shipped_orders(
    seed: int,
) -> None:
    """zentail seed, 'A Note on Partial Shipments': only then may the array change so."""
    for states in histories(moments_of(seed)).values():
        for before, after in pairwise(states):
            kept = {package.truth_id: package for package in after.packages}
            for package in before.packages:
                gone = package.truth_id not in kept
                repacked = not gone and kept[package.truth_id].contents != package.contents
                if package.accounts_for_units and (gone or repacked):
                    assert before.status == "partially_shipped"


@pytest.mark.parametrize("seed", SEEDS)
def test_an_order_is_shipped_exactly_when_every_unit_is_accounted_for(seed: int) -> None:
    """Packages never hold more than was ordered, and the status follows from them."""
    for moment in moments_of(seed):
        order = moment.order
        ordered = Counter({line.product: line.quantity for line in order.lines})
        shipped = order.shipped_units()
        assert shipped <= ordered
        if order.status in ("placed", "partially_shipped", "shipped"):
            assert (order.status == "shipped") == (shipped == ordered)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_later_state_of_an_order_never_has_an_earlier_update(seed: int) -> None:
    """updated_at is the version of an order."""
    for states in histories(moments_of(seed)).values():
        stamps = [order.updated_at for order in states]
        assert stamps == sorted(stamps)
        assert START <= stamps[0]
        assert stamps[-1] <= END


def test_instants_are_shared_by_a_few_orders_often_and_by_more_than_a_page_sometimes() -> None:
    """Ties at the border of a page, and one instant that fills pages, must occur."""
    stamps = Counter(moment.order.updated_at for moment in moments_of(7))

    assert sum(2 <= count <= 25 for count in stamps.values()) > 10
    assert sum(count == 60 for count in stamps.values()) >= 1


def test_only_a_world_with_package_ids_replaces_a_package_by_one_of_equal_contents() -> None:
    """Without ids nobody could tell the replacement from a corrected number."""
    assert "replaced_by_equal" in {moment.kind for moment in moments_of(7, package_ids=True)}
    for seed in SEEDS:
        assert "replaced_by_equal" not in {moment.kind for moment in moments_of(seed)}


def test_a_world_shows_what_was_due_and_ends_with_its_last_mutation() -> None:
    """advance() is the only thing that moves a world, and it can be asked in any steps."""
    world = World(7, start=START, duration_seconds=DURATION_SECONDS)
    stepwise = World(7, start=START, duration_seconds=DURATION_SECONDS)

    assert world.orders(START - timedelta(seconds=1)) == []
    half = START + timedelta(seconds=DURATION_SECONDS / 2)
    assert all(order.updated_at <= half for order in stepwise.orders(half))
    assert not stepwise.finished(half)
    assert stepwise.orders(END) == world.orders(END)
    assert stepwise.truth(END) == world.truth(END)
    assert world.finished(END)


def test_a_number_counts_as_shipped_only_with_contents_and_a_status_behind_it() -> None:
    """Shipped evidence: units, and a ship time or a number in an order that has shipped."""
    for moment in moments_of(7):
        for package in moment.order.packages:
            if not package.contents or not (package.tracking or package.shipped_at):
                assert not is_shipped(moment.order, package)
            if package.contents and package.shipped_at:
                assert is_shipped(moment.order, package)


@pytest.mark.parametrize("every", [1, 2, 3, 1000])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_perfect_pipeline_pairs_every_package_however_seldom_it_looks(
    seed: int, every: int
) -> None:
    """Numbers and contents suffice to follow every package, also over unseen states."""
    world = World(seed, start=START, duration_seconds=DURATION_SECONDS)
    simulator = ZentailSimulator(world=world)
    pipeline = Pipeline()
    for states in histories(moments_of(seed)).values():
        for state in [*states[:-1][::every], states[-1]]:
            pipeline.observe(simulator.row(state).body)

    report = audit(world.truth(END), pipeline.received, pipeline.fulfillments)

    assert report.findings == []
    assert report.clean
    assert report.shipped_in_world > 100
    assert report.may_shipped > 0
    assert any(
        package["live"] and not package["states"][-1]["shipped"]
        for order in world.truth(END)["orders"]
        for package in order["packages"]
    )
    assert report.shipped_events >= report.shipped_in_world
