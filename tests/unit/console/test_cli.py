"""The command line as a whole: what it lists, and what it imports for that."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import console.commands
from console.cli import COMMANDS, app

HEAVY = ("aiokafka", "faststream", "fastapi", "starlette", "structlog", "pydantic", "services")


def test_help_imports_no_command() -> None:
    """`shipfeed --help` lists the commands without importing what they work with."""
    script = f"""
import sys
from console.cli import app
try:
    app(["--help"])
finally:
    print("imported:", [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.stderr.strip() == "imported: []"
    assert all(name in done.stdout for name in COMMANDS)


def test_every_command_is_listed() -> None:
    """A module of console.commands is a command, and the other way round."""
    folder = Path(console.commands.__path__[0])
    found = {path.stem for path in folder.glob("*.py")} - {"__init__", "options"}
    assert {name.replace("-", "_") for name in COMMANDS} == found


@pytest.mark.parametrize("name", COMMANDS)
def test_list_says_what_the_command_says(name: str) -> None:
    """The line in the list is the first sentence of the command's own help."""
    module = import_module(f"console.commands.{name.replace('-', '_')}")
    own = module.app.info.help if hasattr(module, "app") else module.run.__doc__
    assert isinstance(getattr(module, "app", typer.Typer()), typer.Typer)
    assert " ".join(own.split("\n\n")[0].split()) == COMMANDS[name]
    assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_no_help_text_loses_a_word(name: str) -> None:
    """What stands in brackets would be taken for markup and not be shown."""
    group: Any = typer.main.get_command(app)
    command = group.get_command(None, name)
    verbs = [command, *getattr(command, "commands", {}).values()]
    helps = [getattr(param, "help", None) for verb in verbs for param in verb.params]
    assert [one for one in helps if one and "[" in one] == []


def test_unknown_command_is_refused() -> None:
    """A name that is no command is wrong use, and the nearest one is named."""
    done = CliRunner().invoke(app, ["topic"])
    assert done.exit_code == 2
    assert "'topic'" in done.output
    assert "'topics'" in done.output


def test_unreachable_broker_ends_in_one_line() -> None:
    """A broker that does not answer is named by its address, without a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "console.cli", "topics", "--kafka", "127.0.0.1:1"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("shipfeed: no Kafka answers at 127.0.0.1:1: check")
    assert len(done.stderr.splitlines()) == 1
