"""The walk-through of docs/adding-a-system.md carried out: four files added, none edited."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from bus.settings import KafkaSettings
from schemas.message import iso
from schemas.topics import EVENTS
from tests.broker.reading import records
from tests.e2e.running import ROOT, running, shipfeed

EXAMPLE = ROOT / "examples" / "adding_a_system"
ROOMS = ("schemas", "bus", "services", "console", "testbed")
TESTS = (
    "tests/systems/test_acme_parcels.py",
    "tests/repo/test_layout.py",
    "tests/contract/test_late_corrections.py",
)
TOKEN = "acme-token-1"
ASK_SECONDS_MAX = 120.0
CONFIG = """\
[kafka]
bootstrap_servers = "{kafka}"
prefix = "{prefix}"
session_timeout_ms = 1500
transaction_timeout_ms = 3000

[[accounts]]
source = "acme_parcels"
name = "acme"
base_url = "{simulator}"
token = "env:ACME_TOKEN"
start_from = "{start_from}"
poll_interval_seconds = 0.5
poll_interval_seconds_max = 0.5
settle_interval_seconds = 2
"""
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this checkout with the example's four files added."""
    folder = tmp_path / "checkout"
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(listed, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    for name in filter(None, names.decode().split("\0")):
        if (ROOT / name).is_file() and not (ROOT / name).is_relative_to(EXAMPLE):
            _copy(ROOT / name, folder / name)
    added = sorted(path for path in EXAMPLE.rglob("*.py") if "__pycache__" not in path.parts)
    assert 4 == len(added)
    for path in added:
        target = folder / path.relative_to(EXAMPLE)
        assert not target.exists(), f"{target} would be edited, not added"
        _copy(path, target)
    return folder


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def inside(checkout: Path) -> dict[str, str]:
    """What makes our interpreter run the copy's code, whatever is installed beside it."""
    return {"PYTHONPATH": str(checkout), "ACME_TOKEN": TOKEN, "PYTHONDONTWRITEBYTECODE": "1"}


async def output(checkout: Path, *arguments: str) -> str:
    """What `python ARGUMENTS` prints in the copy; it must end well."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=checkout,
        env={**inside(checkout), "PATH": str(Path(sys.executable).parent)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(ASK_SECONDS_MAX):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert 0 == process.returncode, out.decode()
    return out.decode()


async def test_the_sixth_system_keeps_every_rule_of_the_repository(checkout: Path) -> None:
    """Its own claims, those of every system, layout and import contracts, by the copy's code."""
    where = f"import {', '.join(ROOMS)}; print({', '.join(f'{room}.__file__' for room in ROOMS)})"
    files = (await output(checkout, "-c", where)).split()
    linted = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"
    quiet = ("-q", "-p", "no:cacheprovider", "-n", "0", "-k", "not corrected or acme_parcels")

    tested, contracts = await asyncio.gather(
        output(checkout, "-m", "pytest", *quiet, *TESTS), output(checkout, "-c", linted)
    )

    assert [str(checkout / room / "__init__.py") for room in ROOMS] == files
    assert " passed" in tested
    assert ", 0 broken" in contracts


async def test_the_sixth_system_ships_packages_end_to_end(
    checkout: Path, kafka: str, prefix: str
) -> None:
    """Simulator, poller, normalizer: each package shipped in its world is told, once."""
    extra, settings = inside(checkout), KafkaSettings(bootstrap_servers=kafka, prefix=prefix)
    world = ("--source", "acme_parcels", "--orders", "12", "--duration", "3", "--token", TOKEN)
    play = ("testbed.simulators", *world, "--page-size-max", "7")
    async with running(*play, folder=checkout, extra=extra) as simulator:
        assert simulator.stdout is not None
        url = json.loads(await simulator.stdout.readline())["base_url"]
        start_from = iso(datetime.now(UTC) - timedelta(hours=1))
        text = CONFIG.format(kafka=kafka, prefix=prefix, simulator=url, start_from=start_from)
        (checkout / "shipfeed.toml").write_text(text, encoding="utf-8")
        async with running("console.cli", "up", "--json", folder=checkout, extra=extra) as up:
            truth = await shipped_in_world(url)
            shown = await shipped_as_shown(checkout, extra, truth)
        events = await records(settings, EVENTS)
        assert 0 == up.returncode

    told = [one for one in events if dict(one.headers)["ce_type"] == b"package.shipped"]
    ids = Counter(dict(one.headers)["ce_id"] for one in told)
    assert truth == shown
    assert truth.total() > 10
    assert truth.total() <= len(told) == len(ids)


async def shipped_in_world(url: str) -> Counter[tuple[str, str]]:
    """Order and tracking number of each package that has left, once the world has ended."""
    control = str(httpx2.URL(url).join("/control/world"))
    async with httpx2.AsyncClient(trust_env=False) as client, asyncio.timeout(ASK_SECONDS_MAX):
        while not (world := (await client.get(control)).json())["finished"]:
            await asyncio.sleep(0.2)
    packages = [
        (order["id"], package["states"][-1])
        for order in world["truth"]["orders"]
        for package in order["packages"]
        if package["live"]
    ]
    return Counter((order, last["tracking"] or "") for order, last in packages if last["shipped"])


async def shipped_as_shown(
    checkout: Path, extra: Mapping[str, str], wanted: Counter[tuple[str, str]]
) -> Counter[tuple[str, str]]:
    """The same as `shipfeed packages` shows it: as wanted, or what it is at the deadline."""
    shown: Counter[tuple[str, str]] = Counter()
    ask = ("packages", "--json", "--count", "1000")
    deadline = asyncio.get_running_loop().time() + ASK_SECONDS_MAX
    while shown != wanted and asyncio.get_running_loop().time() < deadline:
        ended = await shipfeed(*ask, folder=checkout, seconds=ASK_SECONDS_MAX, extra=extra)
        rows = [json.loads(line) for line in ended.out.splitlines()]
        shown = Counter(
            (row["orders"], row["tracking"]) for row in rows if row["status"] == "shipped"
        )
    return shown
