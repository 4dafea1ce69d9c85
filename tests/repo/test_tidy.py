"""The repository keeps its own rules, and the rules can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.repo import rules

ROOT = Path(__file__).parents[2]
PRODUCTION = ("schemas", "bus", "services", "console")
CODE = (*PRODUCTION, "testbed", "tests", "benchmarks", "examples")
CLOCK = ROOT / "bus" / "clock.py"
TEXT_SUFFIXES = {".py", ".toml", ".md", ".lock", ".yml", ".yaml", ".json", ".txt", ".cfg", ""}
SKIPPED_FOLDERS = {"__pycache__", "node_modules", "build", "dist"}
TEXT_BYTES_MAX = 1_000_000


def modules(*folders: str) -> list[Path]:
    """Every Python file below these folders of the checkout."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def texts() -> list[Path]:
    """Every text file of the checkout, hidden folders but `.ci` left out, and git's own."""
    found = [path for path in ROOT.iterdir() if path.name != ".git"]  # a file in a worktree
    paths = [path for path in found if path.is_file() or _is_ours(path)]
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*"))]
    return sorted(
        file
        for file in files
        if file.is_file()
        and file.suffix in TEXT_SUFFIXES
        and not SKIPPED_FOLDERS & set(file.parts)
        and file.stat().st_size <= TEXT_BYTES_MAX
    )


def _is_ours(folder: Path) -> bool:
    return folder.name == ".ci" or not folder.name.startswith(".")


def complaints(rule: rules.Rule, paths: list[Path]) -> list[str]:
    """What the rule says of these files, each with its file."""
    return [
        f"{path.relative_to(ROOT)}: {complaint}"
        for path in paths
        for complaint in rule(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(
    ("rule", "folders"),
    [
        (rules.sizes, CODE),
        (rules.docstring, CODE),
        (rules.mocks, ("tests", "examples")),
        (rules.claims, ("tests", "examples")),
        (rules.sleeps, ("tests/unit",)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_module_keeps_the_rule(rule: rules.Rule, folders: tuple[str, ...]) -> None:
    """No module of these folders breaks the rule."""
    assert complaints(rule, modules(*folders)) == []


def test_only_the_clock_asks_the_machine_for_time_and_chance() -> None:
    """Production code takes time and chance as arguments, `bus/clock.py` apart."""
    paths = [path for path in modules(*PRODUCTION) if path != CLOCK]

    assert complaints(rules.clocks, paths) == []


def test_no_file_holds_a_forbidden_word() -> None:
    """No text of the checkout has leftover notes, registry hosts or paths of a workbench."""
    assert complaints(rules.words, texts()) == []


PLANTED = [
    (rules.words, "x = 1  # " + "TO" + "DO later\n"),
    (rules.words, "url = 'files." + "pythonhosted" + ".org'\n"),
    (rules.sizes, "def f():\n" + "    x = 1\n" * rules.FUNCTION_LINES_MAX),
    (rules.docstring, "x = 1\n"),
    (rules.clocks, "import time\n"),
    (rules.clocks, "from random import choice\n"),
    (rules.clocks, "import datetime\nx = datetime.datetime.now()\n"),
    (rules.mocks, "from unittest import mock\n"),
    (rules.mocks, "def test_x(monkeypatch):\n    monkeypatch.setattr(a, 'b', 1)\n"),
    (rules.sleeps, "async def f():\n    await asyncio.sleep(0.1)\n"),
    (rules.claims, "def test_x():\n    assert f()\n"),
]


@pytest.mark.parametrize(("rule", "text"), PLANTED)
def test_a_planted_breach_is_seen(rule: rules.Rule, text: str) -> None:
    """Each rule complains of the breach it is for."""
    assert rule(text)


def test_a_tidy_module_is_left_alone() -> None:
    """No rule complains of a module that keeps them all."""
    tidy = '"""Words."""\n\n\nasync def test_x(clock):\n    """It waits."""\n    clock.now()\n'
    every_rule = {rule for rule, _ in PLANTED}

    assert [complaint for rule in every_rule for complaint in rule(tidy)] == []
