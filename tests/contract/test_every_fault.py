"""Every system under every fault: once it clears, what the upstream ever showed is on raw."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from random import Random

import pytest

from services.poller.sources import sources
from testbed.faults import CATALOGUE, KINDS
from testbed.wire import without_bad_bytes
from tests.contract.plans import HEAD_ALONE, PLANS, Plan
from tests.contract.upstreams import Upstream, simulator_class, upstream

PASSES_QUIET = 2
MIXED_ROUNDS, MIXED_FAULTS = 3, 6
CHANGED = 8  # orders in each round, and as many new ones
EXTRA_SHARE_MAX = 0.01  # of what is read again unchanged
FIGURES = "versions/raw/repeated/set aside, re-read+written again, requests"
SLOWLY = {"name": "stall", "seconds": 0.03, "count": None}
Record = Callable[[str, object], None]

PAIRS = [
    pytest.param(source, plan, id=f"{source}-{plan}")
    for source in sorted(sources())
    for plan in PLANS
    if plan.fits(simulator_class(source))
]


@pytest.mark.parametrize(("source", "plan"), PAIRS)
async def test_what_was_ever_shown_is_on_raw_once_the_fault_is_over(
    source: str, plan: Plan, record_property: Record
) -> None:
    """No version is lost, none invented; only planted records are set aside, each once."""
    async with upstream(source, page_size_max=plan.page_size_max, **plan.settings) as tried:
        tried.write(plan.orders_of(by_parent=tried.by_parent), tied=plan.tied)
        tried.bench.start()
        await tried.converged("before the fault")
        await suffered(tried, plan)
        tried.simulator.faults.clear()
        await tried.converged("after the fault")
        tried.write(CHANGED, tied=plan.tied)
        await tried.converged("long after the fault")
        reread, extra = await quiet(tried, plan)
        record_property("figures", [FIGURES, source, str(plan), figures(tried, reread, extra)])
    assert extra <= EXTRA_SHARE_MAX * reread
    assert tried.observed.repeated == 0 or plan.lies
    assert set_aside(tried) == planted(tried)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("source", sorted(sources()))
async def test_many_faults_in_a_row_lose_nothing_either(
    source: str, seed: int, record_property: Record
) -> None:
    """Those that pass by themselves, in an order that a seed fixes, over rounds of changes."""
    chance = Random(seed)
    passing = [plan for plan in PLANS if plan.mixes and plan.fits(simulator_class(source))]
    async with upstream(source, request_timeout_seconds=0.5, **HEAD_ALONE) as tried:
        tried.bench.start()
        for _ in range(MIXED_ROUNDS):
            for plan in chance.sample(passing, MIXED_FAULTS):
                turns = {"skip": chance.randrange(3), "count": 1}
                tried.simulator.faults.add({"name": plan.fault, **plan.script, **turns})
            tried.write(CHANGED, tied=chance.random() < 0.5)
            await tried.converged(f"seed {seed}")
        tried.simulator.faults.clear()
        reread, extra = await quiet(tried, Plan(""))
        record_property(
            "figures", [FIGURES, source, f"mixed, seed {seed}", figures(tried, reread, extra)]
        )
    assert extra <= EXTRA_SHARE_MAX * reread
    assert tried.observed.repeated == 0
    assert set_aside(tried) <= planted(tried)  # some stood in an answer that never arrived


async def suffered(tried: Upstream, plan: Plan) -> None:
    """The fault strikes while records change."""
    if not plan.fault:
        return
    faults = tried.simulator.faults
    if plan.crash:
        faults.add(SLOWLY)
        tried.write(CHANGED, tied=plan.tied)
        await tried.bench.until(tried.in_mid_sweep, "some stream is in the middle of a sweep")
        faults.clear()
    faults.add({"name": plan.fault, **plan.script})
    if not (plan.rewrites or plan.crash):
        tried.write(CHANGED, tied=plan.tied)
    if KINDS[plan.fault].place != "clock":
        await tried.bench.until(lambda: faults.struck[plan.fault] >= plan.strikes, "it struck")
    if plan.stops:
        await stopped(tried, plan.stops)
    if plan.crash:
        await tried.crash()
    if not plan.lasts:
        await tried.converged("while the fault lasts")
        tried.write(CHANGED, tied=plan.tied)
        await tried.converged("while the fault lasts, changed again")


async def stopped(tried: Upstream, why: str) -> None:
    """Some stream has stopped and says why; none that has stopped says anything else."""
    streams = tried.bench.streams.values()
    await tried.bench.until(lambda: any(one.state == "stopped" for one in streams), "stopped")
    assert [why in one.reason for one in streams if one.state == "stopped"].count(False) == 0


async def quiet(tried: Upstream, plan: Plan) -> tuple[int, int]:
    """Nothing changes any more: how many records are read again, and written again all the same.

    With settle sweeps as many are read as there are; without, what the head overlaps by.
    """
    await tried.passed(1)  # what was under way may have been asked for before the last change
    raw, before = tried.observed.raw, tried.reread()
    await tried.passed(PASSES_QUIET)
    if plan.settles:
        there = len({upstream_id for _, upstream_id, _ in tried.written})
        await tried.bench.until(lambda: tried.reread() >= before + there, "all read again")
    tried.observed.take()
    return tried.reread() - before, tried.observed.raw - raw


def set_aside(tried: Upstream) -> set[str]:
    """The records in dead letters, as JSON; of one resource each is there once."""
    letters = [record for _, record in tried.bench.letters]
    found = Counter((one.key.split("/")[2], one.value) for one in letters)
    assert set(found.values()) <= {1}
    return {
        json.dumps(json.loads(without_bad_bytes(value or b"null")), sort_keys=True)
        for _, value in found
    }


def planted(tried: Upstream) -> set[str]:
    """The bad records there were."""
    return {json.dumps(one, sort_keys=True) for one in tried.simulator.planted}


def figures(tried: Upstream, reread: int, extra: int) -> str:
    """A cell of the report: see tests/conftest.py."""
    letters, asked = len(tried.bench.letters), len(tried.simulator.requests)
    observed = tried.observed
    written = f"{len(tried.written)}/{observed.raw}/{observed.repeated}/{letters}"
    return f"{written} {reread}+{extra} {asked}"


def test_every_fault_of_the_catalogue_is_tried() -> None:
    """A new entry without a plan is noticed, and so is a plan of a fault that is gone."""
    # Faults of writing strike nobody who only reads.
    read = {kind.name for kind in CATALOGUE if kind.place != "write"}
    assert read == {plan.fault for plan in PLANS} - {""}
