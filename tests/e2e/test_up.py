"""`shipfeed up` on one machine: what it says, what it does, how it ends."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
from pathlib import Path

import pytest

from bus.admin import ensure_topics
from bus.clock import SystemClock
from bus.settings import KafkaSettings
from bus.transaction import Record, Transaction, Writer
from schemas.topics import EVENTS, TOPICS
from testbed.receiver import Receiver
from testbed.simulators.zentail import ZentailSimulator
from tests.e2e.running import running, shipfeed

TOKEN = "secret-token-1"
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
ARRIVES_SECONDS_MAX = 60.0
ORDER = {
    "orderNumber": 10000412,
    "status": "SHIPPED",
    "orderTs": "2026-10-21T09:02:11.000Z",
    "lastUpdatedTs": "2026-10-22T14:31:07.482Z",
    "products": [{"lineItemId": "881", "requestedSku": "MUG", "SKU": "MUG", "quantity": 3}],
    "packages": [
        {
            "carrier": "UPS",
            "tracking": "1Z999AA10123456784",
            "shippedTs": "2026-10-22T13:55:00.000Z",
            "products": [{"SKU": "MUG", "quantity": 3}],
        }
    ],
}
CONFIG = """\
[kafka]
session_timeout_ms = 1500
transaction_timeout_ms = 3000

[notifier]
allow_networks = ["127.0.0.0/8"]

[[accounts]]
source = "zentail"
name = "acme"
base_url = "{simulator}"
token = "env:ZENTAIL_TOKEN"
start_from = "2026-01-01T00:00:00Z"
poll_interval_seconds = 1

