"""What has been closed for long shrinks, and is known for what it was when it is seen again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import BadConfig
from bus.settings import Config, KafkaSettings
from bus.table import Table
from schemas import fulfillment as contract
from schemas.topics import FULFILLMENTS
from services.normalizer.evidence import Evidence
from services.normalizer.observation import restored
from services.normalizer.settings import NormalizerSettings
from services.normalizer.stubs import Stubs, shrunk
from services.normalizer.sweep import LOOKED_AT_MAX, Sweep
from tests.soak import sized
from tests.unit.normalizer.feed import NOON, Feed, box, order, record

DAYS = 400
LATE = (DAYS + 1) * 86_400.0  # seconds
A, B = {"MUG": 1}, {"MUG": 2, "POT": 1}
SHIPPED = (box(A, tracking="T1", shipped=0), box(B, tracking="T2", shipped=0))


def closed(*, sweeping: bool = False, boxes: Any = SHIPPED, status: str = "SHIPPED") -> Feed:
    """An order seen once; with `sweeping` its stub is what is stored."""
    feed = Feed(Stubs(DAYS))
    feed.see(order(*boxes, status=status))
    if sweeping:
        feed.value = shrunk(feed.state).to_json()
    return feed


def seen_late(feed: Feed, *boxes: Any, after: float = LATE, **more: Any) -> list[str]:
    """An observation so many seconds after the first."""
    shown = {"status": "SHIPPED", "updated": after, **more}
    return feed.see(order(*boxes, **shown), observed_seconds=after)


@pytest.mark.parametrize("sweeping", [False, True])
@pytest.mark.parametrize(
    "boxes",
    [
        pytest.param(SHIPPED, id="the same"),
        pytest.param(SHIPPED[::-1], id="in another order"),
        pytest.param((box(A, tracking="T9", shipped=0), SHIPPED[1]), id="another number"),
        pytest.param((box(A, tracking="T1", carrier="DHL", shipped=0), SHIPPED[1]), id="carrier"),
        pytest.param((box(B, tracking="T1", shipped=0), SHIPPED[1]), id="contents"),
        pytest.param(SHIPPED[:1], id="one is gone"),
        pytest.param((), id="all are gone"),
    ],
)
def test_late_observations_of_what_was_known_are_silent(boxes: Any, sweeping: bool) -> None:
    """They pair with the stub, move its version, and leave it one."""
    feed = closed(sweeping=sweeping)
    known = [(one.id, one.shipped_event_id) for one in feed.state.packages]

    assert seen_late(feed, *boxes) == []
    assert feed.state.stub
    assert feed.state.updated_at == NOON + timedelta(seconds=LATE)
    assert [(one.id, one.shipped_event_id) for one in feed.state.packages] == known
    assert seen_late(feed, *SHIPPED, after=LATE + 1) == []


@pytest.mark.parametrize("sweeping", [False, True])
def test_a_package_that_the_stub_does_not_know_is_told_and_nothing_else(sweeping: bool) -> None:
    """The fulfillment is whole again, and tells what happens to it from then on."""
    feed = closed(sweeping=sweeping)
    new = box({"PAN": 1}, tracking="T3", shipped=5)

    assert seen_late(feed, *SHIPPED, new) == ["package.created", "package.shipped"]
    assert not feed.state.stub
    assert [one.number for p in feed.state.packages for one in p.trackings] == ["T1", "T2", "T3"]
    corrected = box({"PAN": 1}, tracking="T4", shipped=5)
    assert seen_late(feed, *SHIPPED, corrected, after=LATE + 1) == ["package.tracking_changed"]


@pytest.mark.parametrize("sweeping", [False, True])
def test_an_older_or_equal_observation_of_a_stub_changes_nothing(sweeping: bool) -> None:
    """However late it is observed."""
    feed = closed(sweeping=sweeping)
    before = feed.value
    for updated, stale in ((0, False), (-1, True)):
        found = feed.outcome(order(updated=updated, status="SHIPPED"), observed_seconds=LATE)
        assert (found.state, found.events, found.stale) == (None, (), stale)
    assert feed.value == before


@pytest.mark.parametrize(
    ("boxes", "status", "after"),
    [
        pytest.param(SHIPPED, "SHIPPED", LATE - 2 * 86_400, id="not long enough"),
        pytest.param(SHIPPED, "PARTIALLY_SHIPPED", LATE, id="not final"),
        pytest.param((*SHIPPED, box({"PAN": 1})), "SHIPPED", LATE, id="a package waits to leave"),
    ],
)
def test_what_is_not_closed_for_long_keeps_telling(boxes: Any, status: str, after: float) -> None:
    """As ever."""
    feed = closed(boxes=boxes, status=status)
    corrected = (box(A, tracking="T9", shipped=0), *boxes[1:])

    assert seen_late(feed, *corrected, after=after, status=status) == ["package.tracking_changed"]
    assert not feed.state.stub


def test_without_the_setting_nothing_shrinks() -> None:
    """State is kept without limit by default."""
    feed = Feed()
    feed.see(order(*SHIPPED, status="SHIPPED"))
    corrected = (box(A, tracking="T9", shipped=0), SHIPPED[1])

    assert seen_late(feed, *corrected, after=9 * LATE) == ["package.tracking_changed"]


def test_the_setting_has_a_least_value() -> None:
    """Below it, late corrections that sources still make would be passed over."""
    with pytest.raises(BadConfig, match="closed_retention_days"):
        Config({"normalizer": {"closed_retention_days": 399}}).section(
            "normalizer", NormalizerSettings
        )


def test_a_stub_is_smaller_and_its_packages_are_known_by_the_same() -> None:
    """Ids, evidence and what was announced stay; words, urls and lines go."""
    state = closed().state
    stub = shrunk(state)

    assert len(stub.to_json()) < 0.75 * len(state.to_json())
    assert [Evidence.of(one) for one in stub.packages] == [Evidence.of(p) for p in state.packages]
    assert (stub.key, stub.updated_at, stub.raw) == (state.key, state.updated_at, state.raw)
    assert shrunk(stub) == restored("it", stub.to_json()) == stub
    assert contract.Fulfillment.model_validate_json(stub.to_json()).stub


BOXES = st.lists(
    st.builds(
        box,
        st.dictionaries(st.sampled_from(["MUG", "POT", "PAN"]), st.integers(1, 2), min_size=1),
        tracking=st.sampled_from([None, "T1", "T2", "T3"]),
        shipped=st.sampled_from([None, 0, 9]),
        carrier=st.sampled_from(["UPS", "DHL", None]),
    ),
    max_size=3,
)
LIVES = st.lists(
    st.tuples(BOXES, st.sampled_from([1.0, LATE]), st.sampled_from(["SHIPPED", "PENDING"])),
    min_size=1,
    max_size=6,
)


@given(LIVES)
@settings(max_examples=sized(37, 150), deadline=None)
def test_when_a_stub_is_written_decides_nothing(life: list[tuple[Any, float, str]]) -> None:
    """The same observations give the same events and state, swept in between or not at all."""
    lazy, swept = Feed(Stubs(DAYS)), Feed(Stubs(DAYS))
    now = 0.0
    for boxes, wait, status in life:
        now += wait
        instant = NOON + timedelta(days=1, seconds=now)
        if swept.value is not None and swept.stubs.due(swept.state, instant):
            swept.value = shrunk(swept.state).to_json()
        for feed in (lazy, swept):
            feed.see(order(*boxes, updated=now, status=status), observed_seconds=now)
        assert lazy.value == swept.value
    assert lazy.events == swept.events
    shipped = [one.id for one in lazy.events if one.type == "package.shipped"]
    assert len(shipped) == len(set(shipped))


def table_of(count: int, status: str = "SHIPPED") -> Table:
    """So many orders, seen a day after noon."""
    table = Table(KafkaSettings(prefix="t"), FULFILLMENTS, 0)
    for number in range(count):
        feed = Feed()
        feed.see(order(*SHIPPED, number=number, status=status))
        key = record(order(number=number)).key
        table.apply([table.put((key or b"").decode(), feed.value)])
    return table


def swept(sweep: Sweep, table: Table, days: float, touched: frozenset[str] = frozenset()) -> int:
    """How many shrink with a batch of so many days after the orders."""
    records = sweep.shrunk(NOON + timedelta(days=1 + days), touched)
    table.apply(records)
    return len(records)


def test_a_sweep_looks_at_a_few_with_each_batch_and_at_all_once_a_day() -> None:
    """The batch's own keys are left to it; what has shrunk is left alone."""
    count = 2 * LOOKED_AT_MAX + 5
    table = table_of(count)
    sweep = Sweep(Stubs(DAYS), table)
    keys = sorted(key for key, _ in table.items())
    early = [swept(sweep, table, DAYS - 3) for _ in range(4)]
    batches = [swept(sweep, table, DAYS + 1, frozenset(keys[:1])) for _ in range(4)]
    same_day = swept(sweep, table, DAYS + 1.5)
    next_day = [swept(sweep, table, DAYS + 2) for _ in range(4)]

    assert early == [0, 0, 0, 0]
    assert max(batches) == LOOKED_AT_MAX
    assert sum(batches) == count - 1
    assert same_day == 0
    assert sum(next_day) == 1
    assert sweep.shrunk(None, ()) == []


def test_a_sweep_leaves_what_is_open_and_does_nothing_when_it_is_off() -> None:
    """An order that is not final may still change."""
    table = table_of(3, status="PENDING")

    assert swept(Sweep(Stubs(DAYS), table), table, 9 * DAYS) == 0
    assert swept(Sweep(Stubs(None), table_of(3)), table, 9 * DAYS) == 0
