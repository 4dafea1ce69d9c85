"""docker-compose.yml on a Docker engine: idle without accounts, and the demo's audit.

Skipped where there is no engine, compose or image to build from, and says which.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.embedded import BROKER_SETTINGS

ROOT = Path(__file__).parents[2]
IMAGES = ("python:3.11-slim", "apache/kafka:4.3.0")
SERVICES = ("poller", "normalizer", "notifier")
ADVISERS = 2  # poller and notifier
BUILD_SECONDS_MAX = 300
UP_SECONDS_MAX = 150
ASK_SECONDS_MAX = 60


def run(*command: str, seconds: float = ASK_SECONDS_MAX) -> subprocess.CompletedProcess[str]:
    """A command's outcome, in the root of the checkout; both streams in `stdout`."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "COMPOSE_PROJECT_NAME": "shipfeed-test", "SHIPFEED_CONFIG": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )


def obstacle() -> str | None:
    """Why compose is not tried here."""
    if os.environ.get("SHIPFEED_TEST_COMPOSE") != "1":
        return "it builds images and takes minutes: set SHIPFEED_TEST_COMPOSE=1"
    if shutil.which("docker") is None:
        return "there is no docker command"
    if run("docker", "info").returncode != 0:
        return "no Docker engine answers `docker info`"
    if run("docker", "compose", "version").returncode != 0:
        return "docker has no compose plugin"
    for image in IMAGES:
        known = run("docker", "image", "inspect", image).returncode == 0
        if not known and run("docker", "pull", "--quiet", image, seconds=300).returncode != 0:
            return f"the image {image} is neither here nor to be pulled"
    return None


@pytest.fixture(scope="module")
def project() -> Iterator[None]:
    """The image built, no container or volume left of an earlier run, and none left behind."""
    reason = obstacle()
    if reason is not None:
        pytest.skip(reason)
    built = run("docker", "compose", "build", seconds=BUILD_SECONDS_MAX)
    assert built.returncode == 0, built.stdout
    down()
    yield
    down()


def down() -> None:
    """Containers, volumes and network of the project removed."""
    run("docker", "compose", "--profile", "demo", "down", "--volumes", seconds=120)


def test_the_broker_has_the_settings_of_the_embedded_one() -> None:
    """Compose says of Kafka what `bus.embedded` says, setting by setting."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    told = dict(re.findall(r'^ {2}KAFKA_([A-Z_]+): "?([^"\n]+)"?$', text, re.MULTILINE))

    found = {name: told.get(name.upper().replace(".", "_")) for name in BROKER_SETTINGS}
    assert dict(BROKER_SETTINGS) == found


@pytest.mark.slow
@pytest.mark.timeout(BUILD_SECONDS_MAX + UP_SECONDS_MAX + 3 * ASK_SECONDS_MAX)
def test_without_accounts_all_services_idle_healthy_and_say_what_to_add(project: None) -> None:
    """`docker compose up` as it comes out of the box."""
    up = run("docker", "compose", "up", "--wait", seconds=UP_SECONDS_MAX)
    listed = run("docker", "compose", "ps", "--format", "json")
    logs = run("docker", "compose", "logs", *SERVICES)
    deadline = time.monotonic() + ASK_SECONDS_MAX
    # A service is healthy while it still joins its group, after which it says what is missing.
    while logs.stdout.count('"advice"') < ADVISERS and time.monotonic() < deadline:
        logs = run("docker", "compose", "logs", *SERVICES)
    user = run("docker", "compose", "exec", "-T", "poller", "id", "-u")

    assert up.returncode == 0, up.stdout + logs.stdout
    states = {one["Service"]: one["Health"] for one in map(json.loads, listed.stdout.splitlines())}
    assert dict.fromkeys(("kafka", *SERVICES), "healthy") == states
    assert "add an [[accounts]] table" in logs.stdout
    assert "add a [[subscriptions]] table" in logs.stdout
    assert user.stdout.strip() != "0"


@pytest.mark.slow
@pytest.mark.timeout(BUILD_SECONDS_MAX + UP_SECONDS_MAX + 3 * ASK_SECONDS_MAX)
def test_the_demo_ends_with_a_clean_audit(project: None) -> None:
    """The simulated world reaches the receiver: 0 missing / 0 duplicate / 0 wrong, exit 0."""
    command = ("docker", "compose", "--profile", "demo", "up", "--exit-code-from", "audit")
    up = run(*command, seconds=UP_SECONDS_MAX)

    assert up.returncode == 0, up.stdout[-20_000:]
    assert "0 missing / 0 duplicate / 0 wrong" in up.stdout
