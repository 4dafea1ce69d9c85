"""The Kafka every test of the broker runs on, and a namespace in it for each test.

`SHIPFEED_TEST_KAFKA` chooses it: unset or `embedded`, `testcontainers`, or `HOST:PORT` of one that
runs, whose brokers should have the settings of `bus.embedded.BROKER_SETTINGS`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from bus.embedded import EmbeddedKafka
from tests.shared_kafka import Leftovers, SharedKafka, address_in

SHARED = pytest.StashKey[SharedKafka]()


def pytest_configure(config: pytest.Config) -> None:
    """Start one broker for all workers, in the controller of a parallel run."""
    controls = getattr(config.option, "dist", "no") != "no" and not hasattr(config, "workerinput")
    if controls and not config.option.collectonly and _choice() == "embedded":
        config.stash[SHARED] = SharedKafka()
        config.stash[SHARED].start()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End it after the last worker."""
    if (shared := config.stash.get(SHARED, None)) is not None:
        shared.stop()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of a parallel run where the shared broker's address will stand."""
    if (shared := node.config.stash.get(SHARED, None)) is not None:
        node.workerinput["shared_kafka"] = str(shared.folder)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded as `figures`, [title, column, row, cell] each, in tables."""
    tables: dict[str, dict[str, dict[str, str]]] = {}
    for report in terminalreporter.getreports(""):
        for name, value in getattr(report, "user_properties", ()):
            if name == "figures":
                title, column, row, cell = value
                tables.setdefault(title, {}).setdefault(row, {})[column] = cell
    for title, rows in tables.items():
        columns = sorted({column for row in rows.values() for column in row})
        terminalreporter.section(title)
        terminalreporter.write_line(f"{'':20}" + "".join(f"{one:26}" for one in columns))
        for row, found in rows.items():
            cells = "".join(f"{found.get(column, '-'):26}" for column in columns)
            terminalreporter.write_line(f"{row:20}{cells}")


def _choice() -> str:
    return os.environ.get("SHIPFEED_TEST_KAFKA", "embedded")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[str]:
    """The bootstrap address of a running Kafka, shared by all tests of a run, parallel or not."""
    choice = _choice()
    shared = getattr(pytestconfig, "workerinput", {}).get("shared_kafka")
    if choice == "embedded" and shared:
        yield address_in(Path(shared))
    elif choice == "embedded":
        broker = EmbeddedKafka(tmp_path_factory.mktemp("kafka"))
        # The broker belongs to a loop, and the tests' own loops come and go.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(broker.start())
            yield broker.bootstrap_servers
            runner.run(broker.stop())
    elif choice == "testcontainers":
        # Imported by those who ask for it: it needs Docker's client and half a second.
        from tests.containers import ApacheKafkaContainer  # noqa: PLC0415

        with ApacheKafkaContainer() as container:
            yield container.get_bootstrap_server()
    else:
        yield choice


@pytest.fixture(scope="session")
def leftovers(kafka: str) -> Leftovers:
    """Deletes the topics of tests that have ended."""
    return Leftovers(kafka)


@pytest.fixture
def prefix(leftovers: Leftovers) -> Iterator[str]:
    """A prefix for the topics, groups and transactional ids of one test, in no other test's way."""
    found = f"t-{uuid4().hex[:10]}"
    yield found
    leftovers.add(found)
