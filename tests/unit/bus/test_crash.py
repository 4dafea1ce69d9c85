"""Where a process dies when it is told to."""

from __future__ import annotations

from bus.crash import CrashPoint


def test_it_dies_at_the_point_named_and_at_no_other() -> None:
    """At the first time, unless another is named; without the variable never."""
    once, third = (CrashPoint({"SHIPFEED_CRASH_AT": text}) for text in ("a.b", "a.b:3"))
    never = CrashPoint({})

    assert [once.reached(name) for name in ("a", "a.b.c", "", "a.b")] == [False, False, False, True]
    assert [third.reached("a.b") for _ in range(4)] == [False, False, True, False]
    assert not any(never.reached(name) for name in ("", "a.b"))
