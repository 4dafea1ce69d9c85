"""Everything that will happen in a world, computed up front from its seed.

Each order follows a story dealt from a shuffled deck, so that no kind of mutation depends on
luck. What a package may go through is told in testbed/stories.py; this file interleaves the
steps and gives them their instants.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

from testbed.orders import Order
from testbed.stories import STORIES, Step, tell

FIRST_ORDER_NUMBER = 10_000_412
# Shares of the world's duration.
PLACING_ENDS_SHARE = 0.5
CHANGES_END_SHARE = 0.97
BULK_TOUCH_SHARES = (0.62, 0.86)
# Chances that a step falls on a common instant, or follows its predecessor at once.
COMMON_INSTANT_CHANCE = 0.3
AT_ONCE_CHANCE = 0.15
COMMON_INSTANTS = 25
AT_ONCE_MS = 3
RETURN_CHANCE = 0.5


@dataclass(frozen=True)
class Moment:
    """One mutation: what happened and the order's state from `order.updated_at` on."""

    kind: str
    order: Order


def timeline(
    seed: int,
    *,
    orders: int,
    duration_seconds: float,
    start: datetime,
    package_ids: bool,
    source: str,
) -> list[Moment]:
    """All mutations in the order they happen; the same arguments give the same list."""
    rng = Random(seed)
    deck = [
        story
        for story in STORIES
        if (package_ids or not story.needs_package_ids)
        and (source in story.sources or not story.sources)
    ]
    names = [deck[index % len(deck)].name for index in range(orders)]
    rng.shuffle(names)
    duration_ms = max(1, round(duration_seconds * 1000))
    moments: list[Moment] = []
    for index, name in enumerate(names):
        number = FIRST_ORDER_NUMBER + index
        own = Random(f"{seed}/{number}")
        moments += _one_order(own, number, name, start, duration_ms)
    return sorted(moments, key=lambda moment: (moment.order.updated_at, moment.order.number))


def _one_order(
    rng: Random, number: int, story: str, start: datetime, duration_ms: int
) -> list[Moment]:
    placed_ms = _instants(rng, 1, 0, round(duration_ms * PLACING_ENDS_SHARE), duration_ms)[0]
    placed_at = start + timedelta(milliseconds=placed_ms)
    lines, threads = tell(rng, number, story)
    order = Order(number, placed_at, placed_at, "placed", lines)
    steps_max = sum(map(len, threads)) + 2
    last_ms = round(duration_ms * CHANGES_END_SHARE)
    instants = [
        start + timedelta(milliseconds=instant)
        for instant in _instants(rng, steps_max, placed_ms + 1, last_ms, duration_ms)
    ]
    moments = [Moment("placed", order)]
    while (step := _next_step(rng, threads)) is not None:
        moments.append(_apply(step, moments[-1].order, instants.pop(0)))
    if moments[-1].order.status == "shipped" and rng.random() < RETURN_CHANCE:
        for step in _RETURN:
            moments.append(_apply(step, moments[-1].order, instants.pop(0)))
    bulk = [start + timedelta(milliseconds=round(duration_ms * s)) for s in BULK_TOUCH_SHARES]
    return _with_touches(moments, bulk)


def _apply(step: Step, order: Order, at: datetime) -> Moment:
    return Moment(step.kind, replace(step.act(order, at), updated_at=at))


_RETURN = (
    Step("return_requested", lambda order, _at: replace(order, status="return_requested")),
    Step("refunded", lambda order, _at: replace(order, status="refunded")),
)


def _instants(rng: Random, count: int, first_ms: int, last_ms: int, duration_ms: int) -> list[int]:
    """Ascending instants in ms, some on a grid all orders share, some hard on another's heels."""
    grid_ms = max(1, duration_ms // COMMON_INSTANTS)
    latest_ms = first_ms
    instants = []
    for drawn_ms in sorted(rng.randint(first_ms, last_ms) for _ in range(count)):
        chance = rng.random()
        if chance < COMMON_INSTANT_CHANCE:
            chosen_ms = drawn_ms // grid_ms * grid_ms
        elif chance < COMMON_INSTANT_CHANCE + AT_ONCE_CHANCE:
            chosen_ms = latest_ms + AT_ONCE_MS
        else:
            chosen_ms = drawn_ms
        latest_ms = max(latest_ms, min(chosen_ms, last_ms))
        instants.append(latest_ms)
    return instants


def _next_step(rng: Random, threads: list[list[Step]]) -> Step | None:
    """Take the next step of a random thread; the last thread waits for steps that need it open.

    The last package has not appeared then, so the order cannot have shipped whole.
    """
    needs_open = any(step.while_open for thread in threads for step in thread)
    waiting = [thread for thread in (threads[:-1] if needs_open else threads) if thread]
    return rng.choice(waiting).pop(0) if waiting else None


def _with_touches(moments: list[Moment], instants: list[datetime]) -> list[Moment]:
    """Add mutations that only move `updated_at`, at instants shared by all orders."""
    touched = list(moments)
    for at in instants:
        before = [moment for moment in touched if moment.order.updated_at <= at]
        if before:
            state = replace(before[-1].order, updated_at=at)
            touched.insert(len(before), Moment("touched", state))
    return touched
