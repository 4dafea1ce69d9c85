"""What a row says of its figures."""

from __future__ import annotations

import json
import math

import pytest

from benchmarks import Row, Target
from benchmarks.wire.throughput import rate


def row(value: float, baseline: float, target: Target) -> Row:
    """A row of made-up figures."""
    return Row("bench.figure", value, "ms", baseline, target)


def test_the_ratio_is_ours_beside_the_peer() -> None:
    """A figure half the peer's has the ratio 0.5."""
    assert 0.5 == row(5, 10, Target(">=", 0.25)).ratio


@pytest.mark.parametrize(
    ("target", "ok"),
    [
        (Target(">=", 0.4), True),
        (Target(">=", 0.5), True),
        (Target(">=", 0.6), False),
        (Target("<=", 0.4), False),
        (Target("<=", 0.5), True),
        (Target("<=", 0.6), True),
    ],
    ids=str,
)
def test_a_target_bounds_the_ratio_on_its_own_side(target: Target, ok: bool) -> None:
    """The bound itself is good enough; what lies beyond it is not."""
    assert ok == row(5, 10, target).ok


@pytest.mark.parametrize("bound", [">=", "<="])
@pytest.mark.parametrize(("value", "baseline"), [(5, 0), (math.nan, 10), (5, math.nan)])
def test_a_ratio_that_is_no_number_meets_no_target(
    bound: str, value: float, baseline: float
) -> None:
    """A peer that measured nothing, or a figure that is none, never counts as good."""
    target = Target(">=", 0) if bound == ">=" else Target("<=", 100)

    assert not row(value, baseline, target).ok


def test_a_row_without_a_target_decides_nothing() -> None:
    """It explains others; its target is null."""
    bare = Row("bench.figure", 5, "ms", 10, None)

    assert bare.ok
    assert bare.as_dict()["target"] is None


def test_a_row_is_plain_json() -> None:
    """All eight keys, the target as a person reads it, and null for what is no number."""
    told = row(5, 0, Target(">=", 0.25)).as_dict()

    expected = {
        "name": "bench.figure",
        "value": 5,
        "unit": "ms",
        "baseline": 0,
        "ratio": None,
        "target": ">= 0.25",
        "goal": None,
        "ok": False,
    }
    assert expected == json.loads(json.dumps(told, allow_nan=False))


def test_the_rate_is_that_behind_the_warm_up() -> None:
    """How long it took until the first tenth was through counts for nothing."""
    samples = [(0.0, 0), (50.0, 99), (60.0, 100), (60.5, 500), (61.0, 1000)]

    assert 900 == rate(samples, 1000)


def test_the_rate_is_one_of_records() -> None:
    """Offsets that commit markers take are none."""
    samples = [(0.0, 0), (1.0, 200), (2.0, 1200)]

    assert pytest.approx(1000 * 1000 / 1200) == rate(samples, 1000)
