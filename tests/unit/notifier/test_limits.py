"""Limits of one endpoint, by virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.limits import BURST_SECONDS, Bucket, share_of

RATES = st.floats(0.01, 1000)


def granted(bucket: Bucket, at: float) -> int:
    """Take all there is."""
    count = 0
    while not bucket.wait_seconds(at):
        bucket.take()
        count += 1
    return count


def test_a_seconds_worth_goes_at_once_then_the_rate_holds() -> None:
    """Idling saves up no more than that."""
    bucket = Bucket(10.0, 0.0)

    assert granted(bucket, 0.0) == 10
    assert bucket.wait_seconds(0.0) == pytest.approx(0.1)
    assert granted(bucket, 0.55) == 5
    assert granted(bucket, 3600.0) == 10


def test_a_rate_below_one_a_second_lets_one_go_then_none_for_long() -> None:
    """One try a minute is one, then a minute of none."""
    bucket = Bucket(1 / 60, 0.0)

    assert granted(bucket, 0.0) == 1
    assert granted(bucket, 59.0) == 0
    assert granted(bucket, 60.001) == 1


def test_a_changed_rate_holds_from_then_on() -> None:
    """What was earned before was earned at the old one, and is kept within the new burst."""
    bucket = Bucket(10.0, 0.0)
    granted(bucket, 0.0)
    bucket.change(2.0, 0.35)

    assert granted(bucket, 0.35) == 2
    assert bucket.wait_seconds(0.35) == pytest.approx(0.5)


@given(RATES, st.lists(st.floats(0, 10), max_size=50))
def test_in_any_stretch_no_more_goes_than_the_rate_and_one_burst(
    rate: float, pauses: list[float]
) -> None:
    """Whenever it is asked, and however often."""
    bucket, at, count = Bucket(rate, 0.0), 0.0, 0
    for pause in pauses:
        at += pause
        count += granted(bucket, at)

    assert count <= max(1.0, rate * BURST_SECONDS) + rate * at + 1e-6


@given(RATES, st.integers(1, 40))
def test_who_waits_as_long_as_it_is_told_gets_a_token(rate: float, count: int) -> None:
    """So nobody is told a time at which there is nothing."""
    bucket, at = Bucket(rate, 0.0), 0.0
    for _ in range(count):
        at += bucket.wait_seconds(at)
        assert bucket.wait_seconds(at) == pytest.approx(0, abs=1e-6)
        bucket.take()


@given(st.integers(1, 200), st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_shares_of_all_copies_are_no_more_than_the_limit_and_none_is_shut_out(
    limit: int, owned: list[int]
) -> None:
    """Each copy has at least one, which can be more than the limit only where copies are more."""
    partitions = sum(owned)
    shares = [share_of(limit, count, partitions) for count in owned]

    assert min(shares) >= 1
    assert sum(shares) <= max(limit, 0) + len(owned)
    assert share_of(limit, partitions, partitions) == limit