[[subscriptions]]
name = "erp"
types = ["package.shipped"]
start_from = "earliest"
backfill = true
channel = {{ type = "webhook", url = "{receiver}/hooks", secret = "env:ERP_HOOK_SECRET" }}
"""
pytestmark = pytest.mark.timeout(300)


async def line_with(stream: asyncio.StreamReader | None, words: str) -> str:
    """The first line that has these words.  Raises TimeoutError."""
    assert stream is not None
    async with asyncio.timeout(ARRIVES_SECONDS_MAX):
        while line := (await stream.readline()).decode():
            if words in line:
                return line
    raise AssertionError(f"the output ended without {words!r}")


async def test_an_order_becomes_a_signed_webhook_and_the_cli_shows_its_way(tmp_path: Path) -> None:
    """Against any server that speaks the Zentail API; then SIGTERM, and all ends well."""
    simulator, receiver = ZentailSimulator(orders=[ORDER], token=TOKEN), Receiver(SECRET)
    secrets = {"ZENTAIL_TOKEN": TOKEN, "ERP_HOOK_SECRET": SECRET}
    async with simulator.serve() as api, receiver.serve() as hooks:
        text = CONFIG.format(simulator=api, receiver=hooks)
        (tmp_path / "shipfeed.toml").write_text(text, encoding="utf-8")
        up = ("console.cli", "up", "--config", "shipfeed.toml")
        async with running(*up, folder=tmp_path, extra=secrets) as process:
            address = (await line_with(process.stdout, "Kafka at")).split()[2].rstrip(";")
            async with asyncio.timeout(ARRIVES_SECONDS_MAX):
                while not receiver.records:
                    await asyncio.sleep(0.1)
            shown = {
                noun: await shipfeed(
                    *(noun, "--json", "--kafka", address),
                    folder=tmp_path,
                    seconds=ARRIVES_SECONDS_MAX,
                    extra=secrets,
                )
                for noun in ("topics", "cursors", "packages", "dead-letters")
            }
            process.terminate()
            await asyncio.wait_for(process.communicate(), ARRIVES_SECONDS_MAX)

    event = receiver.records[0]["event"]
    assert ("package.shipped", "10000412") == (
        event["type"],
        event["data"]["fulfillment"]["orders"][0]["number"],
    )
    assert 0 == process.returncode
    assert [0, 0, 0, 0] == [ended.code for ended in shown.values()]
    rows = {noun: [json.loads(x) for x in e.out.splitlines()] for noun, e in shown.items()}
    assert "1Z999AA10123456784" == rows["packages"][0]["tracking"]
    assert {"backfill", "head", "planned", "settle"} == {row["stream"] for row in rows["cursors"]}
    assert len(TOPICS) == len(rows["topics"])
    assert [] == rows["dead-letters"]
    logs = "".join(
        log.read_text(encoding="utf-8") for log in (tmp_path / ".shipfeed").glob("*.log")
    )
    assert TOKEN not in logs
    assert SECRET not in logs


async def test_up_without_an_account_says_what_to_add(tmp_path: Path) -> None:
    """It idles, and a newcomer reads the lines to write; a program reads one JSON object."""
    async with running("console.cli", "up", "--json", folder=tmp_path) as process:
        told = json.loads(await line_with(process.stdout, "[[accounts]]"))

    assert told["kafka"].startswith("127.0.0.1:")
    assert "[[accounts]]" in told["advice"]


async def test_up_ends_with_one_line_when_its_broker_is_gone(tmp_path: Path) -> None:
    """Rather than services that wait for a Kafka nobody will start."""
    async with running("console.cli", "up", folder=tmp_path) as process:
        await line_with(process.stdout, "[[accounts]]")
        marked = f"{tmp_path}/.shipfeed/kafka/server.properties".encode()
        broker = [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit()
            and marked in cmdline(entry)
            and cmdline(entry).split(b"\0")[0].endswith(b"/java")
        ]
        os.kill(broker[0], signal.SIGKILL)
        _, err = await asyncio.wait_for(process.communicate(), ARRIVES_SECONDS_MAX)

    assert 1 == process.returncode
    assert "the embedded Kafka has ended" in err.decode()
    assert 1 == len(err.decode().strip().splitlines())


def cmdline(entry: Path) -> bytes:
    """The command of a process; nothing when it has ended meanwhile."""
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '[[accounts]]\nsource = "zentail"\nname = "a"\ntoken = "literal"',
            "env:NAME or file:PATH",
        ),
        ('[[accounts]]\nsource = "zential"\nname = "a"', "zential"),
        ('[[subscriptions]]\nname = "x"\ntypes = ["package.shiped"]', "package.shiped"),
        ("[kafka]\npartition = 3", "[kafka] partition: unknown key"),
        ("[[accounts]]\nname = 3", "[[accounts]]"),
    ],
)
async def test_bad_configuration_is_one_line_and_exit_code_2(
    text: str, words: str, tmp_path: Path
) -> None:
    """The line names the key; there is no traceback, and nothing keeps running."""
    (tmp_path / "shipfeed.toml").write_text(text + "\n", encoding="utf-8")

    ended = await shipfeed("up", folder=tmp_path, seconds=ARRIVES_SECONDS_MAX)

    assert 2 == ended.code, ended
    assert words in ended.err
    assert 1 == len(ended.err.strip().splitlines())


async def test_up_refuses_a_lost_state_in_one_line_until_it_is_accepted(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    """Events without cursors and state: it would tell everything again, or pass changes over."""
    settings = KafkaSettings(bootstrap_servers=kafka, prefix=prefix)
    await ensure_topics(settings, SystemClock())
    writer = Writer(settings, f"{prefix}.test")
    await writer.start()
    await writer.commit(Transaction([Record(settings.topic(EVENTS), 1, "k", b"{}")]))
    await writer.close()
    text = f'[kafka]\nbootstrap_servers = "{kafka}"\nprefix = "{prefix}"\n'
    (tmp_path / "shipfeed.toml").write_text(text, encoding="utf-8")
    refused = await shipfeed("up", folder=tmp_path, seconds=ARRIVES_SECONDS_MAX)
    accepted = ("console.cli", "up", "--accept-new-baseline")
    async with running(*accepted, folder=tmp_path):
        async with asyncio.timeout(ARRIVES_SECONDS_MAX):
            while not all(started(tmp_path, name) for name in ("poller", "normalizer")):
                await asyncio.sleep(0.1)

    assert 2 == refused.code, refused
    assert "--accept-new-baseline" in refused.err
    assert 1 == len(refused.err.strip().splitlines())


def started(folder: Path, service: str) -> bool:
    """Whether a service says in its log that it has begun."""
    log = folder / ".shipfeed" / f"{service}-1.log"
    return "service.started" in log.read_text(encoding="utf-8")
