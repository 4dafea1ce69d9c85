"""The whole house, killed while it works: nothing lost, nothing doubled, nothing wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.running import shipfeed

SECONDS_MAX = 170.0
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
    "kills",
    "seconds",
)


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("arguments", "kills"),
    [
        (("--seed", "11", "--kills", "2"), 6),
        (("--seed", "12", "--kills", "1", "--copies", "2", "--restart-broker"), 3),
    ],
    ids=["killed", "killed-two-copies-broker-restarted"],
)
async def test_a_killed_house_loses_doubles_and_invents_nothing(
    arguments: tuple[str, ...], kills: int, tmp_path: Path
) -> None:
    """Real processes, SIGKILL at moments the seed chooses; the report has every figure."""
    play = ("--orders", "40", "--duration", "14", "--deadline", "100", "--quiet", "--keep", "house")
    ended = await shipfeed(
        *("demo", *arguments, *play, "--report", "out.json"), folder=tmp_path, seconds=SECONDS_MAX
    )

    assert (0, "") == (ended.code, ended.err), ended.out
    report = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert (0, 0, 0) == (report["missing"], report["duplicate"], report["wrong"])
    assert report["shipped_in_world"] > 50
    assert kills == report["kills"]
    assert set(FIGURES) <= set(report)
    assert set(FIGURES) <= set(report["by_source"]["zentail"])
    assert "0 missing / 0 duplicate / 0 wrong" in ended.out
