"""Several simulators behind one address."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from testbed.http import Request
from testbed.simulators import fulfilled_from, playing, simulators
from testbed.upstreams import FOR_PEOPLE, Upstreams, seed_of
from testbed.world import World

START = datetime(2020, 1, 1, tzinfo=UTC)  # long ago: these worlds have ended


@pytest.fixture
def upstreams() -> Upstreams:
    """Every system there is, each with three orders."""
    worlds = {
        source: World(seed_of(7, source), start=START, orders=3, source=source)
        for source in simulators()
    }
    return Upstreams(playing(worlds, token="t", requests_per_second=100, page_size_max=10))


def asked(upstreams: Upstreams, method: str, target: str, body: Any = None) -> Any:
    """Status and JSON of an answer."""
    answer = upstreams.handle(Request(method, target, {}, json.dumps(body).encode()))
    return answer.status, json.loads(answer.body)


def test_the_truths_of_all_worlds_are_joined(upstreams: Upstreams) -> None:
    """Each order says of which system it is."""
    _, world = asked(upstreams, "GET", "/control/world")

    assert world["finished"]
    assert list(simulators()) == list(world["systems"])
    assert [source for source in simulators() for _ in range(3)] == [
        order["source"] for order in world["truth"]["orders"]
    ]


def test_a_request_goes_to_the_system_whose_path_it_has(upstreams: Upstreams) -> None:
    """Each logs its own requests, and none another's."""
    _, world = asked(upstreams, "GET", "/control/world")
    for about in world["systems"].values():
        upstreams.handle(Request("GET", f"{about['base_path']}/nothing", {}))

    for source, about in world["systems"].items():
        _, requests = asked(upstreams, "GET", f"/control/{source}/requests")
        assert [f"{about['base_path']}/nothing"] == [one["path"] for one in requests]


def test_what_nobody_answers_to_is_not_found(upstreams: Upstreams) -> None:
    """Neither a path nor the control of a system there is not."""
    assert 404 == asked(upstreams, "GET", "/elsewhere")[0]
    assert 404 == asked(upstreams, "GET", "/control/nobody/requests")[0]


def test_a_fault_strikes_the_system_it_was_meant_for_and_is_counted(upstreams: Upstreams) -> None:
    """The next request of that system meets it; the others go on."""
    _, world = asked(upstreams, "GET", "/control/world")
    struck, *others = world["systems"]
    status, _ = asked(upstreams, "POST", f"/control/{struck}/faults", {"name": "server_error"})
    answers = {
        source: upstreams.handle(Request("GET", f"{about['base_path']}/nothing", {})).body
        for source, about in world["systems"].items()
    }
    _, after = asked(upstreams, "GET", "/control/world")

    assert 200 == status
    assert b"scripted fault" in answers[struck]
    assert not any(b"scripted fault" in answers[source] for source in others)
    assert {"server_error": 1} == after["systems"][struck]["struck"]
    assert all(after["systems"][source]["struck"] == {} for source in others)


def test_only_faults_that_pass_are_offered(upstreams: Upstreams) -> None:
    """Of the wire and of records for all, of a listing for who can carry it out."""
    _, world = asked(upstreams, "GET", "/control/world")

    for about in world["systems"].values():
        assert {"status", "late_write", "bad_record"} <= set(about["faults"])
        assert "clock_skew" not in about["faults"]


def test_faults_of_writing_are_for_who_sells_for_another(upstreams: Upstreams) -> None:
    """Nobody else is written to; what was written there is told."""
    _, world = asked(upstreams, "GET", "/control/world")
    offered = [name for name, one in world["systems"].items() if "late_commit" in one["faults"]]

    assert list(fulfilled_from()) == offered == list(world["written"])
    assert all(
        FOR_PEOPLE.isdisjoint(one["faults"]) == (name in offered)
        for name, one in world["systems"].items()
    )
    for target, shipper in fulfilled_from().items():
        numbers = {one["id"] for one in world["truth"]["orders"] if one["source"] == shipper}
        assert shipper == world["written"][target]["shipped_by"]
        assert numbers == {one["upstreamId"] for one in world["written"][target]["orders"]}


def test_no_two_systems_live_through_the_same_world() -> None:
    """The seed of each is its own, and the same every time."""
    seeds = {source: seed_of(7, source) for source in simulators()}

    assert len(seeds) == len(set(seeds.values()))
    assert seeds == {source: seed_of(7, source) for source in simulators()}
