"""What holds for any life of an order: nothing twice, nothing lost, the same bytes again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.soak import sized
from tests.unit.normalizer.feed import Feed, box, order

CONTENTS = [{"MUG": m, "POT": p} for m in range(4) for p in range(4) if m + p]
STATUSES = ("PARTIALLY_SHIPPED", "SHIPPED")


@dataclass(frozen=True)
class Parcel:
    """A true package; `name` is what no source shows."""

    name: int
    contents: dict[str, int]
    tracking: str | None = None
    shipped: int | None = None

    @property
    def left(self) -> bool:
        """Shipped evidence, in an order that backs numbers."""
        return self.tracking is not None or self.shipped is not None

    def shown(self) -> dict[str, Any]:
        """As Zentail shows it, without an id."""
        return box(
            {sku: count for sku, count in self.contents.items() if count},
            tracking=self.tracking,
            shipped=self.shipped,
        )


@dataclass
class Life:
    """The true packages of one order, changed at random within what can be told apart.

    Contents never repeat within the order; between two observations at most one number is
    corrected, and that package keeps its contents; a package that comes back is as it was.
    """

    rng: Random
    now: int = 0
    numbers: int = 0
    parcels: list[Parcel] = field(default_factory=list)
    gone: list[Parcel] = field(default_factory=list)
    changed: set[int] = field(default_factory=set)
    corrected: bool = False
    contents: list[dict[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.contents = self.rng.sample(CONTENTS, len(CONTENTS))

    def interval(self, steps: int) -> dict[str, Any]:
        """Some changes, then the order as the source shows it."""
        self.changed, self.corrected = set(), False
        for _ in range(steps):
            self.now += 1
            self.rng.choice(self.moves())()
        shown = [parcel.shown() for parcel in self.parcels]
        self.rng.shuffle(shown)
        self.now += 1
        return order(*shown, status=self.rng.choice(STATUSES), updated=self.now)

    def moves(self) -> list[Callable[[], None]]:
        """What may happen next."""
        return [self.add, self.number, self.ship, self.correct, self.repack, self.remove, self.back]

    def add(self) -> None:
        """A new package, in some state."""
        if self.contents:
            name = self.numbers = self.numbers + 1
            self.parcels.append(
                Parcel(
                    name,
                    self.contents.pop(),
                    self.rng.choice([None, f"N{name}"]),
                    self.rng.choice([None, self.now]),
                )
            )

    def number(self) -> None:
        """A first number."""
        self.change(lambda p: p.tracking is None, lambda p, n: replace(p, tracking=f"N{n}"))

    def ship(self) -> None:
        """A ship time."""
        self.change(lambda p: p.shipped is None, lambda p, _: replace(p, shipped=self.now))

    def correct(self) -> None:
        """Another number."""
        if not self.corrected:
            self.corrected = self.change(
                lambda p: p.tracking is not None, lambda p, n: replace(p, tracking=f"N{n}")
            )

    def repack(self) -> None:
        """Other contents under the same number."""
        if self.contents:
            self.change(
                lambda p: p.tracking is not None,
                lambda p, _: replace(p, contents=self.contents.pop()),
            )

    def remove(self) -> None:
        """It disappears."""
        if self.change(lambda _: True, lambda p, _: p):
            self.gone.append(self.parcels.pop(self.place))

    def back(self) -> None:
        """It appears again, as it was."""
        known = [parcel for parcel in self.gone if parcel.name not in self.changed]
        if known:
            parcel = self.rng.choice(known)
            self.gone.remove(parcel)
            self.changed.add(parcel.name)
            self.parcels.append(parcel)

    def change(self, may: Callable[[Parcel], bool], act: Callable[[Parcel, int], Parcel]) -> bool:
        """One change to one package that has had none since the last observation."""
        places = [
            place
            for place, parcel in enumerate(self.parcels)
            if parcel.name not in self.changed and may(parcel)
        ]
        if not places:
            return False
        self.place = self.rng.choice(places)
        self.numbers += 1
        self.changed.add(self.parcels[self.place].name)
        self.parcels[self.place] = act(self.parcels[self.place], self.numbers)
        return True


def lives() -> st.SearchStrategy[tuple[int, list[int]]]:
    """A seed, and how many changes lie before each observation."""
    return st.tuples(st.integers(0, 2**32), st.lists(st.integers(0, 4), min_size=1, max_size=8))


@settings(max_examples=sized(100, 400), deadline=None)
@given(lives())
def test_every_true_package_seen_shipped_is_announced_exactly_once(
    life: tuple[int, list[int]],
) -> None:
    """Whatever happens in between: as many package.shipped as packages that were seen to leave."""
    seed, intervals = life
    world, feed = Life(Random(seed)), Feed()
    left: set[int] = set()
    for steps in intervals:
        feed.see(world.interval(steps))
        left |= {parcel.name for parcel in world.parcels if parcel.left}

        shipped = [event.id for event in feed.events if event.type == "package.shipped"]
        assert len(shipped) == len(set(shipped)) == len(left)
        assert len(feed.live) == len(world.parcels)
        assert sorted(
            (package.trackings[0].number or "") for package in feed.live if package.trackings
        ) == sorted(parcel.tracking for parcel in world.parcels if parcel.tracking)


@settings(max_examples=sized(37, 150), deadline=None)
@given(lives(), st.randoms(use_true_random=False))
def test_permuted_and_repeated_and_older_observations_change_nothing(
    life: tuple[int, list[int]], rng: Random
) -> None:
    """Permuted packages make no event; the same again no write; an older one is stale."""
    seed, intervals = life
    world, feed = Life(Random(seed)), Feed()
    shown = [world.interval(steps) for steps in intervals]
    for one in shown:
        feed.see(one)
    last = shown[-1]
    packages = list(last["packages"])
    rng.shuffle(packages)

    same = feed.outcome(last, observed_seconds=60)
    older = [feed.outcome(one) for one in shown[:-1]]
    permuted = feed.outcome({**last, "packages": packages}, observed_seconds=90)

    assert (same.state, same.events) == (None, ())
    assert all(outcome.stale and outcome.state is None for outcome in older)
    assert permuted.events == ()


@settings(max_examples=sized(37, 150), deadline=None)
@given(lives(), st.randoms(use_true_random=False), st.booleans())
def test_any_interleaving_of_re_reads_gives_the_same_events(
    life: tuple[int, list[int]], rng: Random, versioned: bool
) -> None:
    """Read again at any time, as old as it may be: the same ids, in the same order."""
    # Without a version of the source's own a re-read can only be as the record is by then.
    seed, intervals = life
    world, once, again = Life(Random(seed)), Feed(), Feed()
    shown: list[dict[str, Any]] = []
    for seconds, steps in enumerate(intervals):
        shown.append({**world.interval(steps), **({} if versioned else {"lastUpdatedTs": None})})
        once.see(shown[-1], observed_seconds=100 * seconds)
        again.see(shown[-1], observed_seconds=100 * seconds)
        for more in range(rng.randint(0, 3)):
            read = rng.choice(shown) if versioned else permuted(shown[-1], rng)
            again.see(read, observed_seconds=100 * seconds + more)

    assert facts(again) == facts(once)


@settings(max_examples=sized(25, 100), deadline=None)
@given(lives(), st.randoms(use_true_random=False))
def test_the_same_raw_log_gives_the_same_bytes(life: tuple[int, list[int]], rng: Random) -> None:
    """A complete log with re-reads in it, replayed from nothing: states and events, to the byte."""
    seed, intervals = life
    world, one, other = Life(Random(seed)), Feed(), Feed()
    log = [world.interval(steps) for steps in intervals]
    log = [read for shown in log for read in (shown, rng.choice(log))]
    for feed in (one, other):
        for seconds, read in enumerate(log):
            feed.see(read, observed_seconds=seconds)

    assert one.value == other.value
    assert [(e.headers(), e.data.to_json()) for e in one.events] == [
        (e.headers(), e.data.to_json()) for e in other.events
    ]


def permuted(shown: dict[str, Any], rng: Random) -> dict[str, Any]:
    """The same order, its packages in another place."""
    packages = list(shown["packages"])
    rng.shuffle(packages)
    return {**shown, "packages": packages}


def facts(feed: Feed) -> list[tuple[str, str, str]]:
    """What was told, without when it was read and where it stands in raw."""
    return [(event.id, event.type, event.sequence) for event in feed.events]
