"""A service as a supervisor sees it: /health, /ready, /metrics, SIGTERM, exit codes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx2
import pytest

from tests.e2e.running import running

SERVICES = ("poller", "normalizer", "notifier")
READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 60.0
pytestmark = pytest.mark.timeout(240)


def settings(kafka: str, prefix: str) -> dict[str, str]:
    """The configuration of a service, all of it in the environment."""
    return {
        "SHIPFEED_KAFKA__BOOTSTRAP_SERVERS": kafka,
        "SHIPFEED_KAFKA__PREFIX": prefix,
        "SHIPFEED_KAFKA__SESSION_TIMEOUT_MS": "1500",
        "SHIPFEED_KAFKA__TRANSACTION_TIMEOUT_MS": "3000",
    }


async def started(process: asyncio.subprocess.Process) -> tuple[str, list[str]]:
    """The URL it says it listens on, and the events of its log up to that.  Raises TimeoutError."""
    assert process.stderr is not None
    events: list[str] = []
    async with asyncio.timeout(READY_SECONDS_MAX):
        while line := await process.stderr.readline():
            told = json.loads(line)
            events.append(told["event"])
            if told["event"] == "service.started":
                return str(told["http"]), events
    raise AssertionError(f"it ended without having started: {events}")


async def answer(url: str) -> httpx2.Response:
    """The first answer with 200.  Raises TimeoutError."""
    async with httpx2.AsyncClient(trust_env=False) as client, asyncio.timeout(READY_SECONDS_MAX):
        while True:
            try:
                found = await client.get(url)
                if found.status_code == 200:
                    return found
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_becomes_ready_shows_its_metrics_and_ends_when_told(
    service: str, kafka: str, prefix: str, tmp_path: Path
) -> None:
    """SIGTERM: exit code 0, the last line says so, every line is JSON."""
    extra = settings(kafka, prefix)
    async with running(f"services.{service}", folder=tmp_path, extra=extra) as process:
        url, events = await started(process)
        ready = (await answer(f"{url}/ready")).json()
        metrics = (await answer(f"{url}/metrics/")).text
        process.terminate()
        _, err = await asyncio.wait_for(process.communicate(), STOP_SECONDS_MAX)

    assert (True, True, []) == (ready["ok"], ready["ready"], ready["waiting"])
    assert len(ready["partitions"]) == (8 if service == "poller" else 6)
    assert f'shipfeed_partitions_owned{{service="{service}"}}' in metrics
    events += [json.loads(line)["event"] for line in err.decode().splitlines()]
    assert "service.stopped" == events[-1]
    assert 0 == process.returncode


async def test_a_service_without_a_broker_says_which_setting_and_asks_to_be_started_again(
    tmp_path: Path,
) -> None:
    """Exit code 1 once the wait is over; the reason is one line of the log."""
    extra = settings("127.0.0.1:1", "x")
    extra |= {
        "SHIPFEED_KAFKA__START_TIMEOUT_SECONDS": "0.5",
        "SHIPFEED_KAFKA__REQUEST_TIMEOUT_MS": "1000",
    }
    async with running("services.poller", folder=tmp_path, extra=extra) as process:
        _, err = await asyncio.wait_for(process.communicate(), READY_SECONDS_MAX)

    assert 1 == process.returncode
    failed = json.loads(err.decode().splitlines()[-1])
    assert "service.failed" == failed["event"]
    assert "check [kafka] bootstrap_servers" in failed["error"]
