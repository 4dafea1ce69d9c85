"""An operator's day: what `shipfeed` says beside running services, and to mistakes."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.message import iso
from testbed.simulators.zentail import ZentailSimulator
from tests.e2e.running import Ended, running, shipfeed
from tests.systems.orders import order, stamp

TOKEN = "secret-token-1"
CONFIG = """\
[kafka]
session_timeout_ms = 1500
transaction_timeout_ms = 3000

[[accounts]]
source = "zentail"
name = "acme"
base_url = "{simulator}"
token = "env:ZENTAIL_TOKEN"
start_from = "2026-01-01T00:00:00Z"
poll_interval_seconds = 1
poll_interval_seconds_max = 1
"""
SECONDS_MAX = 60.0
pytestmark = pytest.mark.timeout(180)


class Desk:
    """A folder with a configuration, and `shipfeed` typed in it."""

    def __init__(self, folder: Path, url: str = "http://127.0.0.1:1") -> None:
        self.folder = folder
        self.kafka: tuple[str, ...] = ()
        self.environment = {"ZENTAIL_TOKEN": TOKEN}
        (folder / "shipfeed.toml").write_text(CONFIG.format(simulator=url), encoding="utf-8")

    async def type(self, *words: str) -> Ended:
        """Run it to its end."""
        typed = (*words, *self.kafka)
        return await shipfeed(
            *typed, folder=self.folder, seconds=SECONDS_MAX, extra=self.environment
        )

    async def rows(self, *words: str) -> list[dict[str, object]]:
        """What it prints with --json."""
        ended = await self.type(*words, "--json")
        assert 0 == ended.code, ended
        return [json.loads(line) for line in ended.out.splitlines()]

    async def until_head(self, state: str) -> dict[str, object]:
        """Wait until `cursors` tells this of `head`."""
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                rows = await self.rows("cursors")
                for row in rows:
                    if (row["stream"], row["state"]) == ("head", state):
                        return row


async def test_an_operator_pauses_rewinds_and_refreshes_beside_running_services(
    tmp_path: Path,
) -> None:
    """Each command ends well, says what it did, and the poller obeys."""
    simulator = ZentailSimulator(orders=[order(7, at=stamp(ago_seconds=9))], token=TOKEN)
    async with simulator.serve() as url:
        desk = Desk(tmp_path, url)
        up = ("console.cli", "up")
        async with running(*up, folder=tmp_path, extra=desk.environment) as process:
            assert process.stdout is not None
            told = (await asyncio.wait_for(process.stdout.readline(), SECONDS_MAX)).decode()
            desk.kafka = ("--kafka", told.split()[2].rstrip(";"))
            head = await desk.until_head("complete")
            assert isinstance(head["gap_seconds"], float)
            rows = await desk.rows("cursors", "pause", "acme")  # all: none reads it before us
            (paused,) = (row for row in rows if row["stream"] == "head")
            await desk.until_head("paused")
            simulator.put(order(7, at=stamp(), note="corrected"))
            (read,) = await desk.rows("packages", "refresh", "zentail/acme/orders/7")
            to = iso(datetime.now(UTC) - timedelta(days=1))
            (rewound,) = await desk.rows("cursors", "rewind", "acme", "head", "--to", to)
            unknown = await desk.type("cursors", "pause", "globex")
            absent = await desk.type("packages", "refresh", "zentail/acme/orders/8")
            await desk.rows("cursors", "resume", "zentail/acme")
            resumed = await desk.until_head("complete")

    assert (paused["changed"], paused["paused"]) == (True, True)
    assert ("written", "") == (read["came"], read["detail"])
    assert to == rewound["position"]
    assert str(resumed["position"]) > str(rewound["position_before"])
    assert 2 == unknown.code
    assert "accounts there are: zentail/acme" in unknown.err
    assert 1 == absent.code
    assert "zentail/acme/orders/8: not there" in absent.out
    shown = f"{paused}{read}{rewound}{resumed}{unknown}{absent}"
    assert TOKEN not in shown


async def test_an_account_is_checked_without_kafka(tmp_path: Path) -> None:
    """Exit code 0 and a line for each check; 1 and what to do once the token is another."""
    async with ZentailSimulator(orders=[order(7)], token=TOKEN).serve() as url:
        desk = Desk(tmp_path, url)
        well = await desk.type("accounts", "check", "acme")
        desk.environment["ZENTAIL_TOKEN"] = "another"
        ill = await desk.type("accounts", "check", "zentail/acme", "--json")

    assert (0, 7) == (well.code, len(well.out.splitlines())), well
    assert well.out.endswith("zentail/acme: well\n")
    assert 1 == ill.code
    verdicts = [json.loads(line) for line in ill.out.splitlines()]
    assert not verdicts[0]["ok"]
    assert "401" in verdicts[0]["says"]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("accounts check globex", "accounts there are: zentail/acme"),
        ("sources netsuite", "no system 'netsuite'; there are: "),
        ("cursors", "no Kafka configured"),
        ("cursors --json pause acme", "put options after the verb"),
        ("cursors rewind acme head --to yesterday", "--to: 'yesterday' is not an ISO 8601"),
        ("packages refresh acme/7 --kafka 127.0.0.1:1", "SOURCE/ACCOUNT/RESOURCE/ID"),
        ("packages refresh zentail/acme/parcels/7 --kafka 127.0.0.1:1", "nothing to refresh"),
        ("packages forget acme/7 --yes --kafka 127.0.0.1:1", "SOURCE/ACCOUNT/RESOURCE/ID"),
        ("dead-letters redrive --kafka 127.0.0.1:1", "which ones?"),
        ("dead-letters redrive 3/17 --all --kafka 127.0.0.1:1", "which ones?"),
        ("dead-letters show 17 --kafka 127.0.0.1:1", "PARTITION/OFFSET"),
        ("dead-letters list --since monday --kafka 127.0.0.1:1", "--since: 'monday' is not an ISO"),
        ("remap --source netsuite --kafka 127.0.0.1:1", "no mapper for 'netsuite'; there are: "),
    ],
)
async def test_a_mistake_is_one_line_and_exit_code_2(
    words: str, answer: str, tmp_path: Path
) -> None:
    """The line names what there is instead; no Kafka is needed to say so."""
    ended = await Desk(tmp_path).type(*words.split())

    assert 2 == ended.code, ended
    assert answer in ended.err
    assert 1 == len(ended.err.strip().splitlines())


@pytest.mark.parametrize("noun", ["topics", "cursors"])
async def test_a_kafka_that_is_not_there_is_one_line_and_exit_code_1(
    noun: str, tmp_path: Path
) -> None:
    """Its client says more of it to itself, which is no news for people."""
    ended = await Desk(tmp_path).type(noun, "--kafka", "127.0.0.1:1")

    assert 1 == ended.code, ended
    assert "127.0.0.1" in ended.err
    assert 1 == len(ended.err.strip().splitlines()), ended.err
