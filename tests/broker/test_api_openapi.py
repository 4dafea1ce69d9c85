"""The API against its own OpenAPI document, by a tool that tries to break what it says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, StopReason, events, from_schema

from bus.settings import KafkaSettings
from tests.broker.asking import serving, with_key
from tests.broker.notifying import notifying
from tests.broker.test_api_keys import a_key

REQUEST_SECONDS_MAX = 30
FILTERED = r"/(subscriptions|subscriptions/\{name\}|test)$"
# Endpoints are made up, and pings do not wait long for them.
TIMES: dict[str, Any] = {"connect_timeout_seconds": 0.2, "total_timeout_seconds": 0.5}
ACCEPTING = ["2xx", "401", "403", "404", "409", "412"]


def config(key: str) -> SchemathesisConfig:
    """Bounded and the same each time."""
    generation = {"deterministic": True, "max-examples": 4, "database": "none"}
    return SchemathesisConfig.from_dict(
        {
            "seed": 6,
            "auth": {"openapi": {"API key": {"bearer": key}}},
            "request-timeout": REQUEST_SECONDS_MAX,
            "parameters": {"wait": 0},
            "generation": generation,
            "checks": {
                # A made-up ETag is of no revision, and a change without one is asked for it.
                "positive_data_acceptance": {"expected-statuses": ACCEPTING},
                "missing_required_header": {"expected-statuses": ["401", "422", "428"]},
            },
            "phases": {"stateful": {"enabled": False}},
            # Filters nest: all combinations of what they may be are thousands.
            "operations": [
                {"include-path-regex": FILTERED, "phases": {"coverage": {"enabled": False}}}
            ],
        }
    )


def found(url: str, key: str) -> list[str]:
    """What is wrong, a line each; runs in a thread of its own."""
    schema = schemathesis.openapi.from_url(
        f"{url}/v1/openapi.json", headers=with_key(key), config=config(key)
    )
    finite = schema.exclude(path_regex="/stream$")  # its answers have no end
    lines: list[str] = []
    ended: events.EngineFinished | None = None
    for event in from_schema(finite).execute():
        if isinstance(event, events.ScenarioFinished):
            lines += _failures(event)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            lines.append(f"{event}"[:2000])
        elif isinstance(event, events.EngineFinished):
            ended = event
    assert ended is not None
    assert ended.stop_reason is StopReason.COMPLETED
    return lines


def _failures(event: events.ScenarioFinished) -> list[str]:
    return [
        f"{event.recorder.label}: {check.name}: {check.failure_info.failure.message}; "
        f"{check.failure_info.code_sample}"
        for checks in event.recorder.checks.values()
        for check in checks
        if check.status is Status.FAILURE and check.failure_info is not None
    ]


@pytest.mark.timeout(400)  # every route, some hundred requests
# Of the tool's own doing, in what it generates.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
async def test_the_api_is_what_its_document_says(
    topics: KafkaSettings, sealing: dict[str, Any]
) -> None:
    """Over real HTTP, with what a caller may send and with what it may not: nothing is found."""
    _, key = await a_key(topics)
    async with notifying(topics, **sealing, **TIMES) as notifier, serving(notifier) as url:
        assert "\n".join(await asyncio.to_thread(found, url, key)) == ""
