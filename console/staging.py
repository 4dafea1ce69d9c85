"""What the demo's services are configured with: every system there is, and one subscriber."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import SecretStr

from services.poller.sources import sources
from testbed.simulators import simulators

ACCOUNT = "acme"
POLL_SECONDS_MIN = 1.0
POLL_REQUESTS = 4  # that a rate must allow between two polls: lists are not all that is read
HEAD = """\
[kafka]
session_timeout_ms = 1500
transaction_timeout_ms = 3000

[poller]
recheck_seconds = 2
request_timeout_seconds = 3

[notifier]
allow_networks = ["127.0.0.0/8"]
retry_schedule_seconds = [0.2, 0.5, 1, 2, 2, 5, 5, 5, 10, 10]
"""


def configuration(
    base_urls: Mapping[str, str], hooks: str, *, token: str, secret: str, start_from: str
) -> str:
    """The text of shipfeed.toml.

    `base_urls` by source; `token` and `secret` are references: of whatever a simulator asks for,
    and of what the subscriber's webhooks are signed with.
    """
    accounts = [
        account(source, base_url, token=token, start_from=start_from)
        for source, base_url in base_urls.items()
    ]
    subscription = {
        "name": "demo",
        "types": ["*"],
        "start_from": "earliest",
        "backfill": True,
        "channel.type": "webhook",
        "channel.url": hooks,
        "channel.secret": secret,
    }
    tables = [*(("accounts", one) for one in accounts), ("subscriptions", subscription)]
    return "\n".join([HEAD, *(line for name, table in tables for line in _lines(name, table))])


def account(source: str, base_url: str, *, token: str, start_from: str) -> dict[str, Any]:
    """An `[[accounts]]` table: what the source needs of it, what its simulator says of it."""
    fields = sources()[source].settings.model_fields
    secrets = [name for name, field in fields.items() if field.annotation is SecretStr]
    return {
        "source": source,
        "name": ACCOUNT,
        "base_url": base_url,
        "start_from": start_from,
        **dict.fromkeys(secrets, token),
        **{name: value for name, value in _quick(source).items() if name in fields},
        **simulators()[source].ACCOUNT,
    }


def _quick(source: str) -> dict[str, Any]:
    """A world lives for seconds: what takes hours in life takes as long as some polls here."""
    poll_seconds = max(POLL_SECONDS_MIN, POLL_REQUESTS / sources()[source].rate.per_second)
    return {
        "poll_interval_seconds": poll_seconds,
        "poll_interval_seconds_max": poll_seconds,
        "settle_interval_seconds": 3 * poll_seconds,
        "watch_after_seconds": [5 * poll_seconds],
    }


def _lines(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    """Texts, numbers, booleans and lists of them look the same in TOML and in JSON."""
    yield f"[[{name}]]"
    for key, value in table.items():
        yield f"{key} = {json.dumps(value)}"
    yield ""
