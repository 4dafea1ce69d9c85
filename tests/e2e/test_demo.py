"""The whole house, killed while it works: nothing lost, nothing doubled, nothing wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.simulators import fulfilled_from, simulators
from tests.e2e.running import shipfeed

SECONDS_MAX = 270.0
FIGURES = (
    "shipped_in_world",
    "shipped_events",
    "missing",
    "duplicate",
    "wrong",
    "may_shipped",
    "delivered",
    "redelivered",
    "verified",
    "written",
    "held",
    "faults",
    "kills",
    "seconds",
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("arguments", "kills", "faults"),
    [
        (("--seed", "11", "--kills", "2", "--faults"), 6, True),
        (("--seed", "12", "--kills", "1", "--copies", "2", "--restart-broker"), 3, False),
    ],
    ids=["killed-and-faults", "killed-two-copies-broker-restarted"],
)
async def test_a_harmed_house_loses_doubles_and_invents_nothing(
    arguments: tuple[str, ...], kills: int, tmp_path: Path, *, faults: bool
) -> None:
    """Real processes, harm when the seed says so; every system has every figure in the report."""
    play = ("--orders", "17", "--duration", "12", "--deadline", "200", "--quiet", "--keep", "house")
    ended = await shipfeed(
        *("demo", *arguments, *play, "--report", "out.json"), folder=tmp_path, seconds=SECONDS_MAX
    )

    assert (0, "") == (ended.code, ended.err), ended.out
    report = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert set(simulators()) == set(report["by_source"])
    for found in (report, *report["by_source"].values()):
        assert set(FIGURES) <= set(found)
        assert (0, 0, 0) == (found["missing"], found["duplicate"], found["wrong"])
        assert found["shipped_in_world"] > 20
        assert kills == found["kills"]
        assert faults == (found["faults"] > 0)
    assert report["by_type"]["package.shipped"] == report["shipped_events"]
    assert sum(report["by_type"].values()) == report["delivered"]
    assert set(fulfilled_from()) == {
        name for name, found in report["by_source"].items() if found["written"]
    }
    assert 0 == report["held"]
    assert "0 missing / 0 duplicate / 0 wrong" in ended.out
