"""A system is four files of one name: source, mapper, simulator, system test."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = "services/poller/sources/*.py"
OTHERS = {
    "services/normalizer/mappers/*.py": "",
    "testbed/simulators/*.py": "",
    "tests/systems/test_*.py": "test_",
}
# No system: a simulator that only misbehaves, and what tests/systems claims of all of them at once.
EXTRA_NAMES = {
    "hostile",
    "upstream_answers",
    "upstream_check",
    "upstream_limits",
    "upstream_loop",
    "upstream_parents",
    "hostile_receivers",
    "webhook",
    "webhook_bodies",
    "webhook_secrets",
}


def names(pattern: str, prefix: str = "") -> set[str]:
    """The systems that have a file in this folder."""
    stems = {path.stem.removeprefix(prefix) for path in ROOT.glob(pattern)}
    return {stem for stem in stems if not stem.startswith("__")} - EXTRA_NAMES


@pytest.mark.parametrize(("pattern", "prefix"), OTHERS.items())
def test_every_folder_holds_the_same_systems(pattern: str, prefix: str) -> None:
    """The folder names the systems that have a source, no more and no fewer."""
    assert names(pattern, prefix) == names(SOURCES)


def test_there_is_a_system_at_all() -> None:
    """The patterns still find the folders."""
    assert "zentail" in names(SOURCES)
