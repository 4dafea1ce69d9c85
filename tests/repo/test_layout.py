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
TARGETS = "services/notifier/targets/*.py"  # systems that are written to
TARGET_TESTS = "tests/systems/test_*_target*.py"
# No system: a simulator that only misbehaves, and what tests/systems claims of all of them at once.
EXTRA_NAMES = {
    "hostile",
    "upstream_answers",
    "upstream_check",
    "upstream_limits",
    "upstream_loop",
    "upstream_parents",
    "upstream_passes",
    "hostile_receivers",
    "hostile_targets",
    "webhook",
    "webhook_bodies",
    "webhook_secrets",
}


def _tests_of_targets() -> set[Path]:
    return {one for one in ROOT.glob(TARGET_TESTS) if one.stem != "test_hostile_targets"}


def names(pattern: str, prefix: str = "") -> set[str]:
    """The systems that have a file in this folder."""
    paths = {*ROOT.glob(pattern)} - _tests_of_targets()
    stems = {path.stem.removeprefix(prefix) for path in paths}
    return {stem for stem in stems if not stem.startswith("__")} - EXTRA_NAMES


@pytest.mark.parametrize(("pattern", "prefix"), OTHERS.items())
def test_every_folder_holds_the_same_systems(pattern: str, prefix: str) -> None:
    """The folder names the systems that have a source, no more and no fewer."""
    assert names(pattern, prefix) == names(SOURCES)


def test_every_target_has_a_test_of_what_is_written_there() -> None:
    """One file each, the module and what is claimed of it."""
    tested = {path.stem[len("test_") : path.stem.rindex("_target")] for path in _tests_of_targets()}

    assert tested == names(TARGETS)


def test_there_is_a_system_at_all() -> None:
    """The patterns still find the folders."""
    assert "zentail" in names(SOURCES)
