"""What the demo's services are configured with: every system there is, one subscriber, and what
ships in one system and is sold in another is written back.

`python -m console.staging > deploy/demo.toml` writes it for the demo under docker compose.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any

from pydantic import SecretStr

from services.notifier.write_backs.steps import INTENT_SECONDS_MAX
from services.poller.sources import sources
from testbed.simulator import Simulator
from testbed.simulators import fulfilled_from, simulators
from testbed.world import World

ACCOUNT = "acme"
POLL_SECONDS_MIN = 1
POLL_REQUESTS = 4  # that a rate must allow between two polls: lists are not all that is read
REQUEST_TIMEOUT_SECONDS = 3
PROBE_SECONDS_MAX = 10
TARGET_REQUESTS_PER_SECOND = 100
COMMIT_SECONDS_MAX = 2  # testbed.mayhem lets nothing be carried out later
UNKNOWN_WAIT_SECONDS = ceil(INTENT_SECONDS_MAX + REQUEST_TIMEOUT_SECONDS + COMMIT_SECONDS_MAX)
ABOUT = """\
# What the demo's services read: an account at every simulated system, one subscriber, what is
# written back; all inside the compose network.
# Made by `python -m console.staging > deploy/demo.toml`.
"""
HEAD = """\
[kafka]
session_timeout_ms = {session_timeout_ms}
transaction_timeout_ms = {transaction_timeout_ms}

[poller]
recheck_seconds = 2
request_timeout_seconds = {request_timeout_seconds}

[notifier]
allow_networks = {networks}
probe_seconds_max = {probe_seconds_max}
retry_schedule_seconds = [0.2, 0.5, 1, 2, 2, 5, 5, 5, 10, 10]
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo is played.

    `base_urls` by source; `token` and `secret` are references: of whatever a simulator asks for,
    and of what the webhooks that go to `hooks`, in one of `networks`, are signed with.
    """

    base_urls: Mapping[str, str]
    hooks: str
    networks: Sequence[str]
    token: str
    secret: str
    start_from: str
    session_timeout_ms: int = 1500

    def configuration(self) -> str:
        """The text of shipfeed.toml."""
        head = HEAD.format(
            session_timeout_ms=self.session_timeout_ms,
            transaction_timeout_ms=2 * self.session_timeout_ms,
            networks=json.dumps(self.networks),
            probe_seconds_max=PROBE_SECONDS_MAX,
            request_timeout_seconds=REQUEST_TIMEOUT_SECONDS,
        )
        subscription = {
            "name": "demo",
            "types": ["*"],
            "start_from": "earliest",
            "backfill": True,
            "channel.type": "webhook",
            "channel.url": self.hooks,
            "channel.secret": self.secret,
        }
        tables = [("accounts", self._account(source)) for source in self.base_urls]
        tables.append(("subscriptions", subscription))
        for target, source in fulfilled_from().items():
            tables.append(("targets", self._target(target)))
            tables.append(("subscriptions", _write_back(target, source)))
        return "\n".join([head, *("\n".join(_lines(*table)) for table in tables)])

    def _account(self, source: str) -> dict[str, Any]:
        """What the source needs of an `[[accounts]]` table, and what its simulator says of it."""
        model = sources()[source].settings
        fields = model.model_fields.items()
        secrets = [name for name, field in fields if field.annotation is SecretStr]
        wanted = {"start_from": self.start_from, **_quick(source)}
        return {
            "source": source,
            "name": ACCOUNT,
            "base_url": self.base_urls[source],
            **dict.fromkeys(secrets, self.token),
            **{name: value for name, value in wanted.items() if model.takes(name)},
            **simulators()[source].ACCOUNT,
        }

    def _target(self, system: str) -> dict[str, Any]:
        """Its simulator has one key for everything, and no write takes it longer than a moment."""
        return {
            "name": _name(system),
            "system": system,
            "base_url": self.base_urls[system],
            "secret": self.token,
            "requests_per_second": TARGET_REQUESTS_PER_SECOND,
            "timeout_seconds": REQUEST_TIMEOUT_SECONDS,
            "unknown_wait_seconds": UNKNOWN_WAIT_SECONDS,
        }


def _name(system: str) -> str:
    """Targets and subscriptions have no underscores."""
    return system.replace("_", "-")


def _write_back(target: str, source: str) -> dict[str, Any]:
    """What leaves or is canceled at `source` is so at `target`, where orders have its numbers."""
    return {
        "name": f"{_name(source)}-to-{_name(target)}",
        "types": ["package.shipped", "package.tracking_changed", "fulfillment.items_canceled"],
        "filters": [{"exact": {"source": f"/{source}/{ACCOUNT}"}}],
        "start_from": "earliest",
        "backfill": True,
        "channel.type": "write_back",
        "channel.target": _name(target),
        "channel.order": "order_number",
    }


def _quick(source: str) -> dict[str, Any]:
    """A world lives for seconds: what takes hours in life takes as long as some polls here."""
    poll_seconds = max(POLL_SECONDS_MIN, ceil(POLL_REQUESTS / sources()[source].rate.per_second))
    return {
        "poll_interval_seconds": poll_seconds,
        "poll_interval_seconds_max": poll_seconds,
        "settle_interval_seconds": 3 * poll_seconds,
        "watch_after_seconds": [5 * poll_seconds],
    }


def _lines(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    yield f"[[{name}]]"
    for key, value in table.items():
        yield f"{key} = {_toml(value)}"
    yield ""


def _toml(value: Any) -> str:
    """Texts, numbers and booleans look the same in TOML and in JSON."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)


def _base_path(source: str) -> str:
    nowhere = World(0, start=datetime(2020, 1, 1, tzinfo=UTC), orders=1)
    simulator: Simulator = simulators()[source].simulate(
        nowhere, token=ACCOUNT, requests_per_second=1, page_size_max=1
    )
    return simulator.base_path


def page() -> str:
    """What docker compose mounts for the demo's services."""
    stage = Stage(
        {source: f"http://simulators:8080{_base_path(source)}" for source in simulators()},
        "http://receiver:8080/hooks",
        ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],  # where compose puts containers
        token="env:DEMO_TOKEN",  # noqa: S106 - a reference
        secret="env:DEMO_SECRET",  # noqa: S106
        start_from="2020-01-01T00:00:00Z",
        session_timeout_ms=3000,
    )
    return f"{ABOUT}\n{stage.configuration()}"


if __name__ == "__main__":
    sys.stdout.write(page())
