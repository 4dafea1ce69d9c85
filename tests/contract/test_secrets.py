"""No credential of any system is ever shown: in logs, topics, errors, health or metrics."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import prometheus_client
import pytest
from pydantic import SecretStr

from bus.errors import BadConfig
from services.poller import source as contract
from services.poller.sources import sources
from testbed.http import Request, Response
from testbed.simulators import simulators
from tests.contract.upstreams import Upstream, simulator_class, upstream
from tests.logged import logged
from tests.systems.bench import TOKEN, account

SHORT = 8  # characters; what is shorter is no credential
STRIKES, STRIKES_ABSENT = 3, 12  # enough to halve what is asked for by ids down to one
ERRORS = (401, 403, 404, 429, 500)


class Canaries:
    """Every credential an account has used or was handed."""

    def __init__(self, source: str) -> None:
        self.found = {TOKEN}
        settings = account(source, "http://127.0.0.1:1", **simulators()[source].ACCOUNT)
        self._login = sources()[source].login(settings)

    def hear(self, request: Request, response: Response) -> None:
        """Learn what a request carried and what its answer handed out."""
        word = request.headers.get("authorization", "").rpartition(" ")[2]
        self.found |= {word} if len(word) >= SHORT else set()
        if self._login is None or response.status != 200:
            return
        headers = {name.lower(): value for name, value in response.headers.items()}
        answer = contract.Response(200, headers, response.body, datetime.now(UTC))
        with suppress(contract.Unreadable, contract.Refused):
            token = self._login.token(answer)
            self.found |= {one for one in (token.access, token.refresh) if one}


def failures(source: str, told: str) -> list[dict[str, Any]]:
    """Answers that repeat a credential wherever an upstream could."""
    body = f'{{"error":"{told}","message":"no {told}","errors":[{{"message":"{told}"}}]}}'
    found: list[dict[str, Any]] = [
        {"name": "status", "status": status, "body": body, "headers": {"Retry-After": told}}
        for status in ERRORS
    ]
    found.append({"name": "status", "status": 200, "body": body})
    found.append({"name": "status", "status": 200, "body": told})
    found.append({"name": "redirect", "host": f"http://other.invalid/{TOKEN}"})
    if "next_token_host" in simulator_class(source).listing_faults:
        found.append({"name": "next_token_host", "host": f"http://other.invalid/{TOKEN}"})
    return found


@pytest.mark.parametrize("source", sorted(sources()))
async def test_no_credential_is_ever_shown(source: str) -> None:
    """Neither by good requests nor by failures whose answers repeat it."""
    canaries = Canaries(source)
    shown: dict[str, str] = {}
    with logged("poller") as log:
        async with upstream(source, heard=canaries.hear, recheck_seconds=0.1) as tried:
            tried.write(6)
            tried.bench.start()
            await tried.converged("before any fault")
            for told in sorted(canaries.found):
                for number, fault in enumerate(failures(source, told)):
                    shown[f"health {number}"] = await met(tried, fault)
            shown |= {"settings": repr(tried.bench.settings), "topics": topics(tried)}
    shown |= {"log": log.getvalue(), "metrics": prometheus_client.generate_latest().decode()}
    assert "poller.request_failed" in shown["log"]
    assert tried.source in shown["metrics"]
    for canary in canaries.found:
        assert [name for name, text in shown.items() if canary in text] == []


async def met(tried: Upstream, fault: dict[str, Any]) -> str:
    """What /health tells while a fault strikes everything, and after it."""
    faults, streams = tried.simulator.faults, tried.bench.streams.values()
    strikes = STRIKES_ABSENT if fault.get("status") == 404 else STRIKES
    wanted = faults.struck[fault["name"]] + strikes
    faults.add({**fault, "count": None})
    tried.write(2)
    await tried.bench.until(lambda: faults.struck[fault["name"]] >= wanted, f"struck: {fault}")
    told = [one.health() for one in streams]
    faults.clear()
    await tried.passed(1)
    return repr([*told, *(one.health() for one in streams)])


def topics(tried: Upstream) -> str:
    """Every key, value and header that was written."""
    transactions = tried.bench.sink.transactions
    return repr([record for one in transactions for record in one.records])


@pytest.mark.parametrize("source", sorted(sources()))
def test_a_credential_that_no_header_can_carry_is_refused_without_showing_it(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client would name the header it refuses, and with it the secret."""
    monkeypatch.setenv("CONTRACT_TEST_SECRET", "half\nof-it-\N{SNOWMAN}")
    fields = sources()[source].settings.model_fields.items()
    secrets = [key for key, field in fields if field.annotation is SecretStr]
    assert secrets
    for key in secrets:
        bad = {**simulators()[source].ACCOUNT, key: "env:CONTRACT_TEST_SECRET"}
        with pytest.raises(BadConfig) as refused:
            account(source, "http://127.0.0.1:1", **bad)
        assert key in str(refused.value)
        assert "of-it" not in f"{refused.value} {refused.value.__cause__}"
